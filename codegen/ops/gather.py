# SPDX-License-Identifier: Apache-2.0
"""GATHER along any dimension, by constant or computed indices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases, _gather
from codegen.ops._operands import arity
from codegen.program import Step

KIND = "GATHER"
TYPES = ("int8", "int16", "float32")

_ROLES = _gather.Roles(table=0, indices=1)


def no_batches(graph: Graph, operator: Operator) -> str | None:
    """Indices are the same for all leading dimensions: batch_dims is 0."""
    batches = int(operator.options.get("batch_dims", 0))
    return None if batches == 0 else str(batches)


CONSTRAINTS = (arity(2, 2), no_batches, *_gather.constraints(_ROLES))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the blocks."""
    return _gather.lower(graph, operator, _ROLES)


def inputs(rng: np.random.Generator, graph: Graph) -> Iterator[list[np.ndarray]]:
    """Random data and indices that lie inside."""
    return _gather.inputs(rng, graph, _ROLES)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """One to three dimensions, none to two dimensions of indices, either input constant."""
    while True:
        shape = tuple(_cases.integer(rng, 1, 6) for _ in range(_cases.integer(rng, 1, 3)))
        axis = _cases.integer(rng, 0, len(shape) - 1)
        chosen = _cases.choice(rng, (), (1,), (7,), (2, 3))
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        indices = Tensor("", chosen, "int32")
        constant = int(rng.integers(3))
        if constant == 0:
            source = _cases.constant(rng, source)
        if constant == 1:
            data = rng.integers(0, shape[axis], chosen, np.int32)
            indices = Tensor("", chosen, "int32", None, np.asarray(data, np.int32))
        output = _cases.like(source, (*shape[:axis], *chosen, *shape[axis + 1 :]))
        options = {"axis": axis - len(shape) * int(rng.integers(2)), "batch_dims": 0}
        yield _cases.graph(KIND, (source, indices), output, options)
