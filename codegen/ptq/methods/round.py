# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest.

1. Cut each row of the weight into blocks, or take it whole.
2. The scale of a block is the least at which its largest and its smallest weight are not beyond
   the largest and the smallest integer.
3. Each weight becomes the integer nearest to it in units of the scale.

Source: B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018, equation 1 with zero point 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.ptq.methods import _grid


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    block_size: int,
    moments: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers (out, in) and scales (out, blocks) of a weight (out, in)."""
    values = _grid.blocks(weight, block_size)
    scales = _grid.stored(_grid.widest(values, bits), block_size)
    integers = _grid.rounded(values, scales, bits)
    return integers.astype(np.int8).reshape(weight.shape), scales
