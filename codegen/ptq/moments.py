# SPDX-License-Identifier: Apache-2.0
"""Second moments of what a float model multiplies with its matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.graph import Graph
from codegen.ptq.calibrate import Moments, Watched

#: Rows that are kept before they are summed up: a decoder's come one by one.
_ROWS = 256


class WatchedMoments(Watched):
    """A float graph whose matrices' inputs are summed up, beside the ranges of all activations."""

    def __init__(
        self, float_bytes: bytes, graph: Graph, ranges: str = "minmax", *, fast: bool = False
    ):
        super().__init__(float_bytes, graph, ranges, fast=fast)
        self._sums: dict[int, _Sum] = {}
        self._pairs: dict[tuple[int, int], None] = {}
        for operator in graph.operators:
            source, weights = (*operator.inputs, -1)[:2]
            if operator.kind == "FULLY_CONNECTED" and graph.tensors[weights].data is not None:
                self._sums.setdefault(source, _Sum(graph.tensors[weights].shape[1]))
                self._pairs[source, weights] = None

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As Watched's; weights that share an input share a sum."""
        outputs = super().run(inputs)
        for source in self._sums:
            self.add(source, self._interpreter.get_tensor(source))
        return outputs

    def add(self, source: int, rows: np.ndarray) -> None:
        """Sum up rows of the tensor at `source`."""
        self._sums[source].add(rows)

    def moments(self) -> Moments:
        """The sums so far; raises UserError where nothing ran, or for values not finite."""
        self.seen()
        sums = {source: total.value() for source, total in self._sums.items()}
        found: dict[int, np.ndarray] = {}
        for source, weights in self._pairs:
            # weights that several operators use have all their inputs
            found[weights] = found[weights] + sums[source] if weights in found else sums[source]
        return found


class _Sum:
    """X^T X over rows of one width."""

    def __init__(self, width: int):
        self._total: NDArray[np.float64] = np.zeros((width, width))
        self._rows: list[NDArray[np.float32]] = []

    def add(self, values: np.ndarray) -> None:
        self._rows.append(values.astype(np.float32).reshape(-1, len(self._total)))
        if sum(map(len, self._rows)) >= _ROWS:
            self.value()

    def value(self) -> np.ndarray:
        if self._rows:
            rows = np.concatenate(self._rows)
            self._total += rows.T @ rows
            self._rows.clear()
        return self._total
