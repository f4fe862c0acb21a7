# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over height and width: geometry and constraints of convolutions and pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codegen.graph import Graph, Operator
from codegen.ops._operands import input_of, output_of
from codegen.program import BufferRef, RowAccess, Step


@dataclass(frozen=True)
class Axis:
    """A window along one dimension; taps lie `dilation` apart, output o starts at
    o * stride - pad. `behind` is the padding behind the input that a pass found."""

    input: int
    output: int
    taps: int
    stride: int
    dilation: int
    pad: int = 0
    behind: int = 0


def _span(axis: Axis) -> int:
    return (axis.taps - 1) * axis.dilation + 1


def outputs(axis: Axis, padding: str) -> int:
    """How many windows fit, by LiteRT's rule for SAME and VALID."""
    if padding == "SAME":
        return -(-axis.input // axis.stride)
    padded = axis.input + (axis.pad + axis.behind if padding == "EXPLICIT" else 0)
    return (padded + axis.stride - _span(axis)) // axis.stride


def axes(graph: Graph, operator: Operator) -> tuple[Axis, Axis]:
    """Height and width. A height of 1 under a one-tap filter changes places with the width, so
    that the longer dimension counts rows; the data's layout is the same."""
    options = operator.options
    before, after = input_of(graph, operator, 0).shape, output_of(graph, operator).shape
    if operator.kind.endswith("_POOL_2D"):
        taps = int(options.get("filter_height", 0)), int(options.get("filter_width", 0))
    else:
        filters = input_of(graph, operator, 1).shape
        taps = filters[1], filters[2]
    found = []
    for dimension, letter in enumerate("hw"):
        axis = Axis(
            before[1 + dimension],
            after[1 + dimension],
            taps[dimension],
            int(options.get(f"stride_{letter}", 1)),
            int(options.get(f"dilation_{letter}_factor", 1)),
        )
        missing = (axis.output - 1) * axis.stride + _span(axis) - axis.input
        if options.get("padding") == "SAME":
            axis = replace(axis, pad=max(missing, 0) // 2)
        elif options.get("padding") == "EXPLICIT":
            above, behind = options[f"pad_{letter}"]
            axis = replace(axis, pad=above, behind=behind)
        found.append(axis)
    y, x = found
    flat = y.input == y.taps == y.output == 1 and not y.pad and not y.behind
    return (x, y) if flat else (y, x)


def four_dimensions(graph: Graph, operator: Operator) -> str | None:
    """Input and output are [1, height, width, channels]: one batch."""
    for tensor in (input_of(graph, operator, 0), output_of(graph, operator)):
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            return f"{list(tensor.shape)}"
    return None


def filter_shape(graph: Graph, operator: Operator) -> str | None:
    """The filter is [output channels, height, width, input channels]: no groups."""
    shape = input_of(graph, operator, 1).shape
    inputs = input_of(graph, operator, 0).shape[3]
    outputs = output_of(graph, operator).shape[3]
    if len(shape) == 4 and (shape[0], shape[3]) == (outputs, inputs):
        return None
    return f"filter {list(shape)} from {inputs} to {outputs} channels"


def window_fits(graph: Graph, operator: Operator) -> str | None:
    """Filter, strides and dilations are from 1 to 2^15, padding is SAME, VALID or that of a PAD in
    front, and the output's height and width follow from them."""
    padding = operator.options.get("padding")
    if padding not in ("SAME", "VALID", "EXPLICIT"):
        return f"padding {padding}"
    for axis in axes(graph, operator):
        steps = axis.taps, axis.stride, axis.dilation
        if not all(1 <= step <= 1 << 15 for step in steps):
            return f"filter {axis.taps}, stride {axis.stride}, dilation {axis.dilation}"
        if axis.output != outputs(axis, str(padding)):
            return f"{axis.output} outputs from {axis.input} inputs"
    return None


def fields(graph: Graph, operator: Operator, channels: str) -> tuple[tuple[str, int], ...]:
    """The fields of a params struct that say where windows lie, without dilation.

    The input's channel count goes by the name `channels`.
    """
    y, x = axes(graph, operator)
    return (
        ("input_height", y.input),
        ("input_width", x.input),
        (channels, input_of(graph, operator, 0).shape[3]),
        ("output_width", x.output),
        ("filter_height", y.taps),
        ("filter_width", x.taps),
        ("stride_y", y.stride),
        ("stride_x", x.stride),
        ("pad_top", y.pad),
        ("pad_left", x.pad),
    )


def output_shape(
    size: tuple[int, int], taps: tuple[int, ...], options: Mapping[str, Any]
) -> tuple[int, int] | None:
    """Height and width that LiteRT gives a window over `size`, or None where none fits."""
    found = []
    for length, count, letter in zip(size, taps, "hw", strict=True):
        dilation = options.get(f"dilation_{letter}_factor", 1)
        axis = Axis(length, 0, count, options[f"stride_{letter}"], dilation)
        found.append(outputs(axis, options["padding"]))
    return (found[0], found[1]) if min(found) > 0 else None


def by_row(graph: Graph, operator: Operator, step: Step) -> Step:
    """The step, said to make each row from a window of rows, as many of them as there are."""
    y, _ = axes(graph, operator)
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    window = RowAccess(before.size_bytes // y.input, 1, y.stride, _span(y), -y.pad)
    rows = {
        operator.inputs[0]: window,
        operator.outputs[0]: RowAccess(after.size_bytes // y.output),
    }
    taken = (rows.get(o.index) if isinstance(o, BufferRef) else None for o in step.operands)
    return replace(step, by_row=tuple(taken), edges=("pad_top", "input_height"))
