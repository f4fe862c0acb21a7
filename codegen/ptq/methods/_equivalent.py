# SPDX-License-Identifier: Apache-2.0
"""Scales and shifts that linear layers undo, and how much less such layers err when rounded.

Let X (tokens, in) be what a group of layers reads, the outputs of one norm or of one layer, and W
(out, in) the weights of one of them. With scales s > 0 and shifts z, one a channel of X,

    X W^T = ((X - z) / s) (s W)^T + z W^T

so that whatever makes X makes (X - z) / s instead, the weights become s W, and z W^T is added to
the bias. Source: Wei et al. 2023, Outlier Suppression+ (arXiv 2304.09145), equations 4 to 8;
without shifts Xiao et al. 2022, SmoothQuant (arXiv 2211.10438), equation 3.

A group's error is the sum, over its layers, of |Q(X') Q(W')^T - X' W'^T|^2 / |X W^T|^2, where
X' = (X - z) / s and W' = s W are rounded as the recipe asks: relative, since scores and values are
of different size. X are rows that a method of rounding does not see: a decoder hears few, and GPTQ
fits those that it is given so well that they say little of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.recipe import DYNAMIC, METHODS
from codegen.registry import plugins

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.observe import Observations, Observed
    from codegen.ptq.recipe import Recipe, Rule

Floats = NDArray[np.float32]
#: Candidates that are rounded by the recipe's own method, which may be slow.
_FINALISTS = 3


@dataclass(frozen=True, eq=False)
class Change:
    """Scales (in,) above 0 and shifts (in,) of what a group of layers reads."""

    scales: Floats
    shifts: Floats

    @classmethod
    def scaling(cls, scales: NDArray[Any]) -> Change:
        """Without shifts."""
        kept = np.asarray(scales, np.float32)
        return cls(kept, np.zeros_like(kept))


@dataclass(frozen=True, eq=False)
class Group:
    """Linear layers that read the same X, and what calibration saw of it.

    The rows of `seen` are held out: its moments, tokens and mean are those of the others.
    """

    model: SpeechModel
    readers: tuple[str, ...]
    seen: Observed
    recipe: Recipe

    @classmethod
    def of(
        cls,
        model: SpeechModel,
        readers: tuple[str, ...],
        observed: Observations,
        recipe: Recipe,
    ) -> Group:
        """The layers `readers`, with the later half of the rows that were kept held out."""
        return cls(model, readers, held_out(observed[readers[0]]), recipe)

    def weight(self, path: str) -> Floats:
        """The weight (out, in) of a reader."""
        result: Floats = self.model.module(path).weight.numpy()
        return result

    def largest_weights(self) -> Floats:
        """The largest magnitude in each column of all readers' weights (in,)."""
        each = [np.abs(self.weight(path)).max(axis=0) for path in self.readers]
        return np.asarray(np.max(each, axis=0), np.float32)

    @property
    def unchanged(self) -> Change:
        """Scales of 1."""
        return Change.scaling(np.ones(len(self.seen.lowest)))

    def best(self, candidates: Sequence[Change]) -> Change:
        """The candidate at which the group errs least, or no change; the first of equals.

        All are compared by rounding to the nearest, then the best of them and no change by the
        recipe's own method, so that a recipe is never worse for the transform.
        """
        order = sorted(candidates, key=lambda each: self.error(each, "round"))
        kept: Change = min(
            (self.unchanged, *order[:_FINALISTS]),
            key=lambda each: self.error(each, self.recipe.method),
        )
        return kept

    def error(self, change: Change, method: str) -> float:
        """The group's error where weights are rounded by this method."""
        return sum(self._relative_error(path, change, method) for path in self.readers)

    def _relative_error(self, path: str, change: Change, method: str) -> float:
        weight, seen = self.weight(path), self.seen
        wrong = squared_error(
            weight * change.scales,
            (seen.rows - change.shifts) / change.scales,
            changed_moments(seen, change),
            self.recipe.for_linear(path),
            method,
        )
        return wrong / power(weight, seen.rows)


