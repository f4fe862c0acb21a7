# SPDX-License-Identifier: Apache-2.0
"""GPTAQ: GPTQ of layer after layer, each making up for the errors of those rounded before it.

A layer with weight W writes X W^T to a stream that holds R, in the float model; in the model whose
layers up to this one are rounded it is fed X^, and the stream holds R^. Rounded to Q it errs by

    |X^ Q^T + R^ - (X W^T + R)|^2

or, where it writes to no stream, by the same without R and R^. Where it does, rows are divided by
the deviation of X W^T + R first: those who read a stream are norms, which do so, and some frames of
Whisper hold values a hundred times larger than others. With E = Q - W, H = X^^T X^, and
B = W (X - X^)^T X^ + (R - R^)^T X^, that is tr(E H E^T) - 2 tr(E B^T), and what does not depend on
Q. It is least at Q = W + B H^-1.

1. Keep what both models are fed, the encoder's stem to begin with, of MOST_WINDOWS windows at most.
2. Take the layers in the order in which they run, and B and H over seven windows of eight. Layers
   that read the same have these in common, but for W.
3. Add 1 % of the mean of the diagonal of H to it, ten times as much until it is positive definite,
   and take W* = W + B H^-1.
4. Quantize W* by gptq.py with H, and W as well. Each row keeps what errs less, as above.
5. Over the windows held out, keep this or gptq.py's of W, whichever errs less as a whole.
6. Run both models through what was rounded, and go on with the next layers.

So the error is never larger than that of gptq.py, which is given the same H. The decoder's steps,
whose inputs follow from tokens, and all that has no place in the order, are as gptq.py rounds them
with the float model's H.
Source: Y. Li et al., GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration, ICML
2025 (arXiv 2504.02692). There each column makes up for its own part of X - X^ when it is
rounded; here W* makes up for all of it before any is, which needs no second factor. R - R^, the
weights of rows, the windows held out and the choices of steps 4 and 5 are not in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _outputs, gptq

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.recipe import Rule
    from codegen.ptq.side_by_side import Sums

#: Tells the caller that moments are wanted, and so recordings.
NEEDS_MOMENTS = True
#: Tells the caller how many windows are enough.
MOST_WINDOWS = 128

quantize = gptq.quantize


def sequence(
    model: SpeechModel, windows: Iterable[NDArray[np.float32]], rules: Mapping[str, Rule]
) -> dict[str, _outputs.Made]:
    """By path, integers (out, in) and scales (out, blocks) of the layers that have rules.

    Raises UserError for no windows, or values that are not finite.
    """
    from codegen.ptq.side_by_side import SideBySide

    both, found = SideBySide(model, windows), {}
    for stage in both.stages():
        for layers in stage.layers:
            if not rules.keys() & set(layers):
                continue
            fitted, held_out = both.sums(stage, layers)
            for path in (path for path in layers if path in rules):
                weight = model.module(path).weight.numpy()
                found[path] = chosen(weight, rules[path], fitted, held_out)
                both.put(path, *found[path])
    return found


def chosen(weight: NDArray[np.float32], rule: Rule, fitted: Sums, held_out: Sums) -> _outputs.Made:
    """Steps 3 to 5 for a weight (out, in)."""
    bits, block_size = rule.weight_bits or 8, rule.block_size or 0
    plain = gptq.quantize(weight, bits, block_size, fitted.moments)
    if not fitted.moments.any():
        return plain
    target = compensated(weight, fitted)
    made = gptq.quantize(target, bits, block_size, fitted.moments)
    errs = [errors(weight, fitted, each) for each in (plain, made)]
    mixed = _outputs.picked([plain, made], errs)
    return min((plain, mixed), key=lambda each: float(errors(weight, held_out, each).sum()))


def compensated(weight: NDArray[np.float32], sums: Sums) -> NDArray[np.float32]:
    """Step 3: W* (out, in)."""
    factor = gptq.factor(sums.moments)
    return np.asarray(weight + _pull(weight, sums) @ factor.T @ factor, np.float32)


def errors(weight: NDArray[np.float32], sums: Sums, made: _outputs.Made) -> _outputs.Doubles:
    """How far each row (out,) is from the float model's, but for what is the same of all Q."""
    wrong = _outputs.wrong(weight, made)
    total = wrong @ sums.moments - 2 * _pull(weight, sums)
    return np.asarray(np.einsum("ij,ij->i", total, wrong), np.float64)


def _pull(weight: NDArray[np.float32], sums: Sums) -> _outputs.Doubles:
    """B (out, in)."""
    result: _outputs.Doubles = weight.astype(np.float64) @ sums.drift + sums.carried
    return result
