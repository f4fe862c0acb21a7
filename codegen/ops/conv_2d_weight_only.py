# SPDX-License-Identifier: Apache-2.0
"""CONV_2D of float32 with int8 weights, which codegen/passes/weight_only.py makes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases, _hybrid, _weights, _window
from codegen.ops._operands import (
    arity,
    first_input_varies,
    input_of,
    operand,
    output_of,
    result,
    step_name,
)
from codegen.program import Constant, Row0, Rows, Scratch, Step

KIND = "CONV_2D_WEIGHT_ONLY"
TYPES = ("float32",)
#: Of LiteRT, which scales weights before it multiplies, and adds products in another order.
TOLERANCE_ULP = 32

#: Positions and channels that the kernel sums side by side: STAPES_SIDE.
_SIDE = 4


def made_by_the_pass(graph: Graph, operator: Operator) -> str | None:
    """No file names this operator: it takes the place of a float32 CONV_2D whose weights come out
    of a DEQUANTIZE of an int8 constant. Activations stay float32."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if types == ("float32", "float32") else f"{types[0]} to {types[1]}"


CONSTRAINTS = (
    arity(3, 3),
    first_input_varies,
    made_by_the_pass,
    _window.four_dimensions,
    _window.filter_shape,
    _window.window_fits,
    _weights.constant_weights,
    _hybrid.int8_convolution,
    _weights.symmetric_weights,
    _weights.constant_bias,
    _weights.known_activation,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the output's, along height (width where the height is 1)."""
    after = output_of(graph, operator)
    products = math.prod(input_of(graph, operator, 1).shape[1:])
    call = Step(
        name=step_name(operator),
        kernel="stapes_conv_2d_f32_weight_only",
        header="stapes/conv_2d.h",
        operands=(
            _hybrid.convolution_params(graph, operator),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _side_by_side(graph, operator),
            _hybrid.bias(graph, operator),
            Scratch(),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=_window.axes(graph, operator)[0].output,
        scratch_bytes=4 * _SIDE * products,
        macs=after.elements * products,
    )
    return _window.by_row(graph, operator, call)


def _side_by_side(graph: Graph, operator: Operator) -> Constant:
    """int8 (channels / 4, rounded up, products, 4): four channels' weights next to each other."""
    matrix = _weights.matrix(graph, operator)
    padded = np.zeros((-(-len(matrix) // _SIDE) * _SIDE, matrix.shape[1]), np.int8)
    padded[: len(matrix)] = matrix
    return Constant(
        "weights", padded.reshape(-1, _SIDE, matrix.shape[1]).swapaxes(1, 2).reshape(-1)
    )


def decomposed(graph: Graph) -> Graph:
    """What the pass makes it of: DEQUANTIZE and CONV_2D."""
    (operator,) = graph.operators
    x, weights, bias = operator.inputs
    floats = Tensor("weights", graph.tensors[weights].shape, "float32")
    added = len(graph.tensors)
    dequantize = Operator(0, "DEQUANTIZE", (weights,), (added,))
    convolution = replace(operator, index=1, kind="CONV_2D", inputs=(x, added, bias))
    tensors = (*graph.tensors, floats)
    return replace(graph, tensors=tensors, operators=(dequantize, convolution))


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every padding, stride, dilation, activation; also the one-dimensional (k, 1) and (1, k)."""
    while True:
        options = _cases.window(rng)
        size = _cases.choice(rng, (9, 7), (13, 1), (1, 12), (5, 5), (1, 1), (4, 11))
        taps = tuple(_cases.integer(rng, 1, min(4, length)) for length in size)
        channels, filters = _cases.integer(rng, 1, 9), _cases.integer(rng, 1, 9)
        shape = (filters, *taps, channels)
        weights = _cases.tamed(_cases.weights(rng, shape, 0, bool(rng.integers(4))))
        outer = _window.output_shape(size, taps, options)
        if outer is not None:
            source = _cases.tensor(rng, (1, *size, channels), "float32")
            bias = _cases.constant(rng, Tensor("", (filters,), "float32"))
            output = Tensor("", (1, *outer, filters), "float32")
            yield _cases.graph(KIND, (source, weights, bias), output, options)
