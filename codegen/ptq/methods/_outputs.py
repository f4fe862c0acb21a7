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
    for part in parts(len(weight)):
        off = wrong(weight[part], (integers[part], scales[part]))
        result[part] = np.einsum("ij,ij->i", off @ moments, off)
    return result


def wrong(weight: NDArray[np.float32], made: Made) -> Doubles:
    """What rounding adds to a weight (out, in)."""
    integers, scales = made
    length = weight.shape[1] // scales.shape[1]
    steps = np.repeat(scales.astype(np.float64), length, axis=1)
    return np.asarray(integers * steps - weight, np.float64)


def least(weight: NDArray[np.float32], moments: Doubles, tried: Sequence[Made]) -> Made:
    """Of each row what errs least, the first of equals."""
    return picked(tried, [errors(weight, moments, made) for made in tried])


def picked(tried: Sequence[Made], errs: Sequence[Doubles]) -> Made:
    """Of each row what errs least by these errors (out,), the first of equals."""
    best = np.stack(errs).argmin(axis=0)
    rows = np.arange(len(best))
    integers, scales = (np.stack(each)[best, rows] for each in zip(*tried, strict=True))
    return integers, scales
