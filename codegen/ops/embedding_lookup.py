# SPDX-License-Identifier: Apache-2.0
"""EMBEDDING_LOOKUP: rows of a table, int8 or int16."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases, _gather
from codegen.ops._operands import arity, input_of
from codegen.program import Step

KIND = "EMBEDDING_LOOKUP"
TYPES = ("int8", "int16", "float32")

_ROLES = _gather.Roles(table=1, indices=0)


def rows_of_a_table(graph: Graph, operator: Operator) -> str | None:
    """The indices have one dimension, and the table has two or more."""
    indices, table = input_of(graph, operator, 0).shape, input_of(graph, operator, 1).shape
    return None if len(indices) == 1 and len(table) > 1 else f"{list(indices)} of {list(table)}"


CONSTRAINTS = (arity(2, 2), rows_of_a_table, *_gather.constraints(_ROLES))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the chosen ones."""
    return _gather.lower(graph, operator, _ROLES)


def inputs(rng: np.random.Generator, graph: Graph) -> Iterator[list[np.ndarray]]:
    """Random data and indices that lie inside."""
    return _gather.inputs(rng, graph, _ROLES)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Constant and computed tables of two and three dimensions."""
    while True:
        shape = tuple(_cases.integer(rng, 1, 9) for _ in range(_cases.integer(rng, 2, 3)))
        table = _cases.tensor(rng, shape, _cases.any_type(rng))
        if rng.integers(3):
            table = _cases.constant(rng, table)
        count = _cases.integer(rng, 1, 5)
        output = _cases.like(table, (count, *shape[1:]))
        yield _cases.graph(KIND, (Tensor("", (count,), "int32"), table), output, {})
