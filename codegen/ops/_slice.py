# SPDX-License-Identifier: Apache-2.0
"""What SLICE and STRIDED_SLICE share: every so many elements along each dimension, copied."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codegen.graph import NUMPY_TYPES, Graph, Operator
from codegen.ops._operands import (
    Constraint,
    first_input_varies,
    input_of,
    one_type,
    operand,
    output_of,
    result,
    same_quantization,
    step_name,
)
from codegen.program import Alias, Params, Row0, RowAccess, Rows, Step

#: Dimensions of the kernel besides its runs of bytes.
_OUTER = 4


@dataclass(frozen=True)
class Span:
    """Along one dimension: the first index, how many, and the distance between them."""

    first: int
    count: int
    stride: int = 1


#: The spans of an operator, one a dimension; None where its inputs do not say them.
Spans = Callable[[Graph, Operator], "tuple[Span, ...] | None"]


def constant_integers(graph: Graph, operator: Operator, position: int) -> list[int] | None:
    """The int32 or int64 constant at `position`, or None where it is something else."""
    tensor = input_of(graph, operator, position)
    if tensor.data is None or tensor.dtype not in ("int32", "int64") or len(tensor.shape) != 1:
        return None
    return [int(value) for value in tensor.data]


def constraints(spans: Spans) -> tuple[Constraint, ...]:
    """The constraints after that on the number of inputs."""

    def inside(graph: Graph, operator: Operator) -> str | None:
        """Where to start, to end and how far to step are constants, one value for each of 1 to 4
        dimensions; steps are positive, and what they choose lies in the input."""
        shape, found = input_of(graph, operator, 0).shape, spans(graph, operator)
        if found is None or not 1 <= len(shape) <= _OUTER or len(found) != len(shape):
            return f"none such for {list(shape)}"
        for span, length in zip(found, shape, strict=True):
            last = span.first + (span.count - 1) * span.stride
            if span.stride < 1 or span.count < 1 or span.first < 0 or last >= length:
                return f"{span.count} of {length} from {span.first} in steps of {span.stride}"
        return None

    def chosen_elements(graph: Graph, operator: Operator) -> str | None:
        """The output has as many elements as are chosen."""
        found = spans(graph, operator)
        assert found is not None
        wanted, got = [span.count for span in found], output_of(graph, operator).shape
        return None if math.prod(wanted) == math.prod(got) else f"{wanted} to {list(got)}"

    return (first_input_varies, one_type, same_quantization, inside, chosen_elements)


def lower(graph: Graph, operator: Operator, found: tuple[Span, ...]) -> Step | Alias:
    """One call, or none where all is chosen; rows are the runs of neighbouring bytes."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    if before.elements == after.elements:
        return Alias(operator.inputs[0], operator.outputs[0])
    element = np.dtype(NUMPY_TYPES[before.dtype]).itemsize
    offset, run, outer = 0, element, list[tuple[int, int]]()
    unit = element
    for span, length in zip(reversed(found), reversed(before.shape), strict=True):
        step = unit * span.stride
        offset += unit * span.first
        if not outer and (step == run or span.count == 1):
            run *= span.count
        elif span.count > 1:
            outer.insert(0, (span.count, step))
        unit *= length
    lines = next((span.count for span in found[:-1] if span.count > 1), 1)
    by_row: tuple[RowAccess | None, ...] = ()
    if not outer and lines > 1:  # a run of the input's lines; the pointer skips those before it
        run //= lines
        by_row = (None, None, None, RowAccess(run, first=offset // run), RowAccess(run))
        offset, outer = 0, [(lines, run)]
    outer = [(1, 0)] * (_OUTER - len(outer)) + outer
    fields = (
        *((f"output_{i}", count) for i, (count, _) in enumerate(outer) if i),
        ("bytes", run),
        ("offset", offset),
        *((f"step_{i}", step) for i, (_, step) in enumerate(outer)),
    )
    return Step(
        name=step_name(operator),
        kernel="stapes_slice",
        header="stapes/layout.h",
        operands=(
            Params("stapes_slice_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=math.prod(count for count, _ in outer),
        by_row=by_row,
    )
