# SPDX-License-Identifier: Apache-2.0
"""Matrices of 4, 3 and 2 bits beside integers: LiteRT's bits from every board and compiler, and as
many bytes of flash as the bits of the weights are."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.footprint.predict import WEIGHTS_SECTION
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.ops import _cases
from codegen.ops._operands import affine
from codegen.target import load_target
from codegen.tflite.write import write
from codegen.toolchain.project import build, run
from tests.e2e._models import emitted
from tests.kernels.harness import Reference, random_inputs

DTYPES = {"int8": "s8", "int16": "s16"}
#: Outputs, and the weights' type and bits, of each matrix in turn; inputs of the first.
INPUTS = 64
MATRICES = ((40, "int4", 3), (33, "int8", 2), (21, "int4", 3), (16, "int4", 4), (9, "int2", 2))


def matrices(dtype: str) -> Graph:
    """A chain of them, rows of odd length among them, each with outputs as large as its inputs."""
    rng = np.random.default_rng(31)
    tensors = [_cases.tensor(rng, (3, INPUTS), dtype, 1e-3, 5)]
    operators = []
    for number, (outputs, form, bits) in enumerate(MATRICES):
        source = tensors[-1]
        scales = tuple(np.linspace(0.5, 1.0, outputs, dtype=np.float32).tolist())
        quantization = Quantization(scales, (0,) * outputs)
        data = rng.integers(-(1 << bits - 1), 1 << bits - 1, (outputs, source.shape[1]), np.int8)
        weights = Tensor("", data.shape, form, quantization, data)
        stored = "int32" if dtype == "int8" else "int64"
        bias = Tensor("", (outputs,), stored, None, rng.integers(-99, 99, outputs).astype(stored))
        scale = affine(source).scale * math.sqrt(np.square(data.astype(float)).sum() / outputs)
        tensors += [weights, bias, _cases.tensor(rng, (3, outputs), dtype, scale, -7)]
        inputs, last = tuple(range(len(tensors) - 4, len(tensors) - 1)), len(tensors) - 1
        options = {"keep_num_dims": True, "quantized_bias_type": 4 if dtype == "int16" else 2}
        operators.append(Operator(number, "FULLY_CONNECTED", inputs, (last,), options))
    named = tuple(replace(tensor, name=f"t{n}") for n, tensor in enumerate(tensors))
    return Graph("packed", named, tuple(operators), (0,), (len(named) - 1,))


@pytest.fixture(scope="module", params=DTYPES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / f"{request.param}.tflite"
    path.write_bytes(write(matrices(request.param)))
    return path


@pytest.mark.parametrize(
    ("board", "toolchain"),
    [("host", "gcc"), ("mps2-an386", "gcc"), ("mps3-an547", "gcc"), ("mps3-an547", "zig")],
)
def test_bits_of_every_board(tmp_path: Path, source: Path, board: str, toolchain: str) -> None:
    graph = matrices(source.stem)
    reference = Reference(source.read_bytes())
    sent = [values for (values,) in islice(random_inputs(np.random.default_rng(37), graph), 5)]
    wanted = [reference([values])[0] for values in sent]
    assert len(np.unique(wanted)) > 20
    project = emitted(source, board, tmp_path / "project")
    firmware = build(project, toolchain=toolchain)
    answers = run(project, [values.tobytes() for values in sent], firmware=firmware)
    assert [answer.outputs for answer in answers] == [values.tobytes() for values in wanted]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_width_has_its_kernel(dtype: str) -> None:
    kernels = [step.kernel for step in lower(matrices(dtype), None).steps]
    names = [f"stapes_fully_connected_{DTYPES[dtype]}_w{bits}" for _, _, bits in MATRICES]
    assert kernels == names


def test_flash_holds_true_widths_and_scales(tmp_path: Path, source: Path) -> None:
    """In the prediction and in the linked ELF."""
    compiled = pipeline.compile_model(pipeline.open_model(source), load_target("mps3-an547"))
    per_channel = 8 + {"int8": 4, "int16": 8}[source.stem]  # a double's bits, and the bias
    wanted, inputs = 0, INPUTS
    for outputs, _, bits in MATRICES:
        wanted += outputs * (-(-inputs * bits // 8) + per_channel)
        inputs = outputs
    padding = 8 * len(compiled.programs[0].constants)
    assert 0 <= compiled.footprint.component_bytes("weights") - wanted < padding
    project = emitted(source, "mps3-an547", tmp_path / "project", "packed")
    linked = pipeline.linked_footprint(build(project), compiled, "packed")
    found = sum(row.size_bytes for row in linked.rows if row.section == WEIGHTS_SECTION)
    assert 0 <= found - compiled.footprint.component_bytes("weights") < 16
