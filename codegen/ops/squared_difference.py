# SPDX-License-Identifier: Apache-2.0
"""SQUARED_DIFFERENCE of int8 or float32, with repeated or constant inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _broadcast, _sum
from codegen.ops._operands import affine, arity, is_float, of_integers, output_of
from codegen.program import Step

KIND = "SQUARED_DIFFERENCE"
TYPES = ("int8", "float32")

#: Bits by which differences are scaled up before they are squared.
_HEADROOM = 7


def _real(graph: Graph, operator: Operator) -> float:
    """The factor of a square."""
    unit = _sum.common_scale(graph, operator) ** 2
    return unit / ((1 << 2 * _HEADROOM) * affine(output_of(graph, operator)).scale)


def int8_or_float(graph: Graph, operator: Operator) -> str | None:
    """The output is int8 or float32."""
    dtype = output_of(graph, operator).dtype
    return None if dtype in TYPES else dtype


@of_integers
def square_scales_down(graph: Graph, operator: Operator) -> str | None:
    """The output scale is above 2^-12 of the square of the larger input scale."""
    factor = _real(graph, operator)
    return None if 0 < factor < 1 else f"{factor:.3g} times that"


CONSTRAINTS = (
    arity(2, 2),
    _broadcast.all_of_one_type,
    int8_or_float,
    _broadcast.one_varies,
    _broadcast.all_per_tensor,
    _broadcast.two_levels,
    square_scales_down,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions, columns the rest."""
    if is_float(graph, operator):
        return _broadcast.float_step(graph, operator, "stapes_squared_difference_f32")
    return _sum.step(graph, operator, "stapes_squared_difference", _real(graph, operator))


def _spread(dtype: str, first: float, second: float) -> float:
    return 64 * max(first, second) ** 2


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Equal shapes and each way of repeating, either input constant or not."""
    return _broadcast.cases(rng, KIND, _spread, TYPES, activations=False)
