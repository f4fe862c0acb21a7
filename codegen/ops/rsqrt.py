# SPDX-License-Identifier: Apache-2.0
"""RSQRT, int8 or int16 by table, or float32: 1 / sqrt(x).

Integers that are not positive give the greatest output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ops import _cases, _unary
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    of_integers,
    one_type,
    output_of,
    per_tensor,
    same_shape,
)
from codegen.ops._quantize import (
    float32,
    multiply_high,
    quantize_multiplier,
    requantize,
)
from codegen.ops._tables import sampled_table
from codegen.program import Step

KIND = "RSQRT"
TYPES = ("int8", "int16", "float32")

#: Bits by which LiteRT scales the root's reciprocal up before it is rescaled.
_HEADROOM = 20


@of_integers
def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """1 / (sqrt(input scale) * output scale) is from 2^-10 to 2^30, and scales lie between 2^-60
    and 2^60."""
    before, after = affine(input_of(graph, operator, 0)), affine(output_of(graph, operator))
    if not all(2**-60 < scale < 2**60 for scale in (before.scale, after.scale)):
        return f"scales {before.scale:.3g} and {after.scale:.3g}"
    real = _real(before, after)
    return None if 2**-10 <= real <= 2**30 else f"{real:.3g}"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    scales_in_range,
)


def _real(before: Quantization, after: Quantization) -> float:
    """The factor of 1 / sqrt(stored input); LiteRT takes root and product in single precision."""
    return 1 / float32(float32(math.sqrt(before.scale)) * float32(after.scale))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    if is_float(graph, operator):
        return _unary.float_step(graph, operator, "stapes_rsqrt_f32")
    before, after = affine(input_of(graph, operator, 0)), affine(output_of(graph, operator))
    if input_of(graph, operator, 0).dtype == "int8":
        return _unary.lookup(graph, operator, _byte_table(before, after))
    greatest = np.float32(32767) * np.float32(after.scale)

    def function(x: np.ndarray) -> np.ndarray:
        positive = x > 0
        root = np.sqrt(np.where(positive, x, np.float32(1)))
        return np.where(positive, np.float32(1) / root, greatest)

    return _unary.lookup(graph, operator, sampled_table(function, before.scale, after.scale))


def _byte_table(before: Quantization, after: Quantization) -> np.ndarray:
    """All 256 outputs, as LiteRT computes them in integers."""
    multiplier, shift = quantize_multiplier(_real(before, after))
    values = np.full(256, 127, np.int64)
    for stored in range(max(-128, before.zero_point + 1), 128):
        root, root_shift = _inverse_root(stored - before.zero_point)
        scaled = requantize(np.array(1), root, root_shift + _HEADROOM)
        result = requantize(scaled, multiplier, shift - _HEADROOM)
        values[stored + 128] = int(result) + after.zero_point
    return np.clip(values, -128, 127)


def _inverse_root(value: int) -> tuple[int, int]:
    """1 / sqrt(value), 1 <= value < 2^29, as (multiplier, shift).

    LiteRT's GetInvSqrtQuantizedMultiplierExp: five steps of Newton's method on value scaled by an
    even power of two into [1/4, 1), with 3 integer bits.
    """
    if value == 1:
        return (1 << 31) - 1, 0
    pairs = (31 - value.bit_length()) // 2 - 1
    half = ((value << (2 * pairs)) >> 1) + 1 >> 1
    x = 1 << 28
    for _ in range(5):
        cube = _product(_product(x, x), x) << 6
        x = (_product(3 << 27, x) - _product(half, cube)) << 3
    return _product(x, math.floor(math.sqrt(0.5) * (1 << 31) + 0.5)), pairs - 11


def _product(a: int, b: int) -> int:
    return int(multiply_high(np.array(a), b))


def inputs(rng: np.random.Generator, graph: Graph) -> Iterator[list[np.ndarray]]:
    """Values that are not negative: LiteRT refuses to run on other integers."""
    tensor = graph.tensors[graph.inputs[0]]
    while True:
        values = _cases.values(rng, tensor.shape, tensor.dtype)
        yield [np.abs(values) if values.dtype.kind == "f" else _positive(values, tensor)]


def _positive(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    raised: np.ndarray = np.maximum(values, affine(tensor).zero_point)
    return raised


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Many values under scales from flat to saturated."""
    while True:
        dtype = _cases.any_type(rng)
        source = _cases.tensor(rng, (8, 64), dtype)
        if dtype == "float32":
            yield _cases.graph(KIND, (source,), source, {})
            continue
        most = 127 if dtype == "int8" else 32767
        spread = _cases.scale(rng, 0.05, 3.0) / (most * math.sqrt(affine(source).scale))
        output = _cases.tensor(rng, source.shape, dtype, spread)
        yield _cases.graph(KIND, (source,), output, {})
