# SPDX-License-Identifier: Apache-2.0
"""How an activation's values lie, in at most BINS bins, however many values come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 2048
#: Values that are collected before they are counted: a decoder's come in small tensors.
_AT_ONCE = 1 << 14

#: Smallest and largest value.
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Seen:
    """What calibration saw of one activation.

    `counts` (bins,) int64 are of the values that are not 0, from edges[n] to below edges[n + 1],
    float64; they are 0 where nothing asked for them.
    """

    lowest: float
    highest: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


class Histogram:
    """Counts values that are not 0 in bins of one width.

    Bin n has the values v with n <= v / width < n + 1. The width is the least power of two at which
    BINS bins reach from the smallest value to the largest, and to 0. When it doubles, bins 2n and
    2n + 1 become bin n: the counts depend on the values alone, not on the order in which they come.
    """

    def __init__(self) -> None:
        self._range: Range = (0.0, 0.0)
        self._exponent = -(1 << 10)
        self._first = 0
        self._counts = np.zeros(1, np.int64)
        self._new: list[NDArray[np.float32]] = []
        self._waiting = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape; those that are not finite must not come."""
        self._new.append(values.reshape(-1))
        self._waiting += values.size
        if self._waiting >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        values = np.concatenate([np.zeros(0, np.float32), *self._new])
        self._new.clear()
        self._waiting = 0
        zeros = len(values) - np.count_nonzero(values)
        if zeros == len(values):
            return
        low, high = self._range
        self._widen(min(low, float(values.min())), max(high, float(values.max())))
        # a power of two, so that this is exact
        places = np.floor(values * np.float64(math.ldexp(1.0, -self._exponent)))
        places -= self._first
        self._counts += np.bincount(places.astype(np.intp), minlength=len(self._counts))
        self._counts[-self._first] -= zeros

    def _widen(self, low: float, high: float) -> None:
        if (low, high) == self._range:
            return
        exponent = _exponent(low, high)
        first, last = (math.floor(math.ldexp(end, -exponent)) for end in (low, high))
        counts = np.zeros(last - first + 1, np.int64)
        old = np.arange(self._first, self._first + len(self._counts))
        moved = old >> min(exponent - self._exponent, 62)
        np.add.at(counts, moved - first, self._counts)
        self._range, self._exponent = (low, high), exponent
        self._first, self._counts = first, counts

    def seen(self, lowest: float, highest: float) -> Seen:
        """The counts so far, of values that lie between these."""
        self._count()
        places = np.arange(self._first, self._first + len(self._counts) + 1, dtype=np.float64)
        edges: NDArray[np.float64] = np.ldexp(places, self._exponent)
        return Seen(lowest, highest, edges, self._counts.copy())


def _exponent(low: float, high: float) -> int:
    """Of the width at which BINS bins reach from `low`, not above 0, to `high`, not below.

    >>> _exponent(-1.0, 0.0), _exponent(0.0, 0.99), _exponent(-1.0, 1.0)
    (-10, -11, -9)
    """
    _, exponent = math.frexp(max(high, -low))
    exponent -= BINS.bit_length()
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= BINS:
        exponent += 1
    return exponent
