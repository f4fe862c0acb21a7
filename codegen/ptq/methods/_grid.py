# SPDX-License-Identifier: Apache-2.0
"""The grid that integers and scales of weights lie on, the same for every method.

int8 is -127 .. 127, as the LiteRT 8-bit quantization specification asks of weights. Fewer bits are
all of what they hold, which the kernels take: -8 .. 7, -4 .. 3, -2 .. 1. Where a block's largest
magnitude is negative, the step of int4 may be an eighth of it instead of a seventh.

LiteRT stores the scales of blocks as float16, and XNNPACK keeps their bfloat16; scales of blocks
are values of both, so that every reader multiplies by the same number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.errors import StapesError

Floats = NDArray[np.float32]
#: The least and the largest integer by bits.
LIMITS = {8: (-127, 127), 4: (-8, 7), 3: (-4, 3), 2: (-2, 1)}
#: The largest number that is a bfloat16 and a float16.
_LARGEST = np.float32(65280)


def blocks(weight: Floats, block_size: int) -> Floats:
    """A weight (out, in) as (out, blocks, values of a block); block_size 0 is one block a row.

    Raises StapesError where the rows are not whole blocks.
    """
    outputs, inputs = weight.shape
    length = block_size or inputs
    if inputs % length:
        raise StapesError(f"rows of {inputs} weights are not whole blocks of {block_size}.")
    return np.ascontiguousarray(weight, np.float32).reshape(outputs, -1, length)


def widest(values: Floats, bits: int) -> Floats:
    """The least scales (out, blocks) at which no value of a block is clipped.

    >>> widest(np.float32([[[-8, 7, 0]]]), 4), widest(np.float32([[[-254, 7, 0]]]), 8)
    (array([[1.]], dtype=float32), array([[2.]], dtype=float32))
    """
    low, high = LIMITS[bits]
    above = values.max(axis=-1) / np.float32(high)
    below = values.min(axis=-1) / np.float32(low)
    result: Floats = np.maximum(np.maximum(above, below), np.float32(0))
    return result


def stored(scales: Floats, block_size: int) -> Floats:
    """The nearest scales that the file can hold, and 1 where that is 0.

    >>> stored(np.float32([0.1, 0.0, 1e-9]), 0).tolist() == [np.float32(0.1), 1.0, np.float32(1e-9)]
    True
    >>> stored(np.float32([0.1, 0.0, 1e-9, 1e6]), 32).tolist()
    [0.10009765625, 1.0, 1.0, 65280.0]
    """
    kept = np.asarray(scales, np.float32)
    if block_size:
        bits = np.minimum(kept, _LARGEST).view(np.uint32)
        # bfloat16 is the upper half of a float32: round to the nearest, ties to even
        bits = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        kept = bits.view(np.float32).astype(np.float16).astype(np.float32)
    result: Floats = np.where(kept < np.finfo(np.float32).tiny, np.float32(1), kept)
    return result


def rounded(values: Floats, scales: Floats, bits: int) -> Floats:
    """Blocks (out, blocks, values) as whole numbers, to the nearest, ties to even."""
    low, high = LIMITS[bits]
    result: Floats = np.clip(np.rint(values / scales[..., None]), low, high)
    return result
