# SPDX-License-Identifier: Apache-2.0
"""LOGISTIC of int8: 1 / (1 + exp(-x)) by table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _unary
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    input_of,
    int8_only,
    output_of,
    per_tensor,
    same_shape,
)
from codegen.program import Step

KIND = "LOGISTIC"
TYPES = ("int8",)


def unit_output(graph: Graph, operator: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128."""
    found = affine(output_of(graph, operator))
    fits = (found.scale, found.zero_point) == (1 / 256, -128)
    return None if fits else f"scale {found.scale}, zero point {found.zero_point}"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    int8_only,
    per_tensor,
    same_shape,
    unit_output,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    found = affine(input_of(graph, operator, 0))
    one = np.float32(1)
    x = np.float32(found.scale) * (np.arange(-128, 128) - found.zero_point).astype(np.float32)
    # In single precision, as LiteRT; the exponential is rounded once, as a good libm does.
    with np.errstate(over="ignore"):
        real = one / (one + np.exp(-x.astype(np.float64)).astype(np.float32))
    table = np.floor(real * np.float32(256) + np.float32(0.5)) - 128
    return _unary.lookup(graph, operator, np.clip(table, -128, 127))


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """All 256 inputs under scales from flat to a step."""
    while True:
        source = _cases.tensor(rng, (4, 64), "int8", _cases.scale(rng, 1e-3, 2.0))
        output = _cases.tensor(rng, source.shape, "int8", 1 / 256, -128)
        yield _cases.graph(KIND, (source,), output, {})
