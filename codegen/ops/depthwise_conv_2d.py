# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D: any depth multiplier, int8 or int16 activations, int8 weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _weights, _window
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    arity,
    first_input_varies,
    fused_activation,
    input_of,
    one_integer_type,
    operand,
    output_of,
    per_tensor,
    result,
    step_name,
)
from codegen.ops._quantize import activation_range
from codegen.program import Params, Row0, Rows, Step

KIND = "DEPTHWISE_CONV_2D"
TYPES = ("int8", "int16")


def filter_shape(graph: Graph, operator: Operator) -> str | None:
    """The filter is [1, height, width, output channels], which input channels divide."""
    shape = input_of(graph, operator, 1).shape
    inputs = input_of(graph, operator, 0).shape[3]
    outputs = output_of(graph, operator).shape[3]
    if len(shape) == 4 and (shape[0], shape[3]) == (1, outputs) and outputs % inputs == 0:
        return None
    return f"filter {list(shape)} from {inputs} to {outputs} channels"


CONSTRAINTS = (
    arity(2, 3),
    first_input_varies,
    one_integer_type,
    per_tensor,
    _window.four_dimensions,
    filter_shape,
    _window.window_fits,
    *_weights.CONSTRAINTS,
    _weights.scales_in_range,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the output's, along height (width where the height is 1)."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    y, x = _window.axes(graph, operator)
    lowest, highest = activation_range(after, fused_activation(operator))
    multipliers, shifts = _weights.rescaling(graph, operator)
    params = Params(
        "stapes_depthwise_conv_2d_params",
        (
            *_window.fields(graph, operator, "input_channels"),
            ("dilation_y", y.dilation),
            ("dilation_x", x.dilation),
            ("depth_multiplier", after.shape[3] // before.shape[3]),
            ("input_zero_point", affine(before).zero_point),
            ("output_zero_point", affine(after).zero_point),
            ("output_min", lowest),
            ("output_max", highest),
            ("multipliers", multipliers),
            ("shifts", shifts),
        ),
    )
    call = Step(
        name=step_name(operator),
        kernel=f"stapes_depthwise_conv_2d_{SUFFIXES[before.dtype]}",
        header="stapes/depthwise_conv_2d.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _weights.packed_weights(graph, operator, 8),
            _weights.folded_bias(graph, operator),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=y.output,
        macs=after.elements * y.taps * x.taps,
    )
    return _window.by_row(graph, operator, call)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every padding, stride, dilation, activation and multiplier; also (k, 1) and (1, k)."""
    while True:
        options = _cases.window(rng)
        size = _cases.choice(rng, (9, 7), (13, 1), (1, 12), (5, 5), (1, 1), (4, 11))
        taps = tuple(_cases.integer(rng, 1, min(5, length)) for length in size)
        channels, multiplier = _cases.integer(rng, 1, 6), _cases.choice(rng, 1, 1, 2, 3, 8)
        options["depth_multiplier"] = multiplier
        source = _cases.tensor(rng, (1, *size, channels), _cases.either_type(rng))
        shape = (1, *taps, channels * multiplier)
        weights = _cases.weights(rng, shape, 3, bool(rng.integers(4)))
        bias = (_cases.bias(rng, source, weights, 3),) if rng.integers(5) else ()
        size = _window.output_shape(size, taps, options)
        if size is not None:
            target = _cases.fitted(rng, source, weights, math.prod(taps))
            output = _cases.tensor(rng, (1, *size, shape[3]), source.dtype, target)
            yield _cases.graph(KIND, (source, weights, *bias), output, options)
