# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION of two to eight tensors, int8, int16 or float32."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import NUMPY_TYPES, Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    activations_read,
    arity,
    fused_activation,
    operand,
    output_of,
    result,
    step_name,
)
from codegen.program import Operand, Params, Row0, RowAccess, Rows, Step

KIND = "CONCATENATION"
TYPES = ("int8", "int16", "float32")

#: Inputs that the kernels take.
_FEW, _MOST = 4, 8


def _inputs(graph: Graph, operator: Operator) -> list[Tensor]:
    return [graph.tensors[index] for index in operator.inputs]


def _axis(graph: Graph, operator: Operator) -> int:
    axis = int(operator.options.get("axis", 0))
    return axis + len(output_of(graph, operator).shape) * (axis < 0)


def present(graph: Graph, operator: Operator) -> str | None:
    """No input is left out, and at least one is no constant."""
    if min(operator.inputs) < 0:
        return "an input left out"
    return None if activations_read(graph, operator) else "constants alone"


def all_alike(graph: Graph, operator: Operator) -> str | None:
    """All tensors have one type, int8, int16 or float32, and integers one quantization."""
    after = output_of(graph, operator)
    if after.dtype not in SUFFIXES:
        return after.dtype
    for tensor in _inputs(graph, operator):
        if tensor.dtype != after.dtype:
            return f"{tensor.dtype} and {after.dtype}"
        if after.dtype == "float32":
            continue
        if tensor.quantization is None or after.quantization is None:
            return "a tensor without a scale"
        ours, theirs = tensor.quantization, after.quantization
        if (ours.scales, ours.zero_points) != (theirs.scales, theirs.zero_points):
            return f"scales {ours.scales} and {theirs.scales}"
    return None


def joined_shape(graph: Graph, operator: Operator) -> str | None:
    """All dimensions but that of the axis are equal, and along it the output has their sum."""
    output, axis = output_of(graph, operator).shape, _axis(graph, operator)
    shapes = [tensor.shape for tensor in _inputs(graph, operator)]
    if 0 <= axis < len(output) and all(len(shape) == len(output) for shape in shapes):
        total = sum(shape[axis] for shape in shapes)
        expected = {(*shape[:axis], total, *shape[axis + 1 :]) for shape in shapes}
        if expected == {output}:
            return None
    return f"{' and '.join(str(list(shape)) for shape in shapes)} to {list(output)}"


def no_activation(graph: Graph, operator: Operator) -> str | None:
    """There is no fused activation."""
    activation = fused_activation(operator)
    return None if activation == "NONE" else activation


CONSTRAINTS = (arity(2, _MOST), present, all_alike, joined_shape, no_activation)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the dimensions before the axis."""
    after, axis = output_of(graph, operator), _axis(graph, operator)
    element = np.dtype(NUMPY_TYPES[after.dtype]).itemsize
    sizes = [math.prod(t.shape[axis:]) * element for t in _inputs(graph, operator)]
    few = len(sizes) <= _FEW
    places = _FEW if few else _MOST
    kernel = "stapes_concatenation" if few else "stapes_concatenation_8"
    sizes += [0] * (places - len(sizes))
    sources: list[Operand] = [operand(graph, operator, i) for i in range(len(operator.inputs))]
    sources += [0] * (places - len(sources))
    fields = tuple((f"bytes_{number}", size) for number, size in enumerate(sizes, 1))
    return Step(
        name=step_name(operator),
        kernel=kernel,
        header="stapes/layout.h",
        operands=(
            Params(f"{kernel}_params", fields),
            Row0(),
            Rows(),
            *sources,
            result(graph, operator),
        ),
        reads=activations_read(graph, operator),
        writes=(operator.outputs[0],),
        rows=math.prod(after.shape[:axis]),
        by_row=tuple(RowAccess(size) if size else None for size in (0, 0, 0, *sizes, sum(sizes))),
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Two to eight inputs along any axis, one of them perhaps constant."""
    while True:
        axis = _cases.integer(rng, 0, 2)
        first = _cases.tensor(rng, (2, 3, 4), _cases.any_type(rng))
        sources = [first]
        for _ in range(_cases.choice(rng, 1, 1, 2, 3, 4, 7)):
            shape = list(first.shape)
            shape[axis] = _cases.integer(rng, 1, 5)
            sources.append(_cases.like(first, tuple(shape)))
        if rng.integers(3) == 0:
            sources[-1] = _cases.constant(rng, sources[-1])
        joined = list(first.shape)
        joined[axis] = sum(source.shape[axis] for source in sources)
        options = {"axis": axis - 3 * int(rng.integers(2)), "fused_activation_function": "NONE"}
        output = _cases.like(first, tuple(joined))
        yield _cases.graph(KIND, tuple(sources), output, options)
