# SPDX-License-Identifier: Apache-2.0
"""MEAN over neighbouring dimensions, int8, int16 or float32."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    RANGES,
    SUFFIXES,
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    of_integers,
    one_type,
    operand,
    output_of,
    per_tensor,
    result,
    row_by_row,
    step_name,
)
from codegen.ops._quantize import quantize_multiplier
from codegen.program import Params, Row0, Rows, Step

KIND = "MEAN"
TYPES = ("int8", "int16", "float32")

#: Bits of a number of values whose sum fits, or that float32 holds exactly.
_COUNT_BITS = {"int8": 22, "int16": 15, "float32": 24}


def _axes(graph: Graph, operator: Operator) -> list[int]:
    tensor, rank = input_of(graph, operator, 1), len(input_of(graph, operator, 0).shape)
    assert tensor.data is not None
    return sorted({int(axis) + rank * (axis < 0) for axis in tensor.data.reshape(-1)})


def neighbouring_axes(graph: Graph, operator: Operator) -> str | None:
    """The axes are constant and neighbour each other."""
    tensor, rank = input_of(graph, operator, 1), len(input_of(graph, operator, 0).shape)
    if tensor.data is None or tensor.dtype != "int32":
        return f"{tensor.dtype} axes that are computed" if tensor.data is None else tensor.dtype
    axes = _axes(graph, operator)
    if axes and axes[0] >= 0 and axes[-1] < rank and axes == list(range(axes[0], axes[-1] + 1)):
        return None
    return f"axes {axes} of {rank} dimensions"


def reduced_shape(graph: Graph, operator: Operator) -> str | None:
    """The output lacks the axes or has 1 in their places, and fewer than 2^15 values (int16), 2^22
    (int8) or 2^24 (float32) go into one mean."""
    outer, count, inner = _grid(graph, operator)
    if count >= 1 << _COUNT_BITS[input_of(graph, operator, 0).dtype]:
        return f"{count} values"
    output = output_of(graph, operator).shape
    return None if math.prod(output) == outer * inner else f"{list(output)}"


@of_integers
def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """input scale / output scale is below 2^15."""
    real = affine(input_of(graph, operator, 0)).scale / affine(output_of(graph, operator)).scale
    return None if real < 2**15 else f"{real:.3g}"


CONSTRAINTS = (
    arity(2, 2),
    first_input_varies,
    one_type,
    per_tensor,
    neighbouring_axes,
    reduced_shape,
    scales_in_range,
)


def _grid(graph: Graph, operator: Operator) -> tuple[int, int, int]:
    """Sizes before, in and behind the axes."""
    shape, axes = input_of(graph, operator, 0).shape, _axes(graph, operator)
    first, last = axes[0], axes[-1] + 1
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def _multiplier(real: float, count: int) -> tuple[int, int]:
    """real / count as LiteRT divides an already quantized multiplier."""
    multiplier, shift = quantize_multiplier(real)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << bits) // count, shift - bits


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the dimensions before the axes."""
    outer, count, inner = _grid(graph, operator)
    fields = (("count", count), ("inner", inner))
    suffix = SUFFIXES[input_of(graph, operator, 0).dtype]
    if is_float(graph, operator):
        params = Params("stapes_mean_f32_params", fields)
    else:
        params = Params("stapes_mean_params", fields + _rescaling(graph, operator, count))
    call = Step(
        name=step_name(operator),
        kernel=f"stapes_mean_{suffix}",
        header="stapes/mean.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=outer,
    )
    return row_by_row(graph, call)


def _rescaling(graph: Graph, operator: Operator, count: int) -> tuple[tuple[str, int], ...]:
    """The further fields of integers."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    multiplier, shift = _multiplier(affine(before).scale / affine(after).scale, count)
    lowest, highest = RANGES[after.dtype]
    return (
        ("input_offset", -count * affine(before).zero_point),
        ("multiplier", multiplier),
        ("shift", shift),
        ("output_zero_point", affine(after).zero_point),
        ("output_min", lowest),
        ("output_max", highest),
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Height and width, time, channels, with and without kept dimensions."""
    while True:
        shape = _cases.choice(rng, (1, 4, 5, 6), (2, 7, 3, 1), (3, 40), (1, 33, 1, 8))
        axes = _cases.choice(rng, [1], [1, 2], [-1], [0, 1]) if len(shape) == 4 else [1]
        keep = bool(rng.integers(2))
        reduced = {axis % len(shape) for axis in axes}
        kept = tuple(1 if i in reduced else n for i, n in enumerate(shape))
        output = kept if keep else tuple(n for i, n in enumerate(shape) if i not in reduced)
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        target = _cases.like(source, output)
        if source.dtype != "float32" and rng.integers(3):
            spread = affine(source).scale * _cases.scale(rng, 0.1, 1.5)
            target = _cases.tensor(rng, output, source.dtype, float(np.float32(spread)))
        yield _cases.graph(KIND, (source, _cases.indices(axes)), target, {"keep_dims": keep})
