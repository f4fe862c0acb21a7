# SPDX-License-Identifier: Apache-2.0
"""How the int8 rows of a table that has scales become the values of a decoder's input.

    float32       value = q * scale[row], or q * scale[row, block]
    int8, int16   value = clamp(((q * multiplier[row] + 2^(shift - 1)) >> shift) + zero_point)

in 64 bits, where multiplier[row] = scale[row] / input scale * 2^shift, to the nearest, ties to
even, and at most 2^31 - 1. `shift` is the greatest of 1 .. 62 at which no scale[row] / input scale
* 2^shift reaches 2^31; where even 1 is too much, a multiplier that is cut off leads beyond the
type all the same. Products are of float32, rounded once. A scale of a block, which a float32 input
alone may have, is a float32 whose lower half is 0: a bfloat16, and the C has its upper half. The C
is write_row of firmware/speech/stapes_greedy.c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from codegen.graph import Tensor

_MOST = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class RowScales:
    """`factors` (entries,): float32 scales, or int32 multipliers in front of an integer input.

    In blocks of `block_size` values they are (entries * blocks,) uint16: bfloat16.
    """

    factors: np.ndarray
    dtype: str
    shift: int = 0
    zero_point: int = 0
    block_size: int = 0

    @property
    def value_bytes(self) -> int:
        """Of one of the input's values."""
        return np.dtype(self.dtype).itemsize

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Integers (entries, width) int8 as the input takes them."""
        if self.dtype == "float32":
            scales = self.factors
            if self.block_size:
                scales = (scales.astype(np.uint32) << 16).view(np.float32)
            scales = scales.reshape(len(values), -1, 1)
            floats: np.ndarray = values.astype(np.float32).reshape(*scales.shape[:2], -1) * scales
            return floats.reshape(values.shape)
        wide = values.astype(np.int64)
        wide *= self.factors[:, None]
        wide += 1 << (self.shift - 1)
        wide >>= self.shift
        wide += self.zero_point
        limits = np.iinfo(self.dtype)
        return np.clip(wide, limits.min, limits.max, out=wide).astype(self.dtype)


def row_scales(scales: np.ndarray, tensor: Tensor) -> RowScales:
    """What positive float32 scales (entries,) or (entries, blocks) are in front of `tensor`."""
    if scales.ndim == 2:
        halves = (np.ascontiguousarray(scales, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        size = tensor.elements // scales.shape[1]
        return RowScales(halves.reshape(-1), tensor.dtype, block_size=size)
    if tensor.quantization is None:
        return RowScales(scales.astype(np.float32), "float32")
    ratios = scales.astype(np.float64) / tensor.quantization.scale
    shift = min(62, max(1, 31 - math.frexp(float(ratios.max()))[1]))
    multipliers = np.minimum(np.rint(np.ldexp(ratios, shift)), _MOST).astype(np.int32)
    return RowScales(multipliers, tensor.dtype, shift, tensor.quantization.zero_point)
