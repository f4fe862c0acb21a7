# SPDX-License-Identifier: Apache-2.0
"""The search for the scale of least squared error, which several methods begin with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid

#: 1.00, 0.98 ... of the scale that clips nothing, down to the least that pays with so many bits.
SHRINK = {
    bits: tuple(1 - n / 50 for n in range(last + 1))
    for bits, last in {8: 25, 4: 25, 3: 35, 2: 45}.items()
}
#: Weights that are looked at together: a candidate's arrays stay in the cache.
_AT_ONCE = 1 << 18


def scales(
    values: _grid.Floats,
    bits: int,
    block_size: int,
    importance: NDArray[np.float64] | None = None,
) -> _grid.Floats:
    """The scales (out, blocks) at which blocks (out, blocks, values) have least squared error.

    The first of equals, the first being the one that clips nothing. `importance` (blocks, values),
    not negative, is what the error of a column counts, 1 where it is None.
    """
    parts = [_best(part, bits, block_size, importance) for part in by_rows(values, _AT_ONCE)]
    return np.concatenate(parts)


def by_rows(values: _grid.Floats, at_once: int) -> Iterator[_grid.Floats]:
    """Blocks (out, blocks, values) in whole rows, so many weights at once, a row at the least."""
    rows = max(1, at_once // (values.shape[1] * values.shape[2]))
    return (values[at : at + rows] for at in range(0, len(values), rows))


def _best(
    values: _grid.Floats, bits: int, block_size: int, importance: NDArray[np.float64] | None
) -> _grid.Floats:
    widest = _grid.widest(values, bits)
    best = _grid.stored(widest, block_size)
    least = _error(values, best, bits, importance)
    for factor in SHRINK[bits][1:]:
        shrunk = _grid.stored(widest * np.float32(factor), block_size)
        error = _error(values, shrunk, bits, importance)
        better = error < least
        best, least = np.where(better, shrunk, best), np.where(better, error, least)
    return best


def _error(
    values: _grid.Floats, scales: _grid.Floats, bits: int, importance: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    squares = np.square(_grid.rounded(values, scales, bits) * scales[..., None] - values)
    result: NDArray[np.float64]
    if importance is None:
        result = squares.sum(axis=-1, dtype=np.float64)
    else:
        result = np.einsum("obv,bv->ob", squares, importance)
    return result
