# SPDX-License-Identifier: Apache-2.0
"""A PAD of height and width in front of convolutions, as padding that these have themselves.

What PAD adds stands for zero, which is what a convolution takes for the taps outside its input.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Operator

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def apply(graph: Graph) -> Graph:
    """The graph with the padding in each convolution's options; a PAD that nothing reads any more
    stays behind."""
    padded = {
        operator.outputs[0]: operator
        for operator in graph.operators
        if operator.kind == "PAD" and _of_lines(graph, operator)
    }

    def rewritten(operator: Operator) -> Operator:
        pad = padded.get(operator.inputs[0]) if operator.inputs else None
        if pad is None:
            return operator
        _, height, width, _ = _paddings(graph, pad)
        options = {**operator.options, "padding": "EXPLICIT", "pad_h": height, "pad_w": width}
        return replace(operator, inputs=(pad.inputs[0], *operator.inputs[1:]), options=options)

    return replace(graph, operators=tuple(map(rewritten, graph.operators)))


def _paddings(graph: Graph, pad: Operator) -> list[tuple[int, int]]:
    """Before and behind each dimension."""
    data = graph.tensors[pad.inputs[1]].data
    assert data is not None  # as _of_lines has seen
    return [(int(before), int(behind)) for before, behind in data]


def _could(graph: Graph, pad: Operator, reader: Operator) -> bool:
    """Whether it is a convolution, each of whose windows reaches into the input."""
    if reader.kind not in _CONVOLUTIONS or reader.options.get("padding") != "VALID":
        return False
    if len(reader.inputs) < 2 or reader.inputs[0] != pad.outputs[0] or reader.inputs[1] < 0:
        return False
    taps = graph.tensors[reader.inputs[1]].shape[1:3]
    _, height, width, _ = _paddings(graph, pad)
    return len(taps) == 2 and max(height) < taps[0] and max(width) < taps[1]


def _of_lines(graph: Graph, pad: Operator) -> bool:
    """Whether it pads only height and width, keeps the scale, and only convolutions read it."""
    if len(pad.inputs) != 2 or len(pad.outputs) != 1 or min(pad.inputs) < 0:
        return False
    before, paddings, after = (graph.tensors[i] for i in (*pad.inputs, pad.outputs[0]))
    data = paddings.data
    if data is None or data.shape != (4, 2) or data.dtype.kind != "i" or (data < 0).any():
        return False
    shape = tuple(n + int(sum(pair)) for n, pair in zip(before.shape, data, strict=False))
    readers = [each for each in graph.operators if pad.outputs[0] in each.inputs]
    return (
        len(before.shape) == 4
        and after.shape == shape
        and not data[0].any()
        and not data[3].any()
        and (before.dtype, before.quantization) == (after.dtype, after.quantization)
        and pad.outputs[0] not in graph.outputs
        and all(_could(graph, pad, each) for each in readers)
    )
