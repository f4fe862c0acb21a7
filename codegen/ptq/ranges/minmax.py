# SPDX-License-Identifier: Apache-2.0
"""An activation's range is its smallest and its largest value over calibration.

Source: B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018, section 3.1, without the averages over batches.
"""

from __future__ import annotations

from codegen.ptq.histogram import Range, Seen

NEEDS_HISTOGRAM = False


def chosen(seen: Seen, bits: int) -> Range:
    """Smallest and largest value."""
    return seen.lowest, seen.highest
