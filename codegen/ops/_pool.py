# SPDX-License-Identifier: Apache-2.0
"""What AVERAGE_POOL_2D and MAX_POOL_2D share: all but the kernel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _window
from codegen.ops._operands import (
    SUFFIXES,
    arity,
    first_input_varies,
    fused_activation,
    input_of,
    one_integer_type,
    operand,
    output_of,
    per_tensor,
    result,
    same_quantization,
    step_name,
)
from codegen.ops._quantize import activation_range
from codegen.ops._weights import known_activation
from codegen.program import Params, Row0, Rows, Step


def same_channels(graph: Graph, operator: Operator) -> str | None:
    """The output has the input's channels, and a window fewer than 2^16 positions."""
    before, after = input_of(graph, operator, 0).shape[3], output_of(graph, operator).shape[3]
    if before != after:
        return f"{before} to {after} channels"
    y, x = _window.axes(graph, operator)
    return None if y.taps * x.taps < 1 << 16 else f"{y.taps * x.taps} positions"


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_integer_type,
    per_tensor,
    same_quantization,
    _window.four_dimensions,
    same_channels,
    _window.window_fits,
    known_activation,
)


def lower(graph: Graph, operator: Operator, kernel: str) -> Step:
    """One call of `kernel`, whose name lacks the type."""
    after = output_of(graph, operator)
    y, _ = _window.axes(graph, operator)
    lowest, highest = activation_range(after, fused_activation(operator))
    params = Params(
        "stapes_pool_2d_params",
        (
            *_window.fields(graph, operator, "channels"),
            ("output_min", lowest),
            ("output_max", highest),
        ),
    )
    call = Step(
        name=step_name(operator),
        kernel=f"{kernel}_{SUFFIXES[after.dtype]}",
        header="stapes/pool_2d.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=y.output,
    )
    return _window.by_row(graph, operator, call)


def cases(rng: np.random.Generator, kind: str) -> Iterator[Graph]:
    """Every padding, stride and activation."""
    while True:
        options = _cases.window(rng, dilate=False)
        size = _cases.choice(rng, (9, 7), (13, 1), (1, 12), (5, 5), (1, 1), (4, 11))
        taps = tuple(_cases.integer(rng, 1, min(5, length)) for length in size)
        options["filter_height"], options["filter_width"] = taps
        source = _cases.tensor(rng, (1, *size, _cases.integer(rng, 1, 9)), _cases.either_type(rng))
        shape = _window.output_shape(size, taps, options)
        if shape is not None:
            output = _cases.like(source, (1, *shape, source.shape[3]))
            yield _cases.graph(kind, (source,), output, options)
