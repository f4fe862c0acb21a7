# SPDX-License-Identifier: Apache-2.0
"""Every float32 operator in one graph: the same bits from each compiler, on each core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen.graph import Graph, Operator, Tensor
from codegen.registry import plugins
from codegen.tflite.write import write
from codegen.toolchain._make import make
from codegen.toolchain._project import open_project
from codegen.toolchain.project import build, run
from tests.e2e._models import emitted
from tests.kernels.harness import random_inputs

#: Target and compiler; "soft" is a Cortex-M3, which has no FPU, on the M4's board.
BUILDS = (
    ("mps2-an386", "gcc"),
    ("mps2-an386", "soft"),
    ("mps3-an547", "gcc"),
    ("mps3-an547", "zig"),
)
CASES = 2


def float_graphs() -> Iterator[tuple[Graph, list[list[np.ndarray]]]]:
    """A few random graphs of each operator that takes float32, with inputs."""
    for name, module in plugins("codegen.ops").items():
        if "float32" not in module.TYPES:
            continue
        rng = np.random.default_rng(len(name))
        cases = (
            graph
            for graph in islice(module.cases(rng), 400)
            if graph.tensors[graph.outputs[0]].dtype == "float32"
        )
        inputs_of = getattr(module, "inputs", random_inputs)
        for graph in islice(cases, CASES):
            inputs = list(islice(inputs_of(rng, graph), 5))
            yield getattr(module, "decomposed", lambda same: same)(graph), inputs


def side_by_side(graphs: list[Graph]) -> Graph:
    """One graph that runs all of them, on the inputs of all."""
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for graph in graphs:
        first = len(tensors)
        tensors += [replace(t, name=f"t{first + i}") for i, t in enumerate(graph.tensors)]
        inputs += [first + index for index in graph.inputs]
        outputs += [first + index for index in graph.outputs]
        for each in graph.operators:
            moved = [
                tuple(i + first if i >= 0 else i for i in t) for t in (each.inputs, each.outputs)
            ]
            operators.append(
                Operator(len(operators), each.kind, moved[0], moved[1], dict(each.options))
            )
    return Graph("floats", tuple(tensors), tuple(operators), tuple(inputs), tuple(outputs))


def small(values: np.ndarray) -> np.ndarray:
    """Subnormal numbers, which vectors of Armv8.1-M flush to zero."""
    return np.asarray(values * np.float32(1e-39)) if values.dtype == np.float32 else values


def spread(values: np.ndarray) -> np.ndarray:
    """From -103 to 0, so that exponentials are subnormal, too."""
    if values.dtype != np.float32:
        return values
    return np.linspace(-103, 0, values.size, dtype=np.float32).reshape(values.shape)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes], list[bytes]]:
    """The model's file, inputs, and what the host's gcc answers."""
    found = list(float_graphs())
    folder = tmp_path_factory.mktemp("floats")
    model = folder / "floats.tflite"
    model.write_bytes(write(side_by_side([graph for graph, _ in found])))
    sets = [[each for _, inputs in found for each in inputs[number]] for number in range(5)]
    sets += [[change(values) for values in sets[-1]] for change in (small, spread)]
    payloads = [b"".join(values.tobytes() for values in each) for each in sets]
    project = emitted(model, "host", folder / "host")
    answers = run(project, payloads, firmware=build(project))
    return model, payloads, [answer.outputs for answer in answers]


def test_every_operator_is_there(floats: tuple[Path, list[bytes], list[bytes]]) -> None:
    _, payloads, answers = floats
    assert {len(answer) for answer in answers} == {len(answers[0])}
    assert len({*answers}) == len(payloads)
    values = np.frombuffer(b"".join(answers), np.float32)
    assert np.isfinite(values).mean() > 0.9
    assert ((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)).sum() > 100


@pytest.mark.parametrize(("target", "compiler"), BUILDS)
def test_bits_are_the_same(
    floats: tuple[Path, list[bytes], list[bytes]], target: str, compiler: str, tmp_path: Path
) -> None:
    model, payloads, expected = floats
    project = emitted(model, target, tmp_path / "project")
    if compiler == "soft":
        variables = {"CC": "arm-none-eabi-gcc", "CPU": "-mcpu=cortex-m3 -mthumb"}
        firmware = make(open_project(project), tmp_path / "build", variables)
    else:
        firmware = build(project, tmp_path / "build", toolchain=compiler)
    answers = run(project, payloads, firmware=firmware)
    for number, (answer, wanted) in enumerate(zip(answers, expected, strict=True)):
        ours, theirs = (np.frombuffer(data, np.float32) for data in (answer.outputs, wanted))
        assert (np.isnan(ours) == np.isnan(theirs)).all()  # a NaN's bits are no one's promise
        same = (ours.view(np.uint32) == theirs.view(np.uint32)) | np.isnan(theirs)
        wrong = np.flatnonzero(~same)[:5]
        assert same.all(), f"inputs {number}: {ours[wrong]} for {theirs[wrong]} at {wrong}"
