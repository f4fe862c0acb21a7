# SPDX-License-Identifier: Apache-2.0
"""How unevenly values lie, and what rounding weights does to what a layer makes of its inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.report.layers import NAMED_CHANNELS, OUTLIER_RMS, Spread

_Doubles = NDArray[np.float64]
#: Where a channel's variance is a smaller part of its mean square, rounding makes up its kurtosis.
_LEAST_VARIANCE = 1e-6
#: Rows that are multiplied together, so that their float64 copies stay small.
_ROWS = 1024
#: Of a layer whose integers are exact.
MOST_DB = 200.0


class PowerSums:
    """Sums of the first four powers of values, and the largest magnitude, channel by channel."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sums: _Doubles = np.zeros((4, channels))
        self._largest: _Doubles = np.zeros(channels)

    def add(self, values: np.ndarray) -> None:
        """Take in values (..., channels)."""
        rows = values.reshape(-1, self._largest.size).astype(np.float64)
        squares = rows * rows
        powers = (rows, squares, squares * rows, squares * squares)
        self._sums += np.stack([power.sum(axis=0) for power in powers])
        self._count += len(rows)
        np.maximum(self._largest, np.abs(rows).max(axis=0), out=self._largest)

    def spread(self) -> Spread:
        """Kurtosis and peaks of what was added."""
        means = self._sums / max(self._count, 1)
        channels = _kurtosis(means)
        known = channels[~np.isnan(channels)]
        rms = float(np.sqrt(means[1].mean()))
        order = np.argsort(-self._largest, kind="stable")[:NAMED_CHANNELS]
        return Spread(
            _known(_kurtosis(means.mean(axis=1, keepdims=True))[0]),
            float(np.median(known)) if known.size else None,
            float(known.max()) if known.size else None,
            float(self._largest.max()) / rms if rms else None,
            tuple(int(channel) for channel in order),
            int((self._largest > OUTLIER_RMS * rms).sum()),
        )


def _kurtosis(means: _Doubles) -> _Doubles:
    """The fourth moment about the mean by the square of the second, of means (4, n) of powers."""
    first, second, third, fourth = means
    variance = second - first**2
    about = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    constant = variance <= _LEAST_VARIANCE * second
    return np.where(constant, np.nan, about / np.where(constant, 1, variance) ** 2)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def snr_db(weight: np.ndarray, quantized: np.ndarray, moments: _Doubles) -> float | None:
    """10 log10 of tr(W H W^T) / tr(E H E^T), E the error of weights W (out, in), H (in, in) the
    second moments of the inputs; None where these make nothing of W, within +-MOST_DB."""
    signal, noise = _power(weight, moments), _power(quantized - weight, moments)
    if signal <= 0:
        return None
    if noise == 0:
        return MOST_DB
    decibels = 10 * np.log10(signal / noise) if np.isfinite(noise) else -MOST_DB
    return float(np.clip(decibels, -MOST_DB, MOST_DB))


def _power(matrix: np.ndarray, moments: _Doubles) -> float:
    total = 0.0
    for at in range(0, len(matrix), _ROWS):
        rows = matrix[at : at + _ROWS].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # of a stranger's scales
            total += float(np.einsum("ij,ij->", rows @ moments, rows))
    return total
