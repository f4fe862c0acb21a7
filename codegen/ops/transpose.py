# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE of up to four dimensions; no code runs where only dimensions of 1 move."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    arity,
    first_input_varies,
    input_of,
    leading,
    one_type,
    operand,
    output_of,
    result,
    same_quantization,
    step_name,
)
from codegen.program import Alias, Params, Row0, Rows, Step

KIND = "TRANSPOSE"
TYPES = ("int8", "int16", "float32")


def constant_permutation(graph: Graph, operator: Operator) -> str | None:
    """The permutation is constant and names each of 1 to 4 dimensions once."""
    tensor, rank = input_of(graph, operator, 1), len(input_of(graph, operator, 0).shape)
    if tensor.data is None:
        return "a permutation that is computed"
    order = _order(graph, operator)
    if tensor.dtype == "int32" and 1 <= rank <= 4 and sorted(order) == list(range(rank)):
        return None
    return f"{tensor.dtype} {order} of {rank} dimensions"


def permuted_shape(graph: Graph, operator: Operator) -> str | None:
    """The output's dimensions are the input's in that order."""
    shape, output = input_of(graph, operator, 0).shape, output_of(graph, operator).shape
    wanted = tuple(shape[axis] for axis in _order(graph, operator))
    return None if output == wanted else f"{list(shape)} to {list(output)}"


CONSTRAINTS = (
    arity(2, 2),
    first_input_varies,
    one_type,
    same_quantization,
    constant_permutation,
    permuted_shape,
)


def _order(graph: Graph, operator: Operator) -> list[int]:
    tensor, rank = input_of(graph, operator, 1), len(input_of(graph, operator, 0).shape)
    assert tensor.data is not None
    return [int(axis) + rank * (axis < 0) for axis in tensor.data.reshape(-1)]


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step | Alias:
    """One call, or none; rows are the product of the output's leading dimensions."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    order = _order(graph, operator)
    moved = [axis for axis in order if before.shape[axis] > 1]
    if moved == sorted(moved):
        return Alias(operator.inputs[0], operator.outputs[0])
    missing = 4 - len(order)
    shape = (1,) * missing + after.shape
    steps = (0,) * missing + tuple(math.prod(before.shape[axis + 1 :]) for axis in order)
    params = Params(
        "stapes_transpose_params",
        (
            ("output_1", shape[1]),
            ("output_2", shape[2]),
            ("output_3", shape[3]),
            ("step_0", steps[0]),
            ("step_1", steps[1]),
            ("step_2", steps[2]),
            ("step_3", steps[3]),
        ),
    )
    return Step(
        name=step_name(operator),
        kernel=f"stapes_transpose_{SUFFIXES[before.dtype]}",
        header="stapes/layout.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=leading(after.shape),
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every order of one to four dimensions, some of them 1."""
    while True:
        rank = _cases.integer(rng, 1, 4)
        shape = tuple(_cases.choice(rng, 1, 2, 3, 5) for _ in range(rank))
        order = [int(axis) for axis in rng.permutation(rank)]
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        output = _cases.like(source, tuple(shape[axis] for axis in order))
        yield _cases.graph(KIND, (source, _cases.indices(order)), output, {})
