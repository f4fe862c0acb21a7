# SPDX-License-Identifier: Apache-2.0
"""LOGISTIC, int8 or int16 by table, or float32: 1 / (1 + exp(-x))."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _sigmoid, _unary
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    of_integers,
    one_type,
    output_of,
    per_tensor,
    same_shape,
)
from codegen.program import Step

KIND = "LOGISTIC"
TYPES = ("int8", "int16", "float32")
#: How far float32 outputs may be from LiteRT's, in ulp of the largest.
TOLERANCE_ULP = 4


@of_integers
def unit_output(graph: Graph, operator: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128 (int8), or 1/32768 and 0 (int16)."""
    after = output_of(graph, operator)
    found = affine(after)
    fits = (found.scale, found.zero_point) == _sigmoid.UNITS[after.dtype]
    return None if fits else f"scale {found.scale}, zero point {found.zero_point}"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    unit_output,
    _sigmoid.moderate_scale,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    if is_float(graph, operator):
        return _unary.float_step(graph, operator, "stapes_logistic_f32")
    if input_of(graph, operator, 0).dtype == "int16":
        return _sigmoid.lower(graph, operator, "stapes_logistic_s16", (0,))
    found = affine(input_of(graph, operator, 0))
    one = np.float32(1)
    x = np.float32(found.scale) * (np.arange(-128, 128) - found.zero_point).astype(np.float32)
    # In single precision, as LiteRT; the exponential is rounded once, as a good libm does.
    with np.errstate(over="ignore"):
        real = one / (one + np.exp(-x.astype(np.float64)).astype(np.float32))
    table = np.floor(real * np.float32(256) + np.float32(0.5)) - 128
    return _unary.lookup(graph, operator, np.clip(table, -128, 127))


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Many values under scales from flat to a step."""
    return _sigmoid.cases(rng, KIND)
