# SPDX-License-Identifier: Apache-2.0
"""HQQ: scales for which a few large errors of weights count little.

A block w that became integers q in steps of s errs by the sum of |w - q s|^p, with p = 0.7. If each
weight may have an error e apart, that is the least over e of the sum of |e|^p + b/2 (w - q s - e)^2
as b grows, in which e and s have closed forms, each where the other stays.

1. Cut each row of the weight into blocks, or take it whole. The scale of round.py is the unit in
   which the steps below count.
2. Begin with the scale that errs least of those that round_mse.py tries: what follows stays near.
3. q is the integer nearest to w / s.
4. With r = w - q s, e is sign(r) max(0, |r| - |r|^(p - 1) / b): 0 where r is small.
5. s becomes the sum of q (w - e) over the sum of q^2, the least squares of what is left.
6. Do steps 3 to 5 ITERATIONS times, with b from 10 on, a tenth more each time.
7. Of all these scales, and of those of round.py and round_mse.py, each block keeps the one that
   errs least, the first of equals. Each weight becomes the integer nearest to it in its units.

So this error is never larger than that of round.py or round_mse.py.
Source: H. Badri and A. Shaji, Half-Quadratic Quantization of Large Machine Learning Models, 2023
(mobiusml.github.io/hqq_blog), equations 3 to 8. There the scale stays, and step 5 finds a zero
point, the mean of q - (w - e) / s; here the zero point is 0, and the scale is found. b grows by 1 %
there; by a tenth, the scales found err less.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid, _search

P = np.float32(0.7)
ITERATIONS = 20
_FIRST, _GROWTH = 10.0, 1.1
#: Weights that are looked at together: a candidate's arrays stay in the cache.
_AT_ONCE = 1 << 16


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    block_size: int,
    moments: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in)."""
    values = _grid.blocks(weight, block_size)
    rows = max(1, _AT_ONCE // weight.shape[1])
    parts = (values[at : at + rows] for at in range(0, len(values), rows))
    scales = np.concatenate([_scales(part, bits, block_size) for part in parts])
    integers = _grid.rounded(values, scales, bits)
    return integers.astype(np.int8).reshape(weight.shape), scales


def _scales(values: _grid.Floats, bits: int, block_size: int) -> _grid.Floats:
    """The scales (out, blocks) at which blocks (out, blocks, values) err least."""
    widest = _grid.widest(values, bits)
    shrunk = [widest * np.float32(factor) for factor in _search.SHRINK[bits]]
    tried = [*shrunk, _search.scales(values, bits, block_size)]
    plain = _grid.stored(widest, block_size)
    begin = _least(plain, tried, values, bits, block_size)
    split = [scales * plain for scales in _split(values / plain[..., None], begin / plain, bits)]
    return _least(begin, split, values, bits, block_size)


def _least(
    best: _grid.Floats,
    tried: list[_grid.Floats],
    values: _grid.Floats,
    bits: int,
    block_size: int,
) -> _grid.Floats:
    """Of `best` and what the file holds of scales (out, blocks), those that err least."""
    least = _error(values, best, bits)
    for each in tried:
        scales = _grid.stored(each, block_size)
        error = _error(values, scales, bits)
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    return best


def _error(values: _grid.Floats, scales: _grid.Floats, bits: int) -> NDArray[np.float64]:
    wrong = np.abs(_grid.rounded(values, scales, bits) * scales[..., None] - values)
    result: NDArray[np.float64] = np.power(wrong, P).sum(axis=-1, dtype=np.float64)
    return result


def _split(values: _grid.Floats, scales: _grid.Floats, bits: int) -> Iterator[_grid.Floats]:
    """Steps 3 to 6: the scales (out, blocks) that come one after another."""
    for number in range(ITERATIONS):
        integers = _grid.rounded(values, scales, bits)
        left = values - integers * scales[..., None]
        kept = values - _shrunk(left, np.float32(_FIRST * _GROWTH**number))
        above = (integers * kept).sum(axis=-1)
        below = np.square(integers).sum(axis=-1)
        scales = np.divide(above, below, out=scales.copy(), where=above > 0)
        yield scales


def _shrunk(left: _grid.Floats, weight: np.float32) -> _grid.Floats:
    """Step 4, the generalized soft threshold."""
    sizes = np.abs(left)
    taken = np.power(sizes, P - 1, out=np.full_like(sizes, np.inf), where=sizes > 0)
    result: _grid.Floats = np.sign(left) * np.maximum(sizes - taken / weight, 0)
    return result
