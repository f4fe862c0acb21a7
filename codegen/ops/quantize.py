# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE between int8 and int16: a change of scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _unary
from codegen.ops._operands import (
    RANGES,
    affine,
    arity,
    first_input_varies,
    input_of,
    output_of,
    per_tensor,
    same_shape,
)
from codegen.program import Step

KIND = "QUANTIZE"
TYPES = ("int8", "int16")


def integers(graph: Graph, operator: Operator) -> str | None:
    """The input and the output are int8 or int16."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if set(types) <= set(RANGES) else f"{types[0]} to {types[1]}"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    integers,
    per_tensor,
    same_shape,
    _unary.rescaling_in_range,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    after = output_of(graph, operator)
    real = affine(input_of(graph, operator, 0)).scale / affine(after).scale
    return _unary.rescale(graph, operator, real, RANGES[after.dtype])


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every pair of types."""
    while True:
        source = _cases.tensor(rng, (2, 3, 50), _cases.either_type(rng))
        output = _cases.tensor(rng, source.shape, _cases.either_type(rng))
        yield _cases.graph(KIND, (source,), output, {})
