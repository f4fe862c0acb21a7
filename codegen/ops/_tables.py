# SPDX-License-Identifier: Apache-2.0
"""Tables that kernels look values up in, as LiteRT's reference kernels make them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from codegen.graph import Quantization
from codegen.ops._quantize import multiply_high, quantize_multiplier, requantize, shift_right

#: A function of single-precision values, rounded to single precision at each step.
FloatFunction = Callable[[np.ndarray], np.ndarray]

_INT32_MAX = (1 << 31) - 1


def softmax_exponentials(scale: float, beta: float) -> np.ndarray:
    """exp(-beta * scale * d), d = 0 ... 255, as int32 (256,) with 31 fraction bits.

    LiteRT's int8 SOFTMAX: d becomes fixed point with 26 fraction bits; differences beyond its
    range of 32 give 0.
    """
    multiplier, shift = quantize_multiplier(min(beta * scale * (1 << 26), float(_INT32_MAX)))
    farthest = math.floor(31 * (1 << 26) / 2**shift)
    differences = np.arange(256, dtype=np.int64)
    reachable = differences <= farthest
    scaled = requantize(-np.where(reachable, differences, 0), multiplier, shift)
    return np.where(reachable, _exp_of_negative(scaled), 0).astype(np.int32)


def _exp_of_negative(x: np.ndarray) -> np.ndarray:
    """exp(x / 2^26), -32 * 2^26 < x <= 0, with 31 fraction bits: gemmlowp's
    exp_on_negative_values."""
    quarter = 1 << 24
    near = (x & (quarter - 1)) - quarter
    result = _exp_near_zero(near << 5)
    rest = near - x
    for exponent in range(-2, 5):
        factor = math.floor(math.exp(-(2.0**exponent)) * (1 << 31) + 0.5)
        result = np.where(rest & (1 << (26 + exponent)), multiply_high(result, factor), result)
    return np.where(x == 0, _INT32_MAX, result)


def _exp_near_zero(x: np.ndarray) -> np.ndarray:
    """exp(x / 2^31), -1/4 <= x / 2^31 < 0: four Taylor terms about -1/8."""
    constant = math.floor(math.exp(-0.125) * (1 << 31) + 0.5)
    third = math.floor((1 << 31) / 3 + 0.5)
    x = x + (1 << 28)
    square = multiply_high(x, x)
    cube = multiply_high(square, x)
    fourth = shift_right(multiply_high(square, square), 2)
    tail = shift_right(multiply_high(fourth + cube, third) + square, 1)
    return constant + multiply_high(x + tail, constant)


def interpolation_table(
    function: Callable[[np.ndarray], np.ndarray], first: float, last: float
) -> np.ndarray:
    """`function` over first ... last as int16 (513,) with 15 fraction bits.

    LiteRT's int16 look-up tables: each sample is moved by half the error that linear
    interpolation makes midway to the next.
    """
    step = (last - first) / 512
    points = first + step * np.arange(513)
    samples: np.ndarray = _round(function(points) * 32768)
    midway = _round(function(points[:-1] + step / 2) * 32768)
    straight = _round((function(points[1:]) * 32768 + samples[:-1]) / 2)
    samples[:-1] -= _round((straight - midway) / 2)
    clipped: np.ndarray = np.clip(samples, -32768, 32767).astype(np.int16)
    return clipped


def value_table(function: FloatFunction, before: Quantization, after: Quantization) -> np.ndarray:
    """`function` of all 256 int8 values in order, as int8.

    LiteRT's 8-bit look-up tables, in single precision; scales' ratio must be below 2^20.
    """
    x = np.float32(before.scale) * _floats(np.arange(-128, 128) - before.zero_point)
    steps = function(x) * (np.float32(1) / np.float32(after.scale))
    shifted = np.trunc(_floats(_round(steps)) + np.float32(after.zero_point))
    table: np.ndarray = np.clip(shifted, -128, 127).astype(np.int8)
    return table


def sampled_table(function: FloatFunction, before: float, after: float) -> np.ndarray:
    """`function` of -32768, -32640 ... 32640 and 32767 times the scale `before`, as int16 (513,).

    LiteRT's 16-bit look-up tables, in single precision; corrected as interpolation_table's.
    """
    first, last = np.float32(before) * np.float32(-32768), np.float32(before) * np.float32(32767)
    lowest, highest = np.float32(after) * np.float32(-32768), np.float32(after) * np.float32(32767)
    step, factor = (last - first) / np.float32(512), np.float32(65536) / (highest - lowest)
    points = first + _floats(np.arange(513)) * step
    steps = function(points) * factor
    samples = _floats(_round(steps))
    midway = _floats(_round(function(points[:-1] + step / np.float32(2)) * factor))
    straight = _floats(_round((steps[1:] + samples[:-1]) / np.float32(2)))
    samples[:-1] -= _floats(_round((straight - midway) / np.float32(2)))
    samples[-1:] = _round(function(np.array([last])) * factor)
    clipped: np.ndarray = np.clip(samples, -32768, 32767).astype(np.int16)
    return clipped


def _floats(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)


def _round(x: np.ndarray) -> np.ndarray:
    """Rounded to integers, halves away from zero: as doubles, which hold x + 1/2 exactly."""
    wide = x.astype(np.float64)
    rounded: np.ndarray = np.copysign(np.floor(np.abs(wide) + 0.5), wide)
    return rounded
