# SPDX-License-Identifier: Apache-2.0
"""What recordings give a float model's matrices and convolutions to multiply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.analyze.statistics import PowerSums
from codegen.errors import UserError
from codegen.graph import Graph, Operator
from codegen.ops import _window
from codegen.ptq.calibrate import Moments
from codegen.ptq.moments import WatchedMoments
from codegen.report.layers import Spread
from codegen.tflite.weights import MATRIX, float_weights


class WatchedInputs(WatchedMoments):
    """A float graph of which the inputs of all weights are summed up, convolutions' as well."""

    def __init__(self, float_bytes: bytes, graph: Graph) -> None:
        super().__init__(float_bytes, graph)
        weighed = [o for o in graph.operators if float_weights(graph, o) is not None]
        self._sources = [(operator.inputs[1], operator.inputs[0]) for operator in weighed]
        self._convolutions = [operator for operator in weighed if operator.kind != MATRIX]
        self._products: dict[int, np.ndarray] = {}
        for operator in self._convolutions:
            _check(graph, operator)
            width = int(np.prod(graph.tensors[operator.inputs[1]].shape[1:]))
            self._products[operator.inputs[1]] = np.zeros((width, width))
        self._powers = {
            source: PowerSums(graph.tensors[source].shape[-1]) for _, source in self._sources
        }

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As WatchedMoments'."""
        outputs = super().run(inputs)
        for source, powers in self._powers.items():
            powers.add(self._interpreter.get_tensor(source))
        for operator in self._convolutions:
            axes = _window.axes(self.graph, operator)
            rows = patches(self._interpreter.get_tensor(operator.inputs[0]), *axes)
            self._products[operator.inputs[1]] += rows.T @ rows
        return outputs

    def moments(self) -> Moments:
        """X^T X of all weights; a convolution's rows are the patches under its filter."""
        return {**super().moments(), **self._products}

    def spreads(self) -> dict[int, Spread]:
        """How the inputs lie that the weights at a tensor's index have, those first read there."""
        found: dict[int, Spread] = {}
        for place, source in self._sources:
            if place not in found:
                found[place] = self._powers[source].spread()
        return found


def _check(graph: Graph, operator: Operator) -> None:
    """Raise UserError for a convolution whose patches are not those of one image."""
    for holds in (_window.four_dimensions, _window.filter_shape, _window.window_fits):
        problem = holds(graph, operator)
        if problem is not None:
            name = graph.tensors[operator.outputs[0]].name
            raise UserError(
                f"{operator.kind} '{name}' before quantizing has {problem}; make the package again."
            )


def patches(values: np.ndarray, y: _window.Axis, x: _window.Axis) -> np.ndarray:
    """What lies under a filter at each of its places (places, taps * channels), float64.

    `values` (1, height, width, channels) are those of one image; beyond its border are zeros.
    """
    image = values.reshape(y.input, x.input, -1)
    padded = np.pad(image, (_border(y), _border(x), (0, 0)))
    rows, columns = _places(y), _places(x)
    found = padded[rows[:, None, :, None], columns[None, :, None, :]]
    result: np.ndarray = found.reshape(y.output * x.output, -1).astype(np.float64)
    return result


def _places(axis: _window.Axis) -> np.ndarray:
    """(output, taps): which entries of the padded axis lie under the filter."""
    starts = np.arange(axis.output) * axis.stride
    places: np.ndarray = starts[:, None] + np.arange(axis.taps) * axis.dilation
    return places


def _border(axis: _window.Axis) -> tuple[int, int]:
    """Zeros in front of the axis and behind it."""
    last = (axis.output - 1) * axis.stride + (axis.taps - 1) * axis.dilation
    return axis.pad, max(0, last + 1 - axis.pad - axis.input)
