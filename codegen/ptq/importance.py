# SPDX-License-Identifier: Apache-2.0
"""Second moments in which frames count as much as the decoder listens to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.graph import Graph
from codegen.ptq.moments import WatchedMoments

#: The decoder's attention to frames, (heads, 1, frames), by an operator's name.
_LISTENING = r".*\bcross/mix(_\d+)?"


class Importance:
    """What the decoder attends to in one recording after another, and who waits to know it."""

    def __init__(self, least: float, *, fast: bool = False):
        self._least = least
        self._fast = fast
        self._mass: list[NDArray[np.float64]] = []
        self._waiting: list[WeighedMoments] = []

    def watch(self, float_bytes: bytes, graph: Graph, ranges: str) -> WeighedMoments:
        """A float graph whose moments are of weighed frames; the decoder's tells their weights."""
        watched = WeighedMoments(float_bytes, graph, ranges, self, fast=self._fast)
        self._waiting.append(watched)
        return watched

    def attended(self, shares: np.ndarray) -> None:
        """Hear of one step's attention (heads, 1, frames) in a layer."""
        self._mass.append(shares.astype(np.float64).sum(axis=(0, 1)))

    def ended(self) -> None:
        """The recording is over: count its frames by what they were attended to."""
        weights = frame_weights(np.sum(self._mass, axis=0), self._least)
        self._mass.clear()
        for part in self._waiting:
            part.settle(weights)


class WeighedMoments(WatchedMoments):
    """A float graph whose inputs of matrices wait for the weights of their frames.

    The graph that attends to frames has steps for rows, which are summed up as they are.
    """

    def __init__(
        self,
        float_bytes: bytes,
        graph: Graph,
        ranges: str,
        importance: Importance,
        *,
        fast: bool = False,
    ):
        super().__init__(float_bytes, graph, ranges, fast=fast)
        self._importance = importance
        self._listening = [
            operator.outputs[0]
            for operator in graph.operators
            if operator.kind == "SOFTMAX"
            and re.fullmatch(_LISTENING, graph.tensors[operator.outputs[0]].name)
        ]
        self._frames: list[tuple[int, np.ndarray]] = []

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As WatchedMoments', frames aside."""
        outputs = super().run(inputs)
        for index in self._listening:
            self._importance.attended(self._interpreter.get_tensor(index))
        return outputs

    def add(self, source: int, rows: np.ndarray) -> None:
        """Sum up steps; keep frames."""
        if self._listening:
            super().add(source, rows)
        else:
            self._frames.append((source, rows))

    def settle(self, weights: NDArray[np.float64]) -> None:
        """Sum up the frames that were kept, by their weights (frames,)."""
        for source, rows in self._frames:
            super().add(source, rows * weights[:, None])
        self._frames.clear()


def frame_weights(mass: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Weights (frames,) from `least` to 1, in proportion to what is above the least mass.

    >>> frame_weights(np.array([2.0, 6.0, 4.0]), 0.5).tolist()
    [0.5, 1.0, 0.75]
    >>> frame_weights(np.array([2.0, 2.0]), 0.5).tolist()
    [1.0, 1.0]
    """
    above = mass - mass.min()
    most = above.max()
    if not most > 0:
        return np.ones_like(mass)
    result: NDArray[np.float64] = least + (1 - least) * above / most
    return result
