# SPDX-License-Identifier: Apache-2.0
"""The range of every activation of a float model over calibration inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph
from codegen.ptq.histogram import Histogram, Range, Seen
from codegen.ptq.recipe import MIN_MAX, RANGES
from codegen.registry import plugins

#: Those of a tensor's integers, by its name, 8 where it is not named.
Bits = Mapping[str, int]
ALL_8: Bits = {}
#: X^T X (in, in) float64 over the inputs X of the weights at a tensor's index.
Moments = Mapping[int, np.ndarray]
NO_MOMENTS: Moments = {}
#: Integers (out, in) int8 and scales (out, blocks) float32 of the weights at a tensor's index.
Chosen = Mapping[int, tuple[np.ndarray, np.ndarray]]
NONE_CHOSEN: Chosen = {}


class Watched:
    """A float graph whose every activation is looked at.

    It runs under the reference kernels, whose order of summation is the same on every computer, or
    `fast`, many times so, under the optimised ones. `graph` is what `float_bytes` says, and
    `ranges` the file of ptq/ranges that chooses ranges.
    """

    def __init__(
        self, float_bytes: bytes, graph: Graph, ranges: str = MIN_MAX, *, fast: bool = False
    ):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.graph = graph
        self._interpreter = Interpreter(
            model_content=float_bytes,
            num_threads=1,
            experimental_op_resolver_type=(
                OpResolverType.BUILTIN if fast else OpResolverType.BUILTIN_REF
            ),
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        made = (index for operator in graph.operators for index in operator.outputs)
        self._watched = [*graph.inputs, *made]
        self._lowest = np.full(len(self._watched), np.inf)
        self._highest = np.full(len(self._watched), -np.inf)
        self._way = plugins(RANGES)[ranges]
        self._histograms = [Histogram() for _ in self._watched if self._way.NEEDS_HISTOGRAM]
        self.count = 0

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs of the graph's own sizes, both in the graph's order."""
        for index, value in zip(self.graph.inputs, inputs, strict=True):
            tensor = self.graph.tensors[index]
            value = np.ascontiguousarray(value, tensor.dtype).reshape(tensor.shape)
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        for place, index in enumerate(self._watched):
            values = self._interpreter.get_tensor(index)
            low, high = values.min(), values.max()
            # unlike Python's min and max, these keep what is not a number
            self._lowest[place] = np.minimum(self._lowest[place], low)
            self._highest[place] = np.maximum(self._highest[place], high)
            if self._histograms and np.isfinite(low) and np.isfinite(high):
                self._histograms[place].add(values)
        self.count += 1
        return [self._interpreter.get_tensor(index) for index in self.graph.outputs]

    def ranges(self, bits: Bits = ALL_8) -> dict[str, Range]:
        """The range of each activation so far, by tensor name, chosen for integers of its bits.

        Raises UserError where nothing ran, or for values that are not finite.
        """
        seen = self.seen().items()
        return {name: self._way.chosen(each, bits.get(name, 8)) for name, each in seen}

    def seen(self) -> dict[str, Seen]:
        """What was seen of each activation so far, by tensor name; raises as `ranges`."""
        if self.count == 0:
            raise UserError("Calibration needs at least one sample, but got none; check the data.")
        found = {}
        for place, index in enumerate(self._watched):
            name = self.graph.tensors[index].name
            low, high = float(self._lowest[place]), float(self._highest[place])
            if not (np.isfinite(low) and np.isfinite(high)):
                raise UserError(
                    f"Tensor '{name}' takes the values {low} to {high} over the"
                    f" {self.count} calibration samples; only finite values can be quantized:"
                    " check the model and the data."
                )
            histogram = self._histograms[place] if self._histograms else Histogram()
            found[name] = histogram.seen(low, high)
        return found

    def moments(self) -> Moments:
        """Of no weights; moments.py has those who sum up."""
        return NO_MOMENTS


def calibrate(
    float_bytes: bytes,
    graph: Graph,
    samples: Iterable[Mapping[str, np.ndarray]],
    bits: Bits = ALL_8,
    ranges: str = MIN_MAX,
) -> dict[str, Range]:
    """The range of each activation, by tensor name, over all samples, by a file of ptq/ranges.

    `graph` is what `float_bytes` says; a sample maps each input's tensor name to an array of the
    input's shape. Raises UserError for no samples, a missing input, a wrong shape, or values that
    are not finite.
    """
    watched = Watched(float_bytes, graph, ranges)
    for number, sample in enumerate(samples):
        watched.run([_input(graph, index, sample, number) for index in graph.inputs])
    return watched.ranges(bits)


def _input(graph: Graph, index: int, sample: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    tensor = graph.tensors[index]
    if tensor.name not in sample:
        raise UserError(
            f"Calibration sample {number} lacks the input '{tensor.name}'; it has"
            f" {', '.join(sorted(sample)) or 'none'}: name the arrays after the model's inputs."
        )
    values = np.asarray(sample[tensor.name])
    if values.shape != tensor.shape:
        raise UserError(
            f"Calibration sample {number} has shape {values.shape} for the input"
            f" '{tensor.name}'; the model takes {tensor.shape}."
        )
    return np.ascontiguousarray(values, tensor.dtype)
