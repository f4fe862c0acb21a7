# SPDX-License-Identifier: Apache-2.0
"""TANH, int8 or int16 by table, or float32."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _sigmoid, _unary
from codegen.ops._libm import libm
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

KIND = "TANH"
TYPES = ("int8", "int16", "float32")
#: How far float32 outputs may be from LiteRT's, in ulp of the largest.
TOLERANCE_ULP = 4


@of_integers
def unit_output(graph: Graph, operator: Operator) -> str | None:
    """int16: the output has scale 1/32768."""
    after = output_of(graph, operator)
    scale = affine(after).scale
    fits = after.dtype == "int8" or math.isclose(scale, 1 / 32768, rel_tol=6e-4)
    return None if fits else f"{scale}"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    unit_output,
    _sigmoid.moderate_scale,
    _unary.tabulated_in_range,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    if is_float(graph, operator):
        return _unary.float_step(graph, operator, "stapes_tanh_f32")
    if input_of(graph, operator, 0).dtype == "int16":
        return _sigmoid.lower(graph, operator, "stapes_tanh_s16", (0, 1))
    return _unary.tabulated(graph, operator, libm("tanhf"))


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Many values under scales from flat to a step."""
    return _sigmoid.cases(rng, KIND)