def fitted(seen: Observed) -> Floats:
    """The rows (n, in) that `held_out` leaves; one row alone is in both."""
    return seen.rows[: max(1, len(seen.rows) // 2)]


def held_out(seen: Observed) -> Observed:
    """The later half of the rows, and sums without these; one row alone is in both."""
    rows = seen.rows[len(seen.rows) // 2 :].astype(np.float64)
    left = seen.tokens - len(rows)
    if not left:
        return seen
    return replace(
        seen,
        rows=rows.astype(np.float32),
        tokens=left,
        mean=(seen.mean * seen.tokens - rows.sum(axis=0)) / left,
        moments=seen.moments - rows.T @ rows,
    )


def power(weight: Floats, rows: Floats) -> float:
    """The square of a layer's outputs on rows (n, in) of its inputs, above 0."""
    square = np.square(rows @ weight.T).sum(dtype=np.float64)
    return max(float(square), float(np.finfo(np.float32).tiny))


def squared_error(
    weight: Floats, rows: Floats, moments: NDArray[np.float64], rule: Rule, method: str
) -> float:
    """How far a layer's outputs are off on rows (n, in) where these and its weight are rounded."""
    block_size = rule.block_size or 0
    if weight.shape[1] % (block_size or 1):
        block_size = 0  # what does not fit is refused once the graph is exported
    integers, steps = plugins(METHODS)[method].quantize(
        weight, rule.weight_bits, block_size, moments
    )
    blocks = integers.reshape(*steps.shape, -1) * steps[..., None]
    made = rounded_rows(rows, str(rule.mode)) @ blocks.reshape(weight.shape).T
    return float(np.square(made - rows @ weight.T).sum(dtype=np.float64))


def changed_moments(seen: Observed, change: Change) -> NDArray[np.float64]:
    """X'^T X' of the changed inputs."""
    scales, shifts = change.scales.astype(np.float64), change.shifts.astype(np.float64)
    crossed = np.outer(seen.tokens * (seen.mean - shifts / 2), shifts)
    result: NDArray[np.float64] = (seen.moments - crossed - crossed.T) / np.outer(scales, scales)
    return result


def rounded_rows(rows: Floats, mode: str) -> Floats:
    """Activations (n, in) as a mode rounds them in front of a matrix.

    dynamic8: each row to int8 with a zero point, as XNNPACK's qd8; static8: all with one scale and
    zero point; static16: all with one scale.

    >>> rounded_rows(np.float32([[0, 2.55], [0, 25.5]]), "dynamic8").tolist() == [
    ...     [0.0, np.float32(2.55)], [0.0, 25.5]]
    True
    """
    if mode == "static16":
        step = max(float(np.abs(rows).max()), 1e-30) / 32767
        return np.asarray(np.rint(rows / step) * step, np.float32)
    axis = 1 if mode == DYNAMIC else None
    low = np.minimum(rows.min(axis=axis, keepdims=True), 0)
    high = np.maximum(rows.max(axis=axis, keepdims=True), 0)
    steps = np.maximum((high - low) / 255, np.float32(1e-30))
    zero_points = np.clip(np.rint(-128 - low / steps), -128, 127)
    integers = np.clip(np.rint(rows / steps) + zero_points, -128, 127)
    return np.asarray((integers - zero_points) * steps, np.float32)


def norm_groups(
    model: SpeechModel, observed: Observations, recipe: Recipe
) -> Iterator[tuple[str, Group]]:
    """Each norm, and the layers that alone read it, but for a head that shares an embedding's rows.

    Scaled, such a head could no longer be the same array in flash.
    """
    tables = model.tables.values()
    for norm, readers in model.adjacency.items():
        weights = [model.module(path).weight.numpy() for path in readers]
        if not any(np.array_equal(weight, table) for weight in weights for table in tables):
            yield norm, Group.of(model, readers, observed, recipe)


def linear_groups(
    model: SpeechModel, observed: Observations, recipe: Recipe
) -> Iterator[tuple[str, str, Group]]:
    """Each layer of an attention's values or beside a gate, its reader, and this as a group."""
    for source, reader in (*model.mixes.items(), *model.gated.items()):
        yield source, reader, Group.of(model, (reader,), observed, recipe)


def change_norm(model: SpeechModel, norm: str, readers: Sequence[str], change: Change) -> None:
    """Apply a change in place: a norm's weight and bias, and the layers that read it.

    A norm or layer without bias gains one where anything is shifted.
    """
    import torch

    scales, shifts = torch.from_numpy(change.scales), torch.from_numpy(change.shifts)
    module, shifted = model.module(norm), bool(change.shifts.any())
    module.weight.div_(scales)
    if shifted:
        _add_to_bias(module, -shifts)
    if module.bias is not None:
        module.bias.div_(scales)
    for layer in map(model.module, readers):
        if shifted:
            _add_to_bias(layer, (layer.weight.double() @ shifts.double()).float())
        layer.weight.mul_(scales)


def _add_to_bias(module: Any, values: Any) -> None:
    from torch import nn

    total = values if module.bias is None else module.bias + values
    module.bias = nn.Parameter(total, requires_grad=False)


def change_linear(model: SpeechModel, source: str, reader: str, change: Change) -> None:
    """Apply scales in place to a layer's outputs, and to the weights of the layer that reads them.

    Between the two may be whatever multiplies each channel by itself, such as attention or a gate.
    """
    import torch

    scales, module = torch.from_numpy(change.scales), model.module(source)
    module.weight.div_(scales[:, None])
    if module.bias is not None:
        module.bias.div_(scales)
    model.module(reader).weight.mul_(scales)
