# SPDX-License-Identifier: Apache-2.0
"""MUL: int8, int16 or float32, with repeated or constant inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _broadcast
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    arity,
    input_of,
    is_float,
    of_integers,
    output_of,
)
from codegen.ops._quantize import float32, quantize_multiplier
from codegen.ops._weights import known_activation
from codegen.program import Params, Step

KIND = "MUL"
TYPES = ("int8", "int16", "float32")


def _real(graph: Graph, operator: Operator) -> float:
    """The factor of a product; LiteRT computes it in single precision."""
    first = affine(input_of(graph, operator, 0)).scale
    second = affine(input_of(graph, operator, 1)).scale
    return float32(float32(first * second) / affine(output_of(graph, operator)).scale)


@of_integers
def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """The product of the input scales is below 2^30 output scales."""
    real = _real(graph, operator)
    return None if real < 2**30 else f"{real:.3g}"


CONSTRAINTS = (
    arity(2, 2),
    _broadcast.all_of_one_type,
    _broadcast.one_varies,
    _broadcast.all_per_tensor,
    _broadcast.two_levels,
    scales_in_range,
    known_activation,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions, columns the rest."""
    if is_float(graph, operator):
        return _broadcast.float_step(graph, operator, "stapes_mul_f32")
    after = output_of(graph, operator)
    multiplier, shift = quantize_multiplier(_real(graph, operator))
    params = Params(
        "stapes_mul_params",
        (
            *_broadcast.step_fields(graph, operator),
            ("input1_zero_point", affine(input_of(graph, operator, 0)).zero_point),
            ("input2_zero_point", affine(input_of(graph, operator, 1)).zero_point),
            ("output_multiplier", multiplier),
            ("output_shift", shift),
            ("output_zero_point", affine(after).zero_point),
            *_broadcast.range_fields(graph, operator),
        ),
    )
    return _broadcast.step(graph, operator, f"stapes_mul_{SUFFIXES[after.dtype]}", params)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Equal shapes and each way of repeating, either input constant or not."""
    return _broadcast.cases(rng, KIND, _broadcast.product_spread)
