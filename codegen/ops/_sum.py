# SPDX-License-Identifier: Apache-2.0
"""What ADD, SUB and SQUARED_DIFFERENCE share: they bring inputs to a common scale, and the result
to the output's."""

from __future__ import annotations

import math

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
from codegen.ops._quantize import quantize_multiplier
from codegen.ops._weights import known_activation
from codegen.program import Params, Step

#: Bits by which inputs are scaled up before they are brought to a common scale.
_HEADROOM = {"int8": 20, "int16": 15}


def common_scale(graph: Graph, operator: Operator) -> float:
    """Twice the larger input scale."""
    return 2 * max(affine(input_of(graph, operator, i)).scale for i in (0, 1))


def _real(graph: Graph, operator: Operator) -> float:
    """The factor of the sum."""
    after = output_of(graph, operator)
    headroom = 1 << _HEADROOM[after.dtype]
    return common_scale(graph, operator) / (headroom * affine(after).scale)


@of_integers
def sum_scales_down(graph: Graph, operator: Operator) -> str | None:
    """The output scale is above 2^-19 (int8) or 2^-14 (int16) of the larger input scale."""
    factor = _real(graph, operator)
    return None if factor < 1 else f"{factor:.3g} times that"


@of_integers
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
    _broadcast.all_of_one_type,
    _broadcast.one_varies,
    _broadcast.all_per_tensor,
    _broadcast.two_levels,
    sum_scales_down,
    not_powers_of_two,
    known_activation,
)


def lower(graph: Graph, operator: Operator, kernel: str) -> Step:
    """One call of `kernel`, whose name lacks the type."""
    if is_float(graph, operator):
        return _broadcast.float_step(graph, operator, f"{kernel}_f32")
    return step(graph, operator, kernel, _real(graph, operator))


def step(graph: Graph, operator: Operator, kernel: str, real: float) -> Step:
    """One call of `kernel`, whose name lacks the type and which scales its result by `real`."""
    first, second = (affine(input_of(graph, operator, i)) for i in (0, 1))
    after = output_of(graph, operator)
    common = common_scale(graph, operator)
    pairs = [quantize_multiplier(x) for x in (first.scale / common, second.scale / common, real)]
    params = Params(
        "stapes_add_params",
        (
            *_broadcast.step_fields(graph, operator),
            ("input1_zero_point", first.zero_point),
            ("input2_zero_point", second.zero_point),
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
