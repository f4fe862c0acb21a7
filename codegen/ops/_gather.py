# SPDX-License-Identifier: Apache-2.0
"""What GATHER and EMBEDDING_LOOKUP share: blocks of a tensor, chosen by int32 indices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codegen.graph import NUMPY_TYPES, Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    Constraint,
    activations_read,
    input_of,
    operand,
    output_of,
    result,
    step_name,
)
from codegen.program import Params, Row0, Rows, Step


@dataclass(frozen=True)
class Roles:
    """The positions of the tensor that is read and of the indices."""

    table: int
    indices: int


def axis_of(graph: Graph, operator: Operator, roles: Roles) -> int:
    """The dimension along which blocks are chosen."""
    axis = int(operator.options.get("axis", 0))
    return axis + len(input_of(graph, operator, roles.table).shape) * (axis < 0)


def constraints(roles: Roles) -> tuple[Constraint, ...]:
    """The constraints after that on the number of inputs."""

    def alike(graph: Graph, operator: Operator) -> str | None:
        """The output is int8, int16 or float32, with the type and, of integers, the quantization of
        the tensor that is read; it has no data of its own."""
        before, after = input_of(graph, operator, roles.table), output_of(graph, operator)
        if before.dtype != after.dtype or after.dtype not in SUFFIXES:
            return f"{before.dtype} to {after.dtype}"
        ours, theirs = before.quantization, after.quantization
        if after.data is not None:
            return "a constant output"
        if after.dtype == "float32":
            return None
        if ours is None or theirs is None:
            return "a tensor without a scale"
        if (ours.scales, ours.zero_points) != (theirs.scales, theirs.zero_points):
            return f"scales {ours.scales} and {theirs.scales}"
        return None if len(ours.scales) == 1 else f"{len(ours.scales)} scales"

    def indices_inside(graph: Graph, operator: Operator) -> str | None:
        """Indices are int32; constant ones lie in the dimension that they choose from. Computed
        ones that do not are moved to its nearest end."""
        tensor = input_of(graph, operator, roles.indices)
        shape, axis = input_of(graph, operator, roles.table).shape, axis_of(graph, operator, roles)
        if tensor.dtype != "int32" or not 0 <= axis < len(shape) or not shape[axis]:
            return f"{tensor.dtype} indices into {list(shape)} along {axis}"
        if tensor.data is None or not tensor.data.size:
            return None
        least, most = int(tensor.data.min()), int(tensor.data.max())
        return None if least >= 0 and most < shape[axis] else f"{least} to {most} of {shape[axis]}"

    def something_varies(graph: Graph, operator: Operator) -> str | None:
        """At least one input is no constant."""
        return None if activations_read(graph, operator) else "constants alone"

    def chosen_shape(graph: Graph, operator: Operator) -> str | None:
        """The output's dimensions are the tensor's, with those of the indices in the axis's
        place."""
        shape, axis = input_of(graph, operator, roles.table).shape, axis_of(graph, operator, roles)
        chosen = input_of(graph, operator, roles.indices).shape
        wanted = (*shape[:axis], *chosen, *shape[axis + 1 :])
        output = output_of(graph, operator)
        if output.shape == wanted and output.elements:
            return None
        return f"{list(output.shape)} for {list(wanted)}"

    return (something_varies, alike, indices_inside, chosen_shape)


def lower(graph: Graph, operator: Operator, roles: Roles) -> Step:
    """One call; rows are the blocks."""
    table, indices = (input_of(graph, operator, i) for i in (roles.table, roles.indices))
    axis = axis_of(graph, operator, roles)
    element = np.dtype(NUMPY_TYPES[table.dtype]).itemsize
    fields = (
        ("length", table.shape[axis]),
        ("indices", indices.elements),
        ("bytes", math.prod(table.shape[axis + 1 :]) * element),
    )
    return Step(
        name=step_name(operator),
        kernel="stapes_gather",
        header="stapes/gather.h",
        operands=(
            Params("stapes_gather_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, roles.table),
            operand(graph, operator, roles.indices),
            result(graph, operator),
        ),
        reads=activations_read(graph, operator),
        writes=(operator.outputs[0],),
        rows=math.prod(table.shape[:axis]) * indices.elements,
    )


def inputs(rng: np.random.Generator, graph: Graph, roles: Roles) -> Iterator[list[np.ndarray]]:
    """Random data and indices that lie inside: LiteRT refuses others."""
    operator = graph.operators[0]
    length = input_of(graph, operator, roles.table).shape[axis_of(graph, operator, roles)]
    tensors: list[Tensor] = [graph.tensors[index] for index in graph.inputs]
    while True:
        yield [
            _cases.values(rng, t.shape, t.dtype)
            if t.dtype in SUFFIXES
            else rng.integers(0, length, t.shape, NUMPY_TYPES[t.dtype])
            for t in tensors
        ]
