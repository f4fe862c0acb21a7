# SPDX-License-Identifier: Apache-2.0
"""What ADD and SUB share: both bring inputs to a common scale, and the result to the output's."""

from __future__ import annotations

import math

from codegen.graph import Graph, Operator
from codegen.ops import _broadcast
from codegen.ops._operands import SUFFIXES, affine, arity, input_of, output_of
from codegen.ops._quantize import quantize_multiplier
from codegen.ops._weights import known_activation
from codegen.program import Params, Step

#: Bits by which inputs are scaled up before they are brought to a common scale.
_HEADROOM = {"int8": 20, "int16": 15}


def _reals(graph: Graph, operator: Operator) -> tuple[float, float, float]:
    """The factors of both inputs and of the sum."""
    first = affine(input_of(graph, operator, 0)).scale
    second = affine(input_of(graph, operator, 1)).scale
    after = output_of(graph, operator)
    twice = 2 * max(first, second)
    headroom = 1 << _HEADROOM[after.dtype]
    return first / twice, second / twice, twice / (headroom * affine(after).scale)


def sum_scales_down(graph: Graph, operator: Operator) -> str | None:
    """The output scale is above 2^-19 (int8) or 2^-14 (int16) of the larger input scale."""
    factor = _reals(graph, operator)[2]
    return None if factor < 1 else f"{factor:.3g} times that"


def not_powers_of_two(graph: Graph, operator: Operator) -> str | None:
    """int16 scales are not all powers of two, unless the option pot_scale_int16 is false."""
    tensors = input_of(graph, operator, 0), input_of(graph, operator, 1), output_of(graph, operator)
    if tensors[0].dtype == "int8" or not operator.options.get("pot_scale_int16", True):
        return None
    logs = [math.log2(affine(tensor).scale) for tensor in tensors]
    # LiteRT then shifts instead, with other roundings.
    return "powers of two" if all(abs(x - round(x)) < 1e-3 for x in logs) else None


CONSTRAINTS = (
    arity(2, 2),
    _broadcast.both_integer,
    _broadcast.one_varies,
    _broadcast.all_per_tensor,
    _broadcast.two_levels,
    sum_scales_down,
    not_powers_of_two,
    known_activation,
)


def lower(graph: Graph, operator: Operator, kernel: str) -> Step:
    """One call of `kernel`, whose name lacks the type."""
    first, second = input_of(graph, operator, 0), input_of(graph, operator, 1)
    after = output_of(graph, operator)
    pairs = [quantize_multiplier(real) for real in _reals(graph, operator)]
    params = Params(
        "stapes_add_params",
        (
            *_broadcast.step_fields(graph, operator),
            ("input1_zero_point", affine(first).zero_point),
            ("input2_zero_point", affine(second).zero_point),
            ("input1_multiplier", pairs[0][0]),
            ("input1_shift", pairs[0][1]),
            ("input2_multiplier", pairs[1][0]),
            ("input2_shift", pairs[1][1]),
            ("output_multiplier", pairs[2][0]),
            ("output_shift", pairs[2][1]),
            ("output_zero_point", affine(after).zero_point),
            *_broadcast.range_fields(graph, operator),
        ),
    )
    return _broadcast.step(graph, operator, f"{kernel}_{SUFFIXES[after.dtype]}", params)
