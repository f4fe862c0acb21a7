# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest, with the scales that err least on a layer's outputs.

With H = X^T X of a layer's inputs X, a row w rounded to q errs by (w - q) H (w - q)^T. Each weight
becomes the integer nearest to it in units of its scale; only the scales know of the inputs.

1. Begin with the scales of round_mse.py, an error's square counting as much as its column's entry
   on the diagonal of H.
2. From a row's first block to its last: try the scales that round_mse.py tries while the row's
   other blocks stay as they are. Keep the one at which the row errs least, the present one where
   none is better.
3. Repeat step 2 until no scale changes, SWEEPS times at most.
4. Of this, of round.py and of round_mse.py, each row keeps what errs least.

So the error is never larger than that of round.py or round_mse.py. Without moments, as those of a
convolution or of a table, the result is that of round.py.
Source: the objective is equation 1 of M. Nagel et al., Up or Down? Adaptive Rounding for
Post-Training Quantization, ICML 2020 (arXiv 2004.10568), section 3; here it chooses scales.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid, _outputs, _search, round_mse
from codegen.ptq.methods import round as plain

#: Tells the caller that moments are wanted, and so recordings.
NEEDS_MOMENTS = True
SWEEPS = 4


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    block_size: int,
    moments: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in), moments (in, in)."""
    if moments is None or not _outputs.seen(moments):
        return plain.quantize(weight, bits, block_size)
    values = _grid.blocks(weight, block_size)
    importance = np.diag(moments).reshape(values.shape[1:])
    scales = _search.scales(values, bits, block_size, importance)
    for part in _outputs.parts(len(values)):
        scales[part] = _descended(values[part], scales[part], bits, block_size, moments)
    integers = _grid.rounded(values, scales, bits).astype(np.int8).reshape(weight.shape)
    tried = [method.quantize(weight, bits, block_size) for method in (plain, round_mse)]
    return _outputs.least(weight, moments, [*tried, (integers, scales)])


def _descended(
    values: _grid.Floats,
    scales: _grid.Floats,
    bits: int,
    block_size: int,
    moments: _outputs.Doubles,
) -> _grid.Floats:
    """Steps 2 and 3: better scales (rows, blocks) of blocks (rows, blocks, values)."""
    widest, rows, length = _grid.widest(values, bits), len(values), values.shape[2]
    shrunk = [widest * np.float32(factor) for factor in _search.SHRINK[bits]]
    tried = [_grid.stored(each, block_size) for each in shrunk]
    scales, wrong = scales.copy(), _wrong(values, scales, bits)
    for _ in range(SWEEPS):
        before = scales.copy()
        for block in range(values.shape[1]):
            columns = slice(block * length, (block + 1) * length)
            within = moments[columns, columns]
            # what the errors of the row's other blocks make of this one's
            pull = wrong.reshape(rows, -1) @ moments[:, columns] - wrong[:, block] @ within
            least = _cost(wrong[:, block], within, pull)
            for candidate in tried:
                errors = _wrong(values[:, block], candidate[:, block], bits)
                cost = _cost(errors, within, pull)
                better = cost < least
                least[better] = cost[better]
                scales[better, block] = candidate[better, block]
                wrong[better, block] = errors[better]
        if np.array_equal(scales, before):
            break
    return scales


def _wrong(values: _grid.Floats, scales: _grid.Floats, bits: int) -> _outputs.Doubles:
    """What rounding adds to weights (..., values) by scales (...)."""
    exact = _grid.rounded(values, scales, bits).astype(np.float64) * scales[..., None]
    return np.asarray(exact - values)


def _cost(wrong: _outputs.Doubles, within: _outputs.Doubles, pull: _outputs.Doubles) -> np.ndarray:
    """What a row's error (rows,) has of one block's (rows, values)."""
    return np.asarray(np.einsum("ij,ij->i", wrong @ within + 2 * pull, wrong))
