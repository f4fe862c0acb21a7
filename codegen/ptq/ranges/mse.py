# SPDX-License-Identifier: Apache-2.0
"""An activation's range is the one at which its integers have the least mean squared error.

1. Count the values that are not 0, in bins, as histogram.py does; each counts as the middle of its
   bin. 0 is exact in every range.
2. Try all pairs of a smallest value, that of calibration times one of FACTORS, and a largest one.
   A step is s = (high - low) / 255 for 8 bits, 2 max(high, -low) / 65535 for 16.
3. A value within the range errs by s^2 / 12 in the mean, one beyond it by its square distance to
   the range's end.
4. Keep the pair at which the sum of these is least, the first of equals. The first pair is the
   range of minmax.py, so this error is never larger than that of minmax.py.

Source: M. Nagel et al., A White Paper on Neural Network Quantization, 2021 (arXiv 2106.08295),
section 3.1, equation 10, where the error of rounding is computed and not modelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.histogram import Range, Seen

NEEDS_HISTOGRAM = True
#: 1 down to 1/64, each 2^(1/8) below the last.
FACTORS = tuple(2.0 ** (-n / 8) for n in range(49))


def chosen(seen: Seen, bits: int) -> Range:
    """Of all pairs of ends, the one at which values err least."""
    ends = np.array([min(seen.lowest, 0.0), max(seen.highest, 0.0)])
    low, high = np.outer(ends, FACTORS)
    errors = error(seen, low[:, None], high[None, :], bits)
    best = np.unravel_index(np.argmin(errors), errors.shape)
    return float(low[best[0]]), float(high[best[1]])


def error(
    seen: Seen, low: NDArray[np.float64], high: NDArray[np.float64], bits: int
) -> NDArray[np.float64]:
    """The sum of squared errors of the values for ranges low <= 0 to high >= 0, by broadcasting."""
    middles = np.clip((seen.edges[:-1] + seen.edges[1:]) / 2, seen.lowest, seen.highest)
    above, clipped_above = _beyond(middles, seen.counts, high)
    below, clipped_below = _beyond(-middles, seen.counts, -low)
    step = (high - low) / 255 if bits == 8 else 2 * np.maximum(high, -low) / 65535
    within = seen.counts.sum() - above - below
    result: NDArray[np.float64] = within * step**2 / 12 + clipped_above + clipped_below
    return result


def _beyond(
    values: NDArray[np.float64], counts: NDArray[np.int64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many values lie above an end, and the sum of their squared distances to it."""
    over, many = np.maximum(values - end[..., None], 0), counts.astype(np.float64)
    return np.asarray((over > 0) @ many), np.asarray(np.square(over) @ many)
