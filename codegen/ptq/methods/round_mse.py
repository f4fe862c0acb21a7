# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest, with the scale that errs least on the weights.

1. Cut each row of the weight into blocks, or take it whole.
2. Begin with the least scale that clips nothing of the block.
3. Shrink it step by step, to half of that, with 3 bits to 0.3, with 2 bits to 0.1; what lies beyond
   the integers is clipped.
4. Keep of all these scales the one whose integers have the least sum of squared errors, the
   first of equals.
5. Each weight becomes the integer nearest to it in units of that scale.

The first candidate is plain rounding, so the squared error is never larger than that of round.py.
Source: R. Banner et al., Post Training 4-bit Quantization of Convolutional Networks for
Rapid-Deployment, NeurIPS 2019, section 3 (clipping), by search instead of in closed form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid, _search


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    block_size: int,
    moments: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in)."""
    values = _grid.blocks(weight, block_size)
    scales = _search.scales(values, bits, block_size)
    integers = _grid.rounded(values, scales, bits)
    return integers.astype(np.int8).reshape(weight.shape), scales
