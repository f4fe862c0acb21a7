# SPDX-License-Identifier: Apache-2.0
"""CONV_2D: int8, int16 or float32 activations, int8 or int4 weights, per tensor or channel."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases, _hybrid, _weights, _window
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    fused_activation,
    input_of,
    of_integers,
    one_type,
    operand,
    output_of,
    per_tensor,
    result,
    step_name,
)
from codegen.ops._quantize import activation_range
from codegen.program import Params, Row0, Rows, Scratch, Step

KIND = "CONV_2D"
TYPES = ("int8", "int16", "float32")
#: Of XNNPACK, which fuses the last multiplication and addition of a float32 output.
TOLERANCE_ULP = 4
#: Bits of a weight that integer kernels read.
_WIDTHS = (4, 8)


CONSTRAINTS = (
    arity(3, 3),
    first_input_varies,
    one_type,
    per_tensor,
    _window.four_dimensions,
    _window.filter_shape,
    _window.window_fits,
    *_weights.CONSTRAINTS,
    _hybrid.int8_convolution,
    of_integers(_weights.scales_in_range),
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the output's, along height (width where the height is 1)."""
    if _hybrid.is_hybrid(graph, operator):
        return _hybrid_step(graph, operator)
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    y, x = _window.axes(graph, operator)
    bits = _weights.true_bits(graph, operator, _WIDTHS)
    lowest, highest = activation_range(after, fused_activation(operator))
    multipliers, shifts = _weights.rescaling(graph, operator)
    params = Params(
        "stapes_conv_2d_params",
        (
            *_window.fields(graph, operator, "input_channels"),
            ("dilation_y", y.dilation),
            ("dilation_x", x.dilation),
            ("output_channels", after.shape[3]),
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
        kernel=f"stapes_conv_2d_{_weights.kernel_suffix(graph, operator, bits)}",
        header="stapes/conv_2d.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _weights.packed_weights(graph, operator, bits),
            _weights.folded_bias(graph, operator),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=y.output,
        macs=after.elements * math.prod(input_of(graph, operator, 1).shape[1:]),
    )
    return _window.by_row(graph, operator, call)


def _hybrid_step(graph: Graph, operator: Operator) -> Step:
    """A filter of one tap is a matrix, as XNNPACK has it: each position has a range of its own.
    Under others all of the input has one, so that each row needs the whole of it."""
    after = output_of(graph, operator)
    y, x = _window.axes(graph, operator)
    if y.taps == x.taps == y.stride == x.stride == 1:
        return _hybrid.matrix_step(graph, operator)
    products = math.prod(input_of(graph, operator, 1).shape[1:])
    return Step(
        name=step_name(operator),
        kernel="stapes_conv_2d_f32_w8",
        header="stapes/conv_2d.h",
        operands=(
            _hybrid.convolution_params(graph, operator),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _weights.packed_weights(graph, operator, 8),
            _hybrid.bias(graph, operator),
            Scratch(),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=y.output,
        scratch_bytes=2 * products,
        macs=after.elements * products,
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every padding, stride, dilation, activation; also the one-dimensional (k, 1) and (1, k)."""
    while True:
        options = _cases.window(rng)
        size = _cases.choice(rng, (9, 7), (13, 1), (1, 12), (5, 5), (1, 1), (4, 11))
        taps = tuple(_cases.integer(rng, 1, min(4, length)) for length in size)
        channels, filters = _cases.integer(rng, 1, 9), _cases.integer(rng, 1, 9)
        source = _cases.tensor(rng, (1, *size, channels), _cases.any_type(rng))
        floats = source.dtype == "float32"
        narrow = _cases.narrow_form(rng)
        form = _cases.choice(rng, ("int8", 8), ("int8", 8), ("int8", 3) if floats else narrow)
        shape = (filters, *taps, channels)
        weights = _cases.weights(rng, shape, 0, bool(rng.integers(4)), *form)
        outer = _window.output_shape(size, taps, options)
        if outer is not None and floats:
            bias = _cases.constant(rng, Tensor("", (filters,), "float32"))
            output = Tensor("", (1, *outer, filters), "float32")
            yield _cases.graph(KIND, (source, _cases.tamed(weights), bias), output, options)
        elif outer is not None:
            bias = _cases.bias(rng, source, weights, 0)
            target = _cases.fitted(rng, source, weights, channels * math.prod(taps))
            output = _cases.tensor(rng, (1, *outer, filters), source.dtype, target)
            yield _cases.graph(KIND, (source, weights, bias), output, options)
