# SPDX-License-Identifier: Apache-2.0
"""Fixed-point parameters from scales, as LiteRT's reference kernels derive them."""

from __future__ import annotations

import math

import numpy as np

from codegen.graph import Tensor
from codegen.ops._operands import RANGES, affine

_ONE = 1 << 31


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` >= 0 as (multiplier, shift): real = multiplier * 2^(shift - 31).

    LiteRT's QuantizeMultiplier.

    >>> quantize_multiplier(0.75), quantize_multiplier(1e-12)
    ((1610612736, 0), (0, 0))
    """
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * _ONE + 0.5)
    if multiplier == _ONE:
        multiplier, shift = _ONE // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def narrow_multiplier(real: float) -> tuple[int, int]:
    """`real` as (multiplier, shift) with 15 bits: real = multiplier * 2^(shift - 15).

    What LiteRT makes of a multiplier where the accumulator has 64 bits.
    """
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 0x7FFF), shift


def float32(value: float) -> float:
    """`value` rounded to single precision."""
    return float(np.float32(value))


def activation_range(tensor: Tensor, activation: str = "NONE") -> tuple[int, int]:
    """The least and greatest stored value of `tensor` under a fused activation."""
    scale, zero_point = np.float32(affine(tensor).scale), affine(tensor).zero_point

    def stored(real: float) -> int:
        with np.errstate(over="ignore"):
            steps = float(np.float32(real) / scale)
        return zero_point + int(math.copysign(math.floor(min(abs(steps), 2**31) + 0.5), steps))

    lowest, highest = RANGES[tensor.dtype]
    if activation in ("RELU", "RELU6"):
        lowest = max(lowest, stored(0.0))
    if activation == "RELU6":
        highest = min(highest, stored(6.0))
    if activation == "RELU_N1_TO_1":
        lowest, highest = max(lowest, stored(-1.0)), min(highest, stored(1.0))
    return lowest, highest


def float_range(activation: str = "NONE") -> tuple[float, float]:
    """The least and greatest float32 output under a fused activation."""
    most = float(np.finfo(np.float32).max)
    lowest, highest = {
        "NONE": (-most, most),
        "RELU": (0.0, most),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }[activation]
    return lowest, highest


def shift_right(x: np.ndarray, shift: int) -> np.ndarray:
    """int64 `x` / 2^shift, rounded to nearest, halves away from zero."""
    mask = (1 << shift) - 1
    return (x >> shift) + ((x & mask) > (mask >> 1) + (x < 0))


def multiply_high(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """int64 holding int32: a * b / 2^31, rounded to nearest, halves up."""
    return (a * b + (1 << 30)) >> 31


def requantize(x: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """x * multiplier * 2^(shift - 31) with LiteRT's two roundings; `x` int64 holding int32."""
    return shift_right(multiply_high(x << max(shift, 0), multiplier), max(-shift, 0))
