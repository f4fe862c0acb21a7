# SPDX-License-Identifier: Apache-2.0
"""An activation's range holds all but a fixed share of its values over calibration.

1. Count the values that are not 0, in bins, as histogram.py does.
2. From the smallest value on, pass over bins while what they hold is at most half of SHARE of all;
   the range begins where the next bin does, or at the smallest value if that comes later.
3. The same from the largest value down.

Source: H. Wu et al., Integer Quantization for Deep Learning Inference: Principles and Empirical
Evaluation, 2020 (arXiv 2004.09602), section 5.1, percentile 99.99; there it is of magnitudes.
"""

from __future__ import annotations

import numpy as np

from codegen.ptq.histogram import Range, Seen

NEEDS_HISTOGRAM = True
#: What may lie beyond the range, half of it at either end.
SHARE = 1e-4


def chosen(seen: Seen, bits: int) -> Range:
    """The ends of the bins between which all but SHARE of the values lie."""
    total = int(seen.counts.sum())
    if total == 0:
        return seen.lowest, seen.highest
    below, above = np.cumsum(seen.counts), np.cumsum(seen.counts[::-1])
    first, last = (int(np.searchsorted(s, SHARE / 2 * total, "right")) for s in (below, above))
    low, high = float(seen.edges[first]), float(seen.edges[::-1][last])
    return max(low, seen.lowest), min(high, seen.highest)
