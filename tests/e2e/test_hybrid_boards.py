# SPDX-License-Identifier: Apache-2.0
"""float32 activations times integer weights: the same bits from every board and compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.graph import Graph, Operator, Tensor
from codegen.lower import lower
from codegen.ops import _cases
from codegen.tflite.write import write
from codegen.toolchain.project import build, run
from tests.e2e._models import emitted

KERNELS = {
    "stapes_batch_matmul_f32",
    "stapes_conv_2d_f32_w8",
    "stapes_conv_2d_f32_weight_only",
    "stapes_fully_connected_f32_w2",
    "stapes_fully_connected_f32_w2_blocks",
    "stapes_fully_connected_f32_w3",
    "stapes_fully_connected_f32_w3_blocks",
    "stapes_fully_connected_f32_w4",
    "stapes_fully_connected_f32_w4_blocks",
    "stapes_fully_connected_f32_w8",
}


def every_hybrid_operator() -> Graph:
    """Two convolutions, the second with weights alone in int8, a matrix of each width and form, a
    product of activations."""
    rng = np.random.default_rng(23)
    floats = {"fused_activation_function": "NONE", "keep_num_dims": True}
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU"}
    tensors: list[Tensor] = []
    operators: list[Operator] = []

    def tensor(each: Tensor) -> int:
        tensors.append(each)
        return len(tensors) - 1

    def operator(
        kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], options: dict[str, Any]
    ) -> int:
        output = tensor(Tensor(f"{kind}_{len(operators)}", shape, "float32"))
        operators.append(Operator(len(operators), kind, inputs, (output,), options))
        return output

    def bias(channels: int) -> int:
        return tensor(_cases.constant(rng, Tensor("bias", (channels,), "float32")))

    x = tensor(Tensor("x", (1, 11, 1, 5), "float32"))
    first = _cases.tamed(_cases.weights(rng, (7, 3, 1, 5), 0))
    second = _cases.tamed(_cases.weights(rng, (32, 4, 1, 7), 0))
    y = operator("CONV_2D", (x, tensor(first), bias(7)), (1, 11, 1, 7), window)
    dequantized = operator("DEQUANTIZE", (tensor(second),), second.shape, {})
    y = operator("CONV_2D", (y, dequantized, bias(32)), (1, 11, 1, 32), window)
    for weights in (
        _cases.weights(rng, (64, 32), 0),
        _cases.weights(rng, (64, 64), 0, dtype="int4"),
        _cases.blocks(rng, (64, 64), 32),
        _cases.blocks(rng, (33, 64), 32, 3),
        _cases.weights(rng, (30, 33), 0, bits=3),
        _cases.weights(rng, (64, 30), 0, bits=2),
        _cases.blocks(rng, (9, 64), 64, 2),
    ):
        channels = weights.shape[0]
        # a bias in each would leave little of what comes in
        inputs = (y, tensor(_cases.tamed(weights)), -1)
        y = operator("FULLY_CONNECTED", inputs, (1, 11, 1, channels), floats)
    flat = operator("RESHAPE", (y, tensor(_cases.indices([1, 11, 9]))), (1, 11, 9), {})
    y = operator("BATCH_MATMUL", (flat, flat), (1, 11, 11), {"adj_x": False, "adj_y": True})
    return Graph("hybrid", tuple(tensors), tuple(operators), (x,), (y,))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hybrid") / "hybrid.tflite"
    path.write_bytes(write(every_hybrid_operator()))
    return path


def payloads() -> list[bytes]:
    rng = np.random.default_rng(29)
    values = [rng.normal(0.0, scale, 55).astype(np.float32) for scale in (1.0, 1e-3, 1e3)]
    return [each.tobytes() for each in (*values, np.zeros(55, np.float32))]


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What this computer answers without vectors."""
    project = emitted(source, "host", tmp_path_factory.mktemp("host") / "project")
    firmware = build(project, extra_cflags="-O1 -fno-tree-vectorize -fno-tree-slp-vectorize")
    return [answer.outputs for answer in run(project, payloads(), firmware=firmware)]


@pytest.mark.parametrize(
    ("board", "toolchain"),
    [("host", "gcc"), ("mps2-an386", "gcc"), ("mps3-an547", "gcc"), ("mps3-an547", "zig")],
)
def test_bits_of_every_board(
    tmp_path: Path, source: Path, expected: list[bytes], board: str, toolchain: str
) -> None:
    project = emitted(source, board, tmp_path / "project")
    answers = run(project, payloads(), firmware=build(project, toolchain=toolchain))
    assert [answer.status for answer in answers] == [0] * 4
    assert [answer.outputs for answer in answers] == expected


def test_every_kernel_takes_part(expected: list[bytes]) -> None:
    steps = lower(every_hybrid_operator(), None).steps
    assert {step.kernel for step in steps} >= KERNELS
    for outputs in expected:
        values = np.frombuffer(outputs, np.float32)
        assert np.isfinite(values).all()
        assert np.unique(values).size > 5
