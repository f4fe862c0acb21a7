# SPDX-License-Identifier: Apache-2.0
"""SPLIT into two to four equal parts along any dimension."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from codegen.graph import NUMPY_TYPES, Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._operands import SUFFIXES, input_of, operand, step_name
from codegen.program import BufferRef, Operand, Params, Row0, Rows, Step, c_type

KIND = "SPLIT"
TYPES = ("int8", "int16", "float32")

#: Outputs that the kernel takes.
_MOST = 4


def few_parts(graph: Graph, operator: Operator) -> str | None:
    """2 inputs, 2 to 4 outputs."""
    if len(operator.inputs) != 2 or min(operator.inputs) < 0:
        return f"{sum(index >= 0 for index in operator.inputs)} inputs"
    count = len(set(operator.outputs))
    return None if 2 <= count <= _MOST and count == len(operator.outputs) else f"{count} outputs"


def all_alike(graph: Graph, operator: Operator) -> str | None:
    """All tensors have one type, int8, int16 or float32, integers one quantization, and none is
    constant."""
    before = input_of(graph, operator, 1)
    for tensor in (before, *_outputs(graph, operator)):
        if tensor.dtype not in SUFFIXES or tensor.dtype != before.dtype:
            return f"{before.dtype} and {tensor.dtype}"
        if tensor.data is not None:
            return "a constant"
        if tensor.dtype == "float32":
            continue
        ours, theirs = tensor.quantization, before.quantization
        if ours is None or theirs is None:
            return "a tensor without a scale"
        if (ours.scales, ours.zero_points) != (theirs.scales, theirs.zero_points):
            return f"scales {ours.scales} and {theirs.scales}"
    return None


def equal_parts(graph: Graph, operator: Operator) -> str | None:
    """The axis is an int32 constant, and the outputs are equal parts of the input along it."""
    axis, shape = _axis(graph, operator), input_of(graph, operator, 1).shape
    outputs = [tensor.shape for tensor in _outputs(graph, operator)]
    if axis is None or not 0 <= axis < len(shape):
        return f"axis {axis} of {list(shape)}"
    part = (*shape[:axis], shape[axis] // len(outputs), *shape[axis + 1 :])
    if set(outputs) == {part} and shape[axis] % len(outputs) == 0:
        return None
    return f"{list(shape)} to {' and '.join(str(list(output)) for output in outputs)}"


CONSTRAINTS = (few_parts, all_alike, equal_parts)


def _outputs(graph: Graph, operator: Operator) -> list[Tensor]:
    return [graph.tensors[index] for index in operator.outputs]


def _axis(graph: Graph, operator: Operator) -> int | None:
    tensor = input_of(graph, operator, 0)
    if tensor.data is None or tensor.dtype != "int32" or tensor.elements != 1:
        return None
    axis = int(tensor.data.reshape(-1)[0])
    return axis + len(input_of(graph, operator, 1).shape) * (axis < 0)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the dimensions before the axis."""
    axis, before = _axis(graph, operator), input_of(graph, operator, 1)
    assert axis is not None
    parts = len(operator.outputs)
    element = np.dtype(NUMPY_TYPES[before.dtype]).itemsize
    fields = (("parts", parts), ("bytes", math.prod(before.shape[axis:]) // parts * element))
    results: list[Operand] = [BufferRef(i, c_type(before.dtype)) for i in operator.outputs]
    return Step(
        name=step_name(operator),
        kernel="stapes_split",
        header="stapes/layout.h",
        operands=(
            Params("stapes_split_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, 1),
            *results,
            *[0] * (_MOST - parts),
        ),
        reads=(operator.inputs[1],),
        writes=operator.outputs,
        rows=math.prod(before.shape[:axis]),
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Two to four parts along any of one to three dimensions."""
    while True:
        part = tuple(_cases.integer(rng, 1, 5) for _ in range(_cases.integer(rng, 1, 3)))
        parts, axis = _cases.integer(rng, 2, _MOST), _cases.integer(rng, 0, len(part) - 1)
        shape = (*part[:axis], part[axis] * parts, *part[axis + 1 :])
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        output = _cases.like(source, part)
        stated = np.array(axis - len(shape) * int(rng.integers(2)), np.int32)
        along = Tensor("", (), "int32", None, stated)
        graph = _cases.graph(KIND, (along, source), output, {"num_splits": parts})
        outputs = tuple(replace(graph.tensors[-1], name=f"y{i}") for i in range(parts))
        numbers = tuple(range(2, 2 + parts))
        operator = replace(graph.operators[0], outputs=numbers)
        tensors = (*graph.tensors[:2], *outputs)
        yield replace(graph, tensors=tensors, operators=(operator,), outputs=numbers)
