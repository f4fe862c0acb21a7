# SPDX-License-Identifier: Apache-2.0
"""float32 activations times integer weights, bit for bit the stated arithmetic in numpy."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.ops import _cases, _hybrid
from codegen.program import Constant
from codegen.registry import plugins
from tests.kernels.harness import SANITIZE, Runner, build_library, is_hybrid

F = np.float32
CASES = 40


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("kernels")
    built: ctypes.CDLL = build_library(folder, "-O1", *SANITIZE)
    return built


def quantized(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, depth) as XNNPACK's qd8: integers less the zero point, and scales (n, 1)."""
    least, greatest = (np.minimum(rows.min(1), F(0)), np.maximum(rows.max(1), F(0)))
    with np.errstate(divide="ignore"):
        inverse = np.where(least == greatest, F(1), F(255) / (greatest - least))
    low, high = least * inverse, greatest * inverse
    nearer = (F(-128) + low) + (F(127) + high) > 0
    zero = np.rint(np.clip(np.where(nearer, F(-128) - low, F(127) - high), -128, 127))
    values = np.clip(np.rint(rows * inverse[:, None]) + zero[:, None], -128, 127)
    return (values - zero[:, None]).astype(np.int64), (F(1) / inverse)[:, None]


def expected(graph: Graph, rows: np.ndarray) -> np.ndarray:
    """FULLY_CONNECTED of rows (n, depth) in single precision, an operation at a time."""
    (operator,) = graph.operators
    weights = graph.tensors[operator.inputs[1]]
    assert weights.data is not None
    assert weights.quantization is not None
    added = graph.tensors[operator.inputs[2]].data if operator.inputs[2] >= 0 else F(0)
    q, scale = quantized(rows)
    matrix = weights.data.astype(np.int64)
    scales = np.array(weights.quantization.scales, F)
    size = weights.quantization.block_size
    if size:
        sums = np.zeros((len(rows), len(matrix)), F)
        for block, one_each in enumerate(scales.reshape(len(matrix), -1).T):
            part = slice(block * size, (block + 1) * size)
            sums += (q[:, part] @ matrix[:, part].T).astype(F) * one_each
        values = sums * scale + added
    else:
        values = (q @ matrix.T).astype(F) * scale * scales + added
    lowest, highest = {"RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}.get(
        operator.options["fused_activation_function"], (None, None)
    )
    return np.asarray(np.clip(values, lowest, highest), F)


def inputs_of(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Random, of one sign, equal, tiny, huge, halfway between two integers."""
    values = rng.normal(0.0, 1.0, shape).astype(F)
    yield values
    yield np.abs(values)
    yield -np.abs(values) - 3
    yield np.zeros(shape, F)
    yield np.full(shape, -2.5, F)
    yield values * F(1e-30)
    yield values * F(1e30)
    halves = rng.integers(-127, 128, shape).astype(F) / 2
    halves[..., 0] = 63.75
    yield halves


def matrices(rng: np.random.Generator) -> Iterator[Graph]:
    return filter(is_hybrid, plugins("codegen.ops")["fully_connected"].cases(rng))


def test_rows_equal_the_stated_arithmetic(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(11)
    kernels = set()
    for graph in islice(matrices(rng), CASES):
        program = lower(graph, None)
        kernels |= {step.kernel for step in program.steps}
        runner = Runner(library, graph, program)
        for values in inputs_of(rng, graph.tensors[0].shape):
            (got,) = runner([values], stripe=int(rng.integers(1, 6)))
            wanted = expected(graph, values.reshape(-1, values.shape[-1]))
            assert got.tobytes() == (wanted + F(0)).reshape(got.shape).tobytes()
    assert len(kernels) == 7


def test_numbers_that_are_none_stay_inside_the_row(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(12)
    for graph in islice(matrices(rng), 10):
        runner = Runner(library, graph, lower(graph, None))
        shape = graph.tensors[0].shape
        for strange in (np.inf, -np.inf, np.nan, F(3e38), F(1e-42)):
            values = rng.normal(0.0, 1.0, shape).astype(F)
            (plain,) = runner([values])
            others = plain.reshape(-1, plain.shape[-1])[1:]
            values.reshape(-1, shape[-1])[0, 0] = strange
            (got,) = runner([values])
            assert got.reshape(-1, got.shape[-1])[1:].tobytes() == others.tobytes()


def test_scales_of_blocks_are_kept_as_bfloat16(library: ctypes.CDLL) -> None:
    """As XNNPACK does, to the nearest; a file's float16 may say more."""
    data = np.ones((2, 32), np.int8)
    blocks = Quantization((1.00390625, 1.01171875), (0, 0), 0, 32)
    weights = Tensor("", (2, 32), "int4", blocks, data)
    tensors = Tensor("", (1, 32), "float32"), weights, None
    graph = _cases.graph("FULLY_CONNECTED", tensors, Tensor("", (1, 2), "float32"), {})
    (got,) = Runner(library, graph, lower(graph, None))([np.full((1, 32), 255, F)])
    np.testing.assert_array_equal(got, [[32 * 255, 32 * 255 * 1.015625]])


@pytest.mark.parametrize("block_size", [1, 33, 512])
def test_blocks_of_other_sizes_are_refused(block_size: int) -> None:
    data = np.zeros((1, block_size), np.int8)
    weights = Tensor("", data.shape, "int4", Quantization((1.0,), (0,), 0, block_size), data)
    tensors = Tensor("", data.shape, "float32"), weights, None
    graph = _cases.graph("FULLY_CONNECTED", tensors, Tensor("", (1, 1), "float32"), {})
    with pytest.raises(UserError, match=f"blocks of {block_size}|odd|even"):
        lower(graph, None)


def test_convolutions_equal_the_stated_arithmetic(library: ctypes.CDLL) -> None:
    """As a matrix over the windows of the quantized input, all of it one row."""
    rng = np.random.default_rng(13)
    shape, taps, filters = (1, 7, 5, 4), (3, 2), 6
    weights = _cases.tamed(_cases.weights(rng, (filters, *taps, 4), 0))
    bias = _cases.constant(rng, Tensor("", (filters,), "float32"))
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 1}
    output = Tensor("", (1, 3, 4, filters), "float32")
    graph = _cases.graph("CONV_2D", (Tensor("", shape, "float32"), weights, bias), output, options)
    runner = Runner(library, graph, lower(graph, None))
    assert weights.data is not None
    assert weights.quantization is not None
    scales = np.array(weights.quantization.scales, F)
    for values in inputs_of(rng, shape):
        (got,) = runner([values], stripe=int(rng.integers(1, 4)))
        q, scale = quantized(values.reshape(1, -1))
        windows = np.lib.stride_tricks.sliding_window_view(q.reshape(shape[1:]), taps, (0, 1))[::2]
        sums = np.einsum("yxihw,ohwi->yxo", windows, weights.data.astype(np.int64)).astype(F)
        wanted = sums * scale[0, 0] * scales + bias.data
        assert got.tobytes() == wanted.tobytes()


