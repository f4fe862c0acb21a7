# SPDX-License-Identifier: Apache-2.0
"""GPTQ: each column of a weight makes up for the errors of those rounded before it.

With H = X^T X of a layer's inputs X, a row w rounded to q errs by (w - q) H (w - q)^T.

1. Choose the scale of each block from the weights as they are, in three ways: as round.py, as
   round_mse.py, and as the latter with an error's square counting as much as its column's entry on
   the diagonal of H. They stay while steps 2 to 5 are done with each of the three.
2. Order the columns by that entry, largest first.
3. Add 1 % of the mean of the diagonal to it, ten times as much until H is positive definite.
4. Take U, upper triangular, with U^T U = H^-1.
5. Column j: q is the integer nearest to w_j in units of the scale, and e = (w_j - q scale) / U_jj.
   Each later column k loses e U_jk; those beyond the current 128 columns do so when these are done.
6. Of these three, and of round.py and round_mse.py, each row keeps what errs least by H as it was.

So the error is never larger than that of round.py or round_mse.py. Without moments, as those of a
convolution or of a table, the result is that of round.py.
Source: E. Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers, ICLR 2023 (arXiv 2210.17323), algorithm 1; the order of columns is its authors' later
one, "activation order".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid, _outputs, _search, round_mse
from codegen.ptq.methods import round as plain

#: Tells the caller that moments are wanted, and so recordings.
NEEDS_MOMENTS = True
_DAMPING = 0.01
#: Columns after which the columns beyond them are updated.
_LAZY = 128


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
    tried = [method.quantize(weight, bits, block_size) for method in (plain, round_mse)]
    weighted = _search.scales(values, bits, block_size, importance)
    order = np.argsort(-np.diag(moments), kind="stable")
    ordered = factor(moments[np.ix_(order, order)])
    for scales in (tried[0][1], tried[1][1], weighted):
        tried.append((_compensated(weight, scales, order, ordered, bits), scales))
    return _outputs.least(weight, moments, tried)


def factor(moments: _outputs.Doubles) -> _outputs.Doubles:
    """U, upper triangular, with U^T U the inverse of the damped moments."""
    from scipy.linalg import solve_triangular

    damping = _DAMPING * np.diag(moments).mean()
    while True:
        damped = moments + damping * np.eye(len(moments))
        try:
            # backwards, the lower factor of H = R R^T is an upper one, and U its inverse
            lower = np.linalg.cholesky(damped[::-1, ::-1])
        except np.linalg.LinAlgError:
            damping *= 10
            continue
        inverse: _outputs.Doubles = solve_triangular(lower, np.eye(len(lower)), lower=True)
        return np.ascontiguousarray(inverse[::-1, ::-1])


def _compensated(
    weight: NDArray[np.float32],
    scales: NDArray[np.float32],
    order: NDArray[np.intp],
    factor: _outputs.Doubles,
    bits: int,
) -> NDArray[np.int8]:
    """Integers (out, in) of a weight (out, in), its columns rounded in `order`."""
    integers = np.empty(weight.shape, np.int8)
    for part in _outputs.parts(len(weight)):
        steps = np.repeat(scales[part], weight.shape[1] // scales.shape[1], axis=1)
        # columns as rows, which lie together
        left = weight[part].T[order].astype(np.float64)
        rounded = _rounded(left, steps.T[order].astype(np.float64), factor, bits)
        integers[part, order] = rounded.T
    return integers


def _rounded(
    left: _outputs.Doubles, steps: _outputs.Doubles, factor: _outputs.Doubles, bits: int
) -> _outputs.Doubles:
    """Integers (in, rows) of what is left (in, rows) of weights, from the first on."""
    integers, errors = np.empty_like(left), np.empty_like(left)
    for begin in range(0, len(left), _LAZY):
        end = min(begin + _LAZY, len(left))
        for j in range(begin, end):
            integers[j] = _grid.rounded(left[j][:, None], steps[j], bits)[:, 0]
            errors[j] = (left[j] - integers[j] * steps[j]) / factor[j, j]
            left[j + 1 : end] -= np.outer(factor[j, j + 1 : end], errors[j])
        left[end:] -= factor[begin:end, end:].T @ errors[begin:end]
    return integers
