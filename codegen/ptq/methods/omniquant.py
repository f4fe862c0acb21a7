# SPDX-License-Identifier: Apache-2.0
"""OmniQuant: scales and shifts between layers, and where to clip weights, learned by descent.

As a transform, learnable equivalent transformation:

1. Take the groups of layers that awq.py takes. Behind a norm, layers have scales s and shifts z,
   as in outlier_suppression.py; behind a layer, scales alone.
2. Begin where such a group errs least, rounded to the nearest: at no change or at one of the
   scales of awq.py, each without shifts and with z the mean of X. Each block of a weight begins
   with the clipping factor of round_mse.py, an error counting as much as its input's square.
3. With X' = (X - z) / s, W' = s W and E = Q(W') - W', where Q clips each block of W' at a factor
   of its largest weights, a layer's loss is

       (tr(E H' E^T) + n |W'|^2) / tr(W H W^T),    H = X^T X,  H' = X'^T X',

   n being what rounding adds to the square of an input: a twelfth of a row's squared step, in the
   mean over rows. A group's loss is the sum over its layers.
4. Descend for LET_STEPS steps of Adam, on log s, on z in units of X's extents, and on the logits
   of the factors; the gradient passes straight through the rounding to integers, and steps become
   shorter, in a line to nothing. Keep the s and z of least loss.
5. Of these, of where they began and of no change, keep what errs least by the recipe's own method
   of rounding, on rows that this did not see.

As a method of rounding, where it is the recipe's last, learnable weight clipping:

6. Begin with the scales of round_output.py.
7. Descend for LWC_STEPS steps of Adam on their logarithms, by each row's error e H e^T, where
   e = Q(w) - w; a weight passes e straight through, a clipped one Q(w). Keep what errs least.

So the error is never larger than that of round_output.py, round_mse.py or round.py. Without
moments, as those of a convolution or of a table, the result is that of round.py.

In the paper both are learned at once, block of layers by block, from what the quantized blocks
before it give, to keep the block's outputs; and it scales queries against keys, between which
rotary positions may stand. Here layers are judged by themselves, so that the transform serves any
method of rounding, and the factors of step 4 are let go: those of step 7 replace them.
Source: W. Shao et al., OmniQuant: Omnidirectionally Calibrated Quantization for Large Language
Models, ICLR 2024 (arXiv 2308.13137), section 3.2, equation 2 (clipping), and section 3.3, equations
3 and 4 (transformation). The gradient of step 7 is that of S. Esser et al., Learned Step Size
Quantization, ICLR 2020 (arXiv 1902.08153), equation 3. Adam: D. Kingma and J. Ba, ICLR 2015 (arXiv
1412.6980), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _equivalent, _grid, _outputs, _search, awq, round_output
from codegen.ptq.methods import round as plain
from codegen.ptq.recipe import DYNAMIC

if TYPE_CHECKING:
    import torch

    from codegen.models import SpeechModel
    from codegen.ptq.observe import Observations
    from codegen.ptq.recipe import Recipe

#: Tells the caller that moments are wanted, and so recordings.
NEEDS_MOMENTS = True
LET_STEPS = 60
LWC_STEPS = 30
#: The first, longest steps: of log s and z, of the factors' logits, and of logarithms of scales.
_LET_RATE, _CLIP_RATE, _LWC_RATE = 0.02, 0.05, 0.01
#: What clipping factors begin within, so that their logits can move.
_FACTORS = (0.05, 0.98)


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with learned scales and shifts."""
    made = model.copied()
    for norm, group in _equivalent.norm_groups(model, observed, recipe):
        rows = _fitted(observed[group.readers[0]].rows)
        scaled = [group.unchanged, *awq.candidates(group)]
        means = group.seen.mean.astype(np.float32)
        shifted = [_equivalent.Change(each.scales, means) for each in scaled]
        change = _chosen(group, rows, [*scaled, *shifted], shifting=True)
        _equivalent.change_norm(made, norm, group.readers, change)
    for source, reader in (*model.mixes.items(), *model.gated.items()):
        group = _equivalent.Group.of(model, (reader,), observed, recipe)
        rows = _fitted(observed[reader].rows)
        scaled = [group.unchanged, *awq.candidates(group)]
        change = _chosen(group, rows, scaled, shifting=False)
        _equivalent.change_linear(made, source, reader, change)
    return made


