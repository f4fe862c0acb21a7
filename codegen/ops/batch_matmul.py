# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: int8, int16 or float32; either operand transposed, repeated or constant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._broadcast import all_of_one_type, all_per_tensor, one_varies
from codegen.ops._operands import (
    SUFFIXES,
    activations_read,
    affine,
    arity,
    input_of,
    is_float,
    of_integers,
    operand,
    output_of,
    result,
    step_name,
)
from codegen.ops._quantize import float32, narrow_multiplier, quantize_multiplier
from codegen.program import Params, Row0, RowAccess, Rows, Scratch, Step

KIND = "BATCH_MATMUL"
TYPES = ("int8", "int16", "float32")
#: Of LiteRT, which adds the products of a float32 sum in another order.
TOLERANCE_ULP = 32

#: Dimensions that count matrices, after those that are missing are added in front.
_STACK = 3
#: Columns that the float32 kernel sums side by side: STAPES_LANES.
_LANES = 8


def matching_shapes(graph: Graph, operator: Operator) -> str | None:
    """Operands have two to five dimensions; their matrices fit, with sums of 2^15 products at most;
    along each leading dimension they have the same length, or one of them has 1."""
    first, second = (input_of(graph, operator, i).shape for i in (0, 1))
    output = output_of(graph, operator).shape
    if all(2 <= len(shape) <= 5 for shape in (first, second)):
        (rows, depth), (columns, other) = _matrices(graph, operator)
        stacks = first[:-2], second[:-2]
        compatible = all(
            a == b or 1 in (a, b) for a, b in zip(stacks[0][::-1], stacks[1][::-1], strict=False)
        )
        fits = compatible and depth == other and 0 < depth <= 1 << 15
        if fits and (*np.broadcast_shapes(*stacks), rows, columns) == output:
            return None
    return f"{list(first)} by {list(second)} to {list(output)}"


def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """The product of the input scales is below 2^30 (int8) or 2^7 (int16) output scales."""
    real = _real(graph, operator)
    limit = 2**30 if output_of(graph, operator).dtype == "int8" else 2**7
    return None if real < limit else f"{real:.3g}"


CONSTRAINTS = (
    arity(2, 2),
    all_of_one_type,
    one_varies,
    all_per_tensor,
    matching_shapes,
    of_integers(scales_in_range),
)


def _transposed(operator: Operator) -> tuple[bool, bool]:
    return bool(operator.options.get("adj_x", False)), bool(operator.options.get("adj_y", False))


def _matrices(graph: Graph, operator: Operator) -> tuple[tuple[int, int], tuple[int, int]]:
    """(rows, depth) of the first operand, (columns, depth) of the second."""
    first, second = (input_of(graph, operator, i).shape[-2:] for i in (0, 1))
    adj_x, adj_y = _transposed(operator)
    rows, depth = first[::-1] if adj_x else first
    columns, other = second if adj_y else second[::-1]
    return (rows, depth), (columns, other)


def _real(graph: Graph, operator: Operator) -> float:
    """The factor of a product of stored values; LiteRT rounds the scales' product to a float."""
    first, second = (affine(input_of(graph, operator, i)).scale for i in (0, 1))
    return float32(first * second) / affine(output_of(graph, operator)).scale


def _integer_fields(graph: Graph, operator: Operator) -> tuple[tuple[str, int], ...]:
    """Zero points and rescaling, all 0 for float32."""
    names = ("x_zero_point", "y_zero_point", "multiplier", "shift", "output_zero_point")
    if is_float(graph, operator):
        return tuple((name, 0) for name in names)
    first, second = (affine(input_of(graph, operator, i)).zero_point for i in (0, 1))
    after = output_of(graph, operator)
    rescaling = narrow_multiplier if after.dtype == "int16" else quantize_multiplier
    values = (first, second, *rescaling(_real(graph, operator)), affine(after).zero_point)
    return tuple(zip(names, values, strict=True))


def _scratch_bytes(graph: Graph, operator: Operator, columns: int, depth: int) -> int:
    """A row of x as int16, or columns of y side by side where they do not lie so."""
    if not is_float(graph, operator):
        return 2 * depth
    whole = columns % _LANES == 0 and not _transposed(operator)[1]
    return 0 if whole else 4 * _LANES * depth


