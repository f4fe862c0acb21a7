# SPDX-License-Identifier: Apache-2.0
"""The error that a layer's outputs have of its integers, which several methods make small.

With H = X^T X of a layer's inputs X, a row w that became q errs by (w - q) H (w - q)^T.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.errors import StapesError

#: Rows that are looked at together: what is updated stays in the cache.
ROWS = 512

Doubles = NDArray[np.float64]
#: Integers (out, in) and scales (out, blocks).
Made = tuple[NDArray[np.int8], NDArray[np.float32]]


def seen(moments: Doubles) -> bool:
    """Whether the moments (in, in) are of any inputs but zeros.

    Raises StapesError for moments that are not finite.
    """
    if not np.isfinite(moments).all():
        raise StapesError("second moments of a layer's inputs are not finite.")
    return bool(moments.any())


def parts(rows: int) -> Iterable[slice]:
    """So many rows, ROWS at a time."""
    return (slice(at, at + ROWS) for at in range(0, rows, ROWS))


def errors(weight: NDArray[np.float32], moments: Doubles, made: Made) -> Doubles:
    """The error (out,) of each row of a weight (out, in), with moments (in, in)."""
    result, (integers, scales) = np.empty(len(weight)), made
    length = weight.shape[1] // scales.shape[1]
    for part in parts(len(weight)):
        steps = np.repeat(scales[part].astype(np.float64), length, axis=1)
        wrong = integers[part] * steps - weight[part]
        result[part] = np.einsum("ij,ij->i", wrong @ moments, wrong)
    return result


def least(weight: NDArray[np.float32], moments: Doubles, tried: Sequence[Made]) -> Made:
    """Of each row what errs least, the first of equals."""
    best = np.stack([errors(weight, moments, made) for made in tried]).argmin(axis=0)
    rows = np.arange(len(weight))
    integers, scales = (np.stack(each)[best, rows] for each in zip(*tried, strict=True))
    return integers, scales
