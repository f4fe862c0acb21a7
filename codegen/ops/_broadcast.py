# SPDX-License-Identifier: Apache-2.0
"""Two operands of which either may be repeated along rows or columns: ADD, SUB, MUL and others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    activations_read,
    affine,
    fused_activation,
    input_of,
    operand,
    output_of,
    result,
    step_name,
    unquantized,
)
from codegen.ops._quantize import activation_range, float_range
from codegen.program import Params, Row0, RowAccess, Rows, Step

Steps = tuple[int, int]


def all_of_one_type(graph: Graph, operator: Operator) -> str | None:
    """Both inputs and the output are int8, all are int16, or all are float32."""
    tensors = input_of(graph, operator, 0), input_of(graph, operator, 1), output_of(graph, operator)
    types = {tensor.dtype for tensor in tensors}
    return None if len(types) == 1 and types <= set(SUFFIXES) else " and ".join(sorted(types))


def one_varies(graph: Graph, operator: Operator) -> str | None:
    """At least one input is no constant."""
    return None if activations_read(graph, operator) else "two constants"


def all_per_tensor(graph: Graph, operator: Operator) -> str | None:
    """Integers have one positive finite scale and one zero point, which is 0 for int16."""
    tensors = input_of(graph, operator, 0), input_of(graph, operator, 1), output_of(graph, operator)
    return next((got for tensor in tensors if (got := unquantized(tensor))), None)


def two_levels(graph: Graph, operator: Operator) -> str | None:
    """The output has the inputs' common shape; an input may be repeated along the leading or the
    trailing dimensions (one row for all, one value a row, one value)."""
    if grid(graph, operator) is not None:
        return None
    shapes = (
        input_of(graph, operator, 0),
        input_of(graph, operator, 1),
        output_of(graph, operator),
    )
    first, second, output = (list(tensor.shape) for tensor in shapes)
    return f"{first} and {second} to {output}"


def grid(graph: Graph, operator: Operator) -> tuple[int, int, Steps, Steps] | None:
    """Rows, columns, and each input's (row step, column step); None where no split serves both."""
    shape = output_of(graph, operator).shape
    inputs = input_of(graph, operator, 0).shape, input_of(graph, operator, 1).shape
    if not _compatible(*inputs) or np.broadcast_shapes(*inputs) != shape:
        return None
    padded = [(1,) * (len(shape) - len(source)) + source for source in inputs]
    # one dimension is one value a row, as the mean of each row is
    for split in range(max(len(shape) - 1, min(len(shape), 1)), -1, -1):
        steps = [_steps(shape, source, split) for source in padded]
        if steps[0] is not None and steps[1] is not None:
            return math.prod(shape[:split]), math.prod(shape[split:]), steps[0], steps[1]
    return None


def _compatible(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    pairs = zip(reversed(first), reversed(second), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def _steps(shape: tuple[int, ...], source: tuple[int, ...], split: int) -> Steps | None:
    rows_whole, columns_whole = source[:split] == shape[:split], source[split:] == shape[split:]
    if not (rows_whole or math.prod(source[:split]) == 1):
        return None
    if not (columns_whole or math.prod(source[split:]) == 1):
        return None
    return (math.prod(source[split:]) if rows_whole else 0), int(columns_whole)


def step_fields(graph: Graph, operator: Operator) -> tuple[tuple[str, int], ...]:
    """The leading fields of both params structs."""
    found = grid(graph, operator)
    assert found is not None
    _, columns, first, second = found
    return (
        ("columns", columns),
        ("input1_row_step", first[0]),
        ("input1_column_step", first[1]),
        ("input2_row_step", second[0]),
        ("input2_column_step", second[1]),
    )


def range_fields(graph: Graph, operator: Operator) -> tuple[tuple[str, int], ...]:
    """The least and greatest output under the fused activation."""
    activation = fused_activation(operator)
    lowest, highest = activation_range(output_of(graph, operator), activation)
    return ("output_min", lowest), ("output_max", highest)


def float_step(graph: Graph, operator: Operator, kernel: str) -> Step:
    """One call of the float32 `kernel`."""
    lowest, highest = float_range(fused_activation(operator))
    fields = (
        *step_fields(graph, operator),
        ("output_min", lowest),
        ("output_max", highest),
    )
    return step(graph, operator, kernel, Params("stapes_elementwise_f32_params", fields))


def step(graph: Graph, operator: Operator, kernel: str, params: Params) -> Step:
    """One call of `kernel`, in place over an input of the output's shape that is no constant."""
    found = grid(graph, operator)
    assert found is not None
    output = operator.outputs[0]
    shape = graph.tensors[output].shape
    read = activations_read(graph, operator)
    return Step(
        name=step_name(operator),
        kernel=kernel,
        header="stapes/elementwise.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            operand(graph, operator, 1),
            result(graph, operator),
        ),
        reads=read,
        writes=(output,),
        rows=found[0],
        in_place=tuple((index, output) for index in read if graph.tensors[index].shape == shape),
        by_row=(None, None, None, *_by_row(graph, operator, *found[1:])),
    )


def _by_row(
    graph: Graph, operator: Operator, columns: int, first: Steps, second: Steps
) -> tuple[RowAccess | None, ...]:
    """Of both inputs and the output; an input that is repeated along rows is taken whole."""
    output = output_of(graph, operator)
    element = output.size_bytes // output.elements
    return tuple(
        RowAccess(step * element) if step else None for step in (first[0], second[0], columns)
    )


#: The scale of an output whose values use the range, from the inputs' scales.
Spread = Callable[[str, float, float], float]


def sum_spread(dtype: str, first: float, second: float) -> float:
    """That of sums and differences."""
    return max(first, second)


def product_spread(dtype: str, first: float, second: float) -> float:
    """That of products."""
    return first * second * (64 if dtype == "int8" else 16384)


def cases(
    rng: np.random.Generator,
    kind: str,
    spread: Spread = sum_spread,
    dtypes: tuple[str, ...] = tuple(SUFFIXES),
    activations: bool = True,
) -> Iterator[Graph]:
    """Equal shapes and each way of repeating, either input constant or not."""
    shape = (2, 3, 5)
    others = (shape, shape, (5,), (1, 1, 5), (2, 3, 1), (2, 1, 1), (3, 5), (1, 1, 1), ())
    while True:
        dtype = _cases.choice(rng, *dtypes)
        shapes = [shape, _cases.choice(rng, *others)]
        if rng.integers(2):
            shapes.reverse()
        sources = [_cases.tensor(rng, s, dtype) for s in shapes]
        constant = int(rng.integers(4))
        if constant < 2:
            sources[constant] = _cases.constant(rng, sources[constant])
        output = Tensor("", shape, dtype)
        if dtype != "float32":
            target = spread(dtype, *(affine(s).scale for s in sources))
            target *= _cases.scale(rng, 0.3, 3.0)
            output = _cases.tensor(rng, shape, dtype, float(np.float32(target)))
        options: Mapping[str, Any] = {}
        if activations:
            options = {"fused_activation_function": _cases.activation(rng)}
        yield _cases.graph(kind, tuple(sources), output, options)