def _stack_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements between matrices along each of three leading dimensions, 0 along one of 1."""
    padded = (1,) * (_STACK + 2 - len(shape)) + shape
    sizes = list(accumulate(reversed(padded), int.__mul__))[::-1]
    return tuple(0 if padded[i] == 1 else sizes[i + 1] for i in range(_STACK))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are those of all output matrices."""
    first, second = input_of(graph, operator, 0), input_of(graph, operator, 1)
    after = output_of(graph, operator)
    adj_x, adj_y = _transposed(operator)
    (matrix_rows, depth), (columns, _) = _matrices(graph, operator)
    stack = (1,) * (_STACK + 2 - len(after.shape)) + after.shape[:-2]
    steps = [
        (f"{name}_step_{i}", step)
        for name, tensor in (("x", first), ("y", second))
        for i, step in enumerate(_stack_steps(tensor.shape))
    ]
    fields = (
        ("depth", depth),
        ("columns", columns),
        ("matrix_rows", matrix_rows),
        ("batch_1", stack[1]),
        ("batch_2", stack[2]),
        *steps[:_STACK],
        ("x_row_step", 1 if adj_x else depth),
        ("x_depth_step", matrix_rows if adj_x else 1),
        *steps[_STACK:],
        ("y_column_step", depth if adj_y else 1),
        ("y_depth_step", 1 if adj_y else columns),
        *_integer_fields(graph, operator),
    )
    return Step(
        name=step_name(operator),
        kernel=f"stapes_batch_matmul_{SUFFIXES[after.dtype]}",
        header="stapes/batch_matmul.h",
        operands=(
            Params("stapes_batch_matmul_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            operand(graph, operator, 1),
            Scratch(),
            result(graph, operator),
        ),
        reads=activations_read(graph, operator),
        writes=(operator.outputs[0],),
        rows=math.prod(after.shape[:-1]),
        scratch_bytes=_scratch_bytes(graph, operator, columns, depth),
        macs=after.elements * depth,
        by_row=_by_row(graph, operator),
    )


def _by_row(graph: Graph, operator: Operator) -> tuple[RowAccess | None, ...]:
    """A row of x, and the one matrix of y that all rows of a matrix share, or the only one."""
    first, second = input_of(graph, operator, 0), input_of(graph, operator, 1)
    after = output_of(graph, operator)
    stack, element = after.shape[:-2], after.size_bytes // after.elements
    (rows, depth), (columns, _) = _matrices(graph, operator)
    lone = math.prod(second.shape[:-2]) == 1
    if (
        _transposed(operator)[0]
        or first.shape[:-2] != stack
        or not (lone or second.shape[:-2] == stack)
    ):
        return ()
    shared = None if lone else RowAccess(columns * depth * element, share=rows)
    x, output = RowAccess(depth * element), RowAccess(columns * element)
    return (None, None, None, x, shared, None, output)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Either operand transposed, repeated along leading dimensions, or constant."""
    while True:
        dtype = _cases.any_type(rng)
        rows, columns = _cases.integer(rng, 1, 9), _cases.choice(rng, 1, 2, 3, 5, 8, 9, 16)
        depth = _cases.choice(rng, 1, 2, 7, 16, 36, 207)
        stacks = _cases.choice(
            rng,
            ((), ()),
            ((3,), (3,)),
            ((1, 4), (1, 4)),
            ((2, 3), (1, 1)),
            ((1,), (5,)),
            ((2, 1), (3,)),
            ((2, 1, 2), (1, 3, 1)),
            ((4,), ()),
        )
        adj_x, adj_y = bool(rng.integers(2)), bool(rng.integers(2))
        first = _cases.tensor(
            rng, (*stacks[0], *((depth, rows) if adj_x else (rows, depth))), dtype
        )
        second = _cases.tensor(
            rng, (*stacks[1], *((columns, depth) if adj_y else (depth, columns))), dtype
        )
        output = Tensor("", (*np.broadcast_shapes(*stacks), rows, columns), dtype)
        if dtype != "float32":
            spread = (73 if dtype == "int8" else 18918) * _cases.scale(rng, 0.1, 8)
            scale = affine(first).scale * affine(second).scale * math.sqrt(depth) * spread
            output = _cases.tensor(rng, output.shape, dtype, float(np.float32(scale)))
        constant = int(rng.integers(6))
        sources = [first, second]
        if constant < 2:
            sources[constant] = _cases.constant(rng, sources[constant])
        options = {"adj_x": adj_x, "adj_y": adj_y, "asymmetric_quantize_inputs": False}
        yield _cases.graph(KIND, tuple(sources), output, options)
