# SPDX-License-Identifier: Apache-2.0
"""What the linear layers of a float model are fed while it transcribes, seen by torch hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.models import ModelGraph, SpeechModel

if TYPE_CHECKING:
    import torch

#: Rows of its input that are kept of each layer, at most.
MOST_ROWS = 512
#: Rows that are collected before they are summed up: a decoder's come one by one.
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Observed:
    """The inputs X (tokens, in) of one linear layer.

    `lowest`, `highest` and `magnitude`, the mean of |X|, are (in,) float32, `mean` is (in,) and
    `moments`, X^T X, (in, in) float64. `rows` are every n-th row of X, MOST_ROWS at most, float32.
    `tokens` counts all rows.
    """

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    magnitude: NDArray[np.float32]
    mean: NDArray[np.float64]
    moments: NDArray[np.float64]
    rows: NDArray[np.float32]
    tokens: int

    @property
    def largest(self) -> NDArray[np.float32]:
        """The largest |X| of each channel (in,)."""
        result: NDArray[np.float32] = np.maximum(-self.lowest, self.highest)
        return result


#: By linear layer, "graph/module/path"; layers that are fed the same tensor share one value.
Observations = Mapping[str, Observed]
NO_OBSERVATIONS: Observations = {}


def linear_layers(graph: ModelGraph) -> dict[str, Any]:
    """A graph's linear layers, by "graph/module/path"."""
    from torch import nn

    return {
        f"{graph.name}/{name.replace('.', '/')}": module
        for name, module in graph.module.named_modules()
        if isinstance(module, nn.Linear)
    }


class Observer:
    """Looks at every linear layer of a model while it is entered; `runs` run its graphs by torch.

    The model's modules are left without hooks. Sums are taken in the order of the runs, so the
    same recordings give the same values.
    """

    def __init__(self, model: SpeechModel):
        self._model = model
        self._seen: dict[str, _Inputs] = {}
        self._same_as: dict[str, str] = {}
        self._fed: dict[int, tuple[str, torch.Tensor]] = {}
        self._hooks: list[Any] = []
        self.runs = [partial(self._run, graph) for graph in model.graphs]

    def __enter__(self) -> Observer:
        for graph in self._model.graphs:
            for path, module in linear_layers(graph).items():
                hook = module.register_forward_pre_hook(partial(self._look, path))
                self._hooks.append(hook)
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _run(self, graph: ModelGraph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs of the graph's own sizes, both in the graph's order."""
        import torch

        torch.set_num_threads(1)
        values = [
            torch.from_numpy(np.ascontiguousarray(value, np.float32)).reshape(sample.shape)
            for value, sample in zip(inputs, graph.sample_inputs, strict=True)
        ]
        with torch.no_grad():
            outputs = graph.module(*values)
        # until here these tensors were alive, so that no other had the id of one of them
        self._fed.clear()
        return [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def _look(self, path: str, module: torch.nn.Linear, inputs: tuple[torch.Tensor]) -> None:
        (x,) = inputs
        first, _ = self._fed.setdefault(id(x), (path, x))
        self._same_as[path] = first
        if first == path:
            seen = self._seen.setdefault(path, _Inputs(module.in_features))
            seen.add(x.numpy().reshape(-1, module.in_features))

    def observations(self) -> Observations:
        """What was seen; raises UserError where nothing ran, or for values that are not finite."""
        if not self._seen:
            raise UserError("Calibration needs at least one sample, but got none; check the data.")
        found = {path: seen.observed(path) for path, seen in self._seen.items()}
        return {path: found[first] for path, first in self._same_as.items()}


class _Inputs:
    """Sums over rows of one width, as they come."""

    def __init__(self, width: int):
        self._lowest = np.full(width, np.inf, np.float32)
        self._highest = np.full(width, -np.inf, np.float32)
        self._magnitude = np.zeros(width)
        self._sum = np.zeros(width)
        self._moments = np.zeros((width, width))
        self._tokens = 0
        self._kept: list[NDArray[np.float32]] = []
        self._every = 1
        self._new: list[NDArray[np.float32]] = []

    def add(self, rows: NDArray[np.float32]) -> None:
        self._new.append(rows.copy())
        if sum(map(len, self._new)) >= _AT_ONCE:
            self._sum_up()

    def _sum_up(self) -> None:
        if not self._new:
            return
        rows = np.concatenate(self._new)
        self._new.clear()
        self._lowest = np.minimum(self._lowest, rows.min(axis=0))
        self._highest = np.maximum(self._highest, rows.max(axis=0))
        self._magnitude += np.abs(rows).sum(axis=0, dtype=np.float64)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._moments += rows.T @ rows
        self._kept += list(rows[-self._tokens % self._every :: self._every])
        self._tokens += len(rows)
        while len(self._kept) > MOST_ROWS:
            self._kept, self._every = self._kept[::2], 2 * self._every

    def observed(self, path: str) -> Observed:
        self._sum_up()
        if not np.isfinite(self._moments).all():
            raise UserError(
                f"The linear layer '{path}' is fed values that are not finite, or too large to be"
                f" squared, over {self._tokens} calibration rows; only finite values can be"
                " quantized: check the model and the data."
            )
        return Observed(
            self._lowest,
            self._highest,
            (self._magnitude / self._tokens).astype(np.float32),
            self._sum / self._tokens,
            self._moments,
            np.stack(self._kept),
            self._tokens,
        )