def packed(values: np.ndarray, bits: int) -> bytes:
    """A row as firmware/include/stapes/packed.h has it, bit by bit."""
    number = sum((int(v) & (1 << bits) - 1) << bits * i for i, v in enumerate(values))
    return number.to_bytes((values.size * bits + 7) // 8, "little")


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("activations", ["float32", "int8", "int16"])
def test_the_width_is_found_from_the_values(dtype: str, activations: str) -> None:
    """Whatever the type; each row starts at a byte."""
    suffix = {"float32": "f32", "int8": "s8", "int16": "s16"}[activations]
    unit = None if activations == "float32" else Quantization((1.0,), (0,))
    # LiteRT has no odd rows of int4 beside float32
    length = 11 if unit or dtype == "int8" else 10
    ends = {(-2, 1): 2, (-3, 1): 3, (0, 2): 3, (-4, 3): 3, (-5, 3): 4, (0, 4): 4, (-8, 7): 4}
    if dtype == "int8":
        ends |= {(-9, 7): 8, (0, 8): 8, (-127, 127): 8}
    for (least, greatest), bits in ends.items():
        data = np.resize(np.array([least, greatest, 0, 1], np.int8), (3, length))
        weights = Tensor("", data.shape, dtype, Quantization((1.0,), (0,)), data)
        tensors = Tensor("", (1, length), activations, unit), weights, None
        case = _cases.graph("FULLY_CONNECTED", tensors, Tensor("", (1, 3), activations, unit), {})
        (step,) = lower(case, None).steps
        narrow = "" if bits == 8 and unit else f"_w{bits}"
        assert step.kernel == f"stapes_fully_connected_{suffix}{narrow}"
        (stored,) = (o for o in step.operands if getattr(o, "name", "").endswith("weights"))
        assert isinstance(stored, Constant)
        assert stored.values.tobytes() == b"".join(packed(row, bits) for row in data)


def test_a_convolution_has_four_bits_at_least() -> None:
    rng = np.random.default_rng(15)
    found = set()
    for case in islice(plugins("codegen.ops")["conv_2d"].cases(rng), 200):
        data = case.tensors[1].data
        assert data is not None
        (step,) = lower(case, None).steps
        narrow = -8 <= data.min() <= data.max() <= 7
        if case.tensors[0].dtype != "float32":
            assert step.kernel.endswith("_w4") == narrow
            found.add((case.tensors[1].dtype, narrow))
    assert found == {("int8", False), ("int8", True), ("int4", True)}


def test_a_filter_of_one_tap_is_a_matrix() -> None:
    rng = np.random.default_rng(14)
    weights = _cases.weights(rng, (3, 1, 1, 8), 0)
    bias = _cases.constant(rng, Tensor("", (3,), "float32"))
    tensors = Tensor("", (1, 4, 2, 8), "float32"), weights, bias
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    output = Tensor("", (1, 4, 2, 3), "float32")
    (step,) = lower(_cases.graph("CONV_2D", tensors, output, options), None).steps
    assert (step.kernel, step.rows) == ("stapes_fully_connected_f32_w8", 8)


def test_bfloat16_rounds_to_the_nearest() -> None:
    values = np.array([0x3F808000, 0x3F818000, 0x3F80FFFF, 0x00000000], np.uint32).view(F)
    assert _hybrid.bfloat16(values).tolist() == [0x3F80, 0x3F82, 0x3F81, 0]


def test_int2_is_refused() -> None:
    data = np.zeros((2, 8), np.int8)
    weights = Tensor("", data.shape, "int2", Quantization((1.0,), (0,)), data)
    tensors = Tensor("", (1, 8), "float32"), weights, None
    graph = _cases.graph("FULLY_CONNECTED", tensors, Tensor("", (1, 2), "float32"), {})
    with pytest.raises(UserError, match="not int2"):
        lower(graph, None)


def test_rows_of_half_bytes_are_refused() -> None:
    data = np.zeros((2, 7), np.int8)
    weights = Tensor("", data.shape, "int4", Quantization((1.0,), (0,)), data)
    tensors = (Tensor("x", (1, 7), "float32"), weights, Tensor("y", (1, 2), "float32"))
    operator = Operator(0, "FULLY_CONNECTED", (0, 1), (2,))
    with pytest.raises(UserError, match="even input depth"):
        lower(Graph("g", tensors, (operator,), (0,), (2,)), None)