def _fitted(rows: _equivalent.Floats) -> _equivalent.Floats:
    """The rows that are not held out; one row alone is both."""
    return rows[: max(1, len(rows) // 2)]


def _chosen(
    group: _equivalent.Group,
    rows: _equivalent.Floats,
    starts: list[_equivalent.Change],
    shifting: bool,
) -> _equivalent.Change:
    start = min(starts, key=lambda each: group.error(each, "round"))
    return group.best([start, learned(group, rows, start, shifting)])


def learned(
    group: _equivalent.Group,
    rows: _equivalent.Floats,
    start: _equivalent.Change,
    shifting: bool,
) -> _equivalent.Change:
    """Steps 3 and 4: the change of least loss on the way from `start`, fitted to rows (n, in)."""
    import torch

    torch.set_num_threads(1)
    loss = Loss(group, rows, start)
    logs = torch.from_numpy(np.log(start.scales)).requires_grad_()
    moves = torch.zeros_like(logs).requires_grad_(shifting)
    extents = torch.from_numpy(rows.max(axis=0) - rows.min(axis=0))
    first = torch.from_numpy(start.shifts)
    optimizer = torch.optim.Adam(
        [
            {"params": [logs, moves] if shifting else [logs], "lr": _LET_RATE},
            {"params": [layer.logits for layer in loss.layers], "lr": _CLIP_RATE},
        ]
    )
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, LET_STEPS)
    best, least = start, np.inf
    for _ in range(LET_STEPS):
        scales, shifts = logs.exp(), first + extents * moves
        found = loss(scales, shifts)
        if found.item() < least:
            least = found.item()
            best = _equivalent.Change(scales.detach().numpy(), shifts.detach().numpy())
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        slower.step()
    return best


@dataclass(frozen=True, eq=False)
class _Layer:
    """A reader's weight (out, in), its clipping factors' logits (out, blocks), and their grid."""

    weight: torch.Tensor
    logits: torch.Tensor
    limits: tuple[int, int]
    mode: str
    power: float

    def clipped(self, scales: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The scaled weight, and what rounding adds to it, with gradients straight through."""
        import torch

        exact = self.weight * scales
        values = exact.reshape(*self.logits.shape, -1)
        low, high = self.limits
        widest = torch.maximum(values.amax(-1) / high, values.amin(-1) / low)
        steps = (widest * self.logits.sigmoid()).clamp_min(1e-30)[..., None]
        whole = values / steps
        whole = (whole + (whole.round() - whole).detach()).clamp(low, high)
        return exact, (whole * steps - values).reshape(exact.shape)


class Loss:
    """A group's loss by scales (in,) and shifts (in,), and its layers, whose factors it follows.

    Fitted to the moments of all rows but those held out, which are those of `rows` and others.
    """

    def __init__(
        self, group: _equivalent.Group, rows: _equivalent.Floats, start: _equivalent.Change
    ):
        import torch

        self._rows = torch.from_numpy(rows)
        self._moments = torch.from_numpy(
            (group.seen.moments / group.seen.tokens).astype(np.float32)
        )
        self._mean = torch.from_numpy(group.seen.mean.astype(np.float32))
        moments = np.diag(_equivalent.changed_moments(group.seen, start))
        self.layers = [_layer(group, path, start.scales, moments) for path in group.readers]

    def __call__(self, scales: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
        """The sum over layers, a number."""
        import torch

        crossed = torch.outer(self._mean - shifts / 2, shifts)
        moments = (self._moments - crossed - crossed.T) / torch.outer(scales, scales)
        rows = (self._rows - shifts) / scales
        noises = {layer.mode: noise(rows, layer.mode) for layer in self.layers}
        total = torch.zeros(())
        for layer in self.layers:
            exact, wrong = layer.clipped(scales)
            added = ((wrong @ moments) * wrong).sum() + noises[layer.mode] * exact.square().sum()
            total = total + added / layer.power
        return total


def _layer(
    group: _equivalent.Group, path: str, scales: _equivalent.Floats, moments: NDArray[np.float64]
) -> _Layer:
    import torch

    rule, weight = group.recipe.for_linear(path), group.weight(path)
    bits, block_size = rule.weight_bits or 8, rule.block_size or 0
    if weight.shape[1] % (block_size or 1):
        block_size = 0  # what does not fit is refused once the graph is exported
    values = _grid.blocks(weight * scales, block_size)
    widest = np.maximum(_grid.widest(values, bits), np.finfo(np.float32).tiny)
    best = _search.scales(values, bits, block_size, moments.reshape(values.shape[1:]))
    factors = np.clip(best / widest, *_FACTORS)
    power = np.einsum("ij,jk,ik->", weight, group.seen.moments, weight, optimize=True)
    return _Layer(
        torch.from_numpy(weight),
        torch.from_numpy(np.log(factors / (1 - factors))).requires_grad_(),
        _grid.LIMITS[bits],
        str(rule.mode),
        max(float(power) / group.seen.tokens, float(np.finfo(np.float32).tiny)),
    )


def noise(rows: torch.Tensor, mode: str) -> torch.Tensor:
    """What rounding by a mode adds to the square of each of rows (n, in), in the mean: a number.

    Of a step's width, errors are alike: the mean of their squares is a twelfth of its square.
    """
    if mode == "static16":
        return (rows.abs().amax() / 32767).square() / 12
    axis = (1,) if mode == DYNAMIC else (0, 1)
    low, high = rows.amin(axis).clamp_max(0), rows.amax(axis).clamp_min(0)
    return ((high - low) / 255).square().mean() / 12


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    block_size: int,
    moments: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in), moments (in, in)."""
    if moments is None or not _outputs.seen(moments):
        return plain.quantize(weight, bits, block_size)
    start = round_output.quantize(weight, bits, block_size, moments)
    values, scales = _grid.blocks(weight, block_size), start[1].copy()
    for part in _outputs.parts(len(values)):
        scales[part] = _descended(values[part], scales[part], bits, block_size, moments)
    integers = _grid.rounded(values, scales, bits).astype(np.int8).reshape(weight.shape)
    return _outputs.least(weight, moments, [start, (integers, scales)])


def _descended(
    values: _grid.Floats,
    scales: _grid.Floats,
    bits: int,
    block_size: int,
    moments: _outputs.Doubles,
) -> _grid.Floats:
    """Step 7: scales (rows, blocks) of blocks (rows, blocks, values), each row by itself."""
    best, least = scales, np.full(len(values), np.inf)
    logs = np.log(scales.astype(np.float64))
    mean, square = np.zeros_like(logs), np.zeros_like(logs)
    for step in range(1, LWC_STEPS + 1):
        scales = _grid.stored(np.exp(logs), block_size)
        made = _grid.rounded(values, scales, bits).astype(np.float64) * scales[..., None]
        wrong = made - values
        pull = (wrong.reshape(len(values), -1) @ moments).reshape(values.shape)
        errors = np.einsum("ijk,ijk->i", pull, wrong)
        best = np.where((errors < least)[:, None], scales, best)
        least = np.minimum(errors, least)
        # beyond half a step, a weight was clipped
        followed = np.where(np.abs(wrong) > scales[..., None] / 2, made, wrong)
        slope = np.einsum("ijk,ijk->ij", pull, followed) / np.maximum(errors, 1e-300)[:, None]
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        ahead = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-9)
        logs -= _LWC_RATE * (1 - step / LWC_STEPS) * ahead
    return best
