# SPDX-License-Identifier: Apache-2.0
"""SLICE: a block of the input, copied; no code runs where it is all of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _slice
from codegen.ops._operands import arity, input_of
from codegen.program import Alias, Step

KIND = "SLICE"
TYPES = ("int8", "int16", "float32")


def _spans(graph: Graph, operator: Operator) -> tuple[_slice.Span, ...] | None:
    """What starts and sizes choose; a size of -1 is all that is left."""
    shape = input_of(graph, operator, 0).shape
    first = _slice.constant_integers(graph, operator, 1)
    sizes = _slice.constant_integers(graph, operator, 2)
    if first is None or sizes is None or not len(first) == len(sizes) == len(shape):
        return None
    return tuple(
        _slice.Span(start, length - start if size == -1 else size)
        for start, size, length in zip(first, sizes, shape, strict=True)
    )


CONSTRAINTS = (arity(3, 3), *_slice.constraints(_spans))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step | Alias:
    """One call, or none; rows are the runs of neighbouring bytes."""
    found = _spans(graph, operator)
    assert found is not None
    return _slice.lower(graph, operator, found)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Blocks of one to four dimensions, some reaching to the end."""
    while True:
        shape = tuple(_cases.integer(rng, 1, 6) for _ in range(_cases.integer(rng, 1, 4)))
        first = [_cases.integer(rng, 0, length - 1) for length in shape]
        counts = [_cases.integer(rng, 1, n - f) for n, f in zip(shape, first, strict=True)]
        sizes = [
            -1 if start + count == length and rng.integers(2) else count
            for start, count, length in zip(first, counts, shape, strict=True)
        ]
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        output = _cases.like(source, tuple(counts))
        inputs = (source, _cases.indices(first), _cases.indices(sizes))
        yield _cases.graph(KIND, inputs, output, {})
