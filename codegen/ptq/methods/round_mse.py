# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest, with the scale that errs least on the weights.

1. Cut each row of the weight into blocks, or take it whole.
2. Begin with the least scale that clips nothing of the block.
3. Shrink it step by step to half of that; what lies beyond the integers is clipped.
4. Keep of all these scales the one whose integers have the least sum of squared errors, the
   first of equals.
5. Each weight becomes the integer nearest to it in units of that scale.

The first candidate is plain rounding, so the squared error is never larger than that of round.py.
Source: R. Banner et al., Post Training 4-bit Quantization of Convolutional Networks for
Rapid-Deployment, NeurIPS 2019, section 3 (clipping), by search instead of in closed form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid

#: 1.00, 0.98 ... 0.50 of the scale that clips nothing.
_SHRINK = tuple(1 - n / 50 for n in range(26))
#: Weights that are looked at together: a candidate's arrays stay in the cache.
_AT_ONCE = 1 << 18


def quantize(
    weight: NDArray[np.float32], bits: int, block_size: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in)."""
    values = _grid.blocks(weight, block_size)
    rows = max(1, _AT_ONCE // weight.shape[1])
    parts = [_best(values[at : at + rows], bits, block_size) for at in range(0, len(values), rows)]
    scales = np.concatenate(parts)
    integers = _grid.rounded(values, scales, bits)
    return integers.astype(np.int8).reshape(weight.shape), scales


def _best(values: _grid.Floats, bits: int, block_size: int) -> _grid.Floats:
    """The scales (rows, blocks) of least squared error over blocks (rows, blocks, values)."""
    widest = _grid.widest(values, bits)
    best = _grid.stored(widest, block_size)
    least = _error(values, best, bits)
    for factor in _SHRINK[1:]:
        scales = _grid.stored(widest * np.float32(factor), block_size)
        error = _error(values, scales, bits)
        better = error < least
        best, least = np.where(better, scales, best), np.where(better, error, least)
    return best


def _error(values: _grid.Floats, scales: _grid.Floats, bits: int) -> NDArray[np.float64]:
    errors = _grid.rounded(values, scales, bits) * scales[..., None] - values
    result: NDArray[np.float64] = np.square(errors).sum(axis=-1, dtype=np.float64)
    return result
