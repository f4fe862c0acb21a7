# SPDX-License-Identifier: Apache-2.0
"""STRIDED_SLICE: every so many elements along each dimension, copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _slice
from codegen.ops._operands import arity, input_of
from codegen.program import Alias, Step

KIND = "STRIDED_SLICE"
TYPES = ("int8", "int16", "float32")


def plain_masks(graph: Graph, operator: Operator) -> str | None:
    """There is neither an ellipsis nor a new axis, and ends do not count from starts."""
    names = "ellipsis_mask", "new_axis_mask", "offset"
    return next(
        (f"{name} {operator.options[name]}" for name in names if _mask(operator, name)), None
    )


def _mask(operator: Operator, name: str) -> int:
    return int(operator.options.get(name, 0))


def _spans(graph: Graph, operator: Operator) -> tuple[_slice.Span, ...] | None:
    """What starts, ends and strides choose; negative ones count from the end."""
    shape = input_of(graph, operator, 0).shape
    given = [_slice.constant_integers(graph, operator, position) for position in (1, 2, 3)]
    if any(values is None or len(values) != len(shape) for values in given):
        return None
    found = []
    for axis, length in enumerate(shape):
        start, end, stride = (values[axis] for values in given if values is not None)

        def within(index: int, length: int = length) -> int:
            return min(max(index + length * (index < 0), 0), length)

        bit = 1 << axis
        first = 0 if _mask(operator, "begin_mask") & bit else within(start)
        last = length if _mask(operator, "end_mask") & bit else within(end)
        if _mask(operator, "shrink_axis_mask") & bit:
            first = start + length * (start < 0)
            last, stride = first + 1, 1
        found.append(_slice.Span(first, -((first - last) // max(stride, 1)), stride))
    return tuple(found)


CONSTRAINTS = (arity(4, 4), plain_masks, *_slice.constraints(_spans))


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step | Alias:
    """One call, or none; rows are the runs of neighbouring bytes."""
    found = _spans(graph, operator)
    assert found is not None
    return _slice.lower(graph, operator, found)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """One to four dimensions: positive and negative ends, masks, dimensions taken away."""
    while True:
        shape = tuple(_cases.integer(rng, 1, 7) for _ in range(_cases.integer(rng, 1, 4)))
        options: dict[str, Any] = dict.fromkeys(("begin_mask", "end_mask"), 0)
        options |= {"ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0, "offset": False}
        starts, ends, strides, output = [], [], [], []
        for axis, length in enumerate(shape):
            first = _cases.integer(rng, 0, length - 1)
            last = _cases.integer(rng, first + 1, length)
            stride = _cases.choice(rng, 1, 1, 2, 3)
            kind = int(rng.integers(5))
            if kind == 0:
                options["begin_mask"] |= 1 << axis
            if kind == 1:
                options["end_mask"] |= 1 << axis
            if kind == 2:
                options["shrink_axis_mask"] |= 1 << axis
                last, stride = first + 1, 1
            else:
                low, high = (0 if kind == 0 else first), (length if kind == 1 else last)
                output.append(-((low - high) // stride))
            beyond = last == length and bool(rng.integers(2))
            starts.append(first - length * int(rng.integers(2)))
            ends.append(length + 2 if beyond and kind != 2 else last)
            strides.append(stride)
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        inputs = (source, *(_cases.indices(values) for values in (starts, ends, strides)))
        yield _cases.graph(KIND, inputs, _cases.like(source, tuple(output)), options)
