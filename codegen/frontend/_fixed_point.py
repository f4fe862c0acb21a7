# SPDX-License-Identifier: Apache-2.0
"""Integer building blocks of the front end, vectorised over frames; the C rounds the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]

FFT_SAMPLES = 512
_HALF = FFT_SAMPLES // 2
_TWIDDLE_BITS = 30
_TWIDDLE_ROUND = 1 << (_TWIDDLE_BITS - 1)
_LOG_STEPS = 64


def hann_q15(samples: int) -> Ints:
    """The first half, samples 0 to samples // 2, of a periodic Hann window in Q15.

    Sample n of the other half is the value at samples - n. Source: A. Nuttall, Some windows with
    very good sidelobe behavior, IEEE TASSP 29(1), 1981 (0.5 - 0.5 cos).
    """
    n = np.arange(samples // 2 + 1)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / samples)
    return np.minimum(np.rint(window * 32768.0), 32767).astype(np.int16)


def quarter_sine_q30() -> Ints:
    """sin(2 pi n / 512) in Q30 for n = 0 .. 128; the other quadrants follow by symmetry."""
    n = np.arange(FFT_SAMPLES // 4 + 1)
    return np.rint(np.sin(2.0 * np.pi * n / FFT_SAMPLES) * 2.0**_TWIDDLE_BITS).astype(np.int32)


def log2_q15() -> Ints:
    """log2(1 + n / 64) in Q15 for n = 0 .. 64."""
    n = np.arange(_LOG_STEPS + 1)
    return np.rint(np.log2(1.0 + n / _LOG_STEPS) * 32768.0).astype(np.uint16)


def _circle() -> tuple[Ints, Ints]:
    """cos and sin of 2 pi n / 512 in Q30 for n = 0 .. 511, as the C folds them."""
    quarter = quarter_sine_q30().astype(np.int64)
    half = np.concatenate([quarter, quarter[-2:0:-1]])
    sine = np.concatenate([half, -half])
    return np.roll(sine, -FFT_SAMPLES // 4), sine


_COS, _SIN = _circle()
_REVERSED = np.array(
    [sum(((n >> 2 * d) & 3) << (6 - 2 * d) for d in range(4)) for n in range(_HALF)]
)


def _rotate(re: Ints, im: Ints, index: Ints) -> tuple[Ints, Ints]:
    """(re + i im) exp(-2 pi i index / 512), each part rounded once, half up."""
    cos, sin = _COS[index], _SIN[index]
    return (
        (re * cos + im * sin + _TWIDDLE_ROUND) >> _TWIDDLE_BITS,
        (im * cos - re * sin + _TWIDDLE_ROUND) >> _TWIDDLE_BITS,
    )


def _fft_256(re: Ints, im: Ints) -> tuple[Ints, Ints]:
    """Complex FFT of (frames, 256) int64, radix 4, decimation in time, no scaling.

    Source: A. Oppenheim, R. Schafer, Discrete-Time Signal Processing, section 9.3.
    """
    shape = re.shape
    re, im = re[:, _REVERSED], im[:, _REVERSED]
    for span in (1, 4, 16, 64):
        blocks = (shape[0], 64 // span, 4, span)
        index = np.arange(4)[:, None] * np.arange(span) * (FFT_SAMPLES // (4 * span))
        re, im = _rotate(re.reshape(blocks), im.reshape(blocks), index)
        re0, re1 = re[:, :, 0] + re[:, :, 2], re[:, :, 0] - re[:, :, 2]
        im0, im1 = im[:, :, 0] + im[:, :, 2], im[:, :, 0] - im[:, :, 2]
        re2, re3 = re[:, :, 1] + re[:, :, 3], re[:, :, 1] - re[:, :, 3]
        im2, im3 = im[:, :, 1] + im[:, :, 3], im[:, :, 1] - im[:, :, 3]
        re = np.stack([re0 + re2, re1 + im3, re0 - re2, re1 - im3], axis=2).reshape(shape)
        im = np.stack([im0 + im2, im1 - re3, im0 - im2, im1 + re3], axis=2).reshape(shape)
    return re, im


def power_spectrum(frames: Ints) -> Ints:
    """|X|^2 / 256 of (frames, 512) int64 samples, bins 0 .. 256; bins 0 and 256 are left zero.

    The magnitudes of a frame must sum to less than 2^29. No mel triangle gives weight to the
    zero-frequency and Nyquist bins. Source of the real-input split: W. Press et al., Numerical
    Recipes, section 12.3.
    """
    re, im = _fft_256(frames[:, 0::2], frames[:, 1::2])
    low = np.arange(1, _HALF // 2 + 1)
    high = _HALF - low
    even_re, even_im = re[:, low] + re[:, high], im[:, low] - im[:, high]
    odd_re, odd_im = im[:, low] + im[:, high], re[:, high] - re[:, low]
    odd_re, odd_im = _rotate(odd_re, odd_im, low)
    # These are 2 X[k] and the conjugate of 2 X[256 - k]: the factor of 2 leaves with the shift.
    power = np.zeros((len(frames), _HALF + 1), np.int64)
    power[:, high] = ((even_re - odd_re) ** 2 + (even_im - odd_im) ** 2) >> 10
    power[:, low] = ((even_re + odd_re) ** 2 + (even_im + odd_im) ** 2) >> 10
    return power


def log2_of(energy: Ints) -> Ints:
    """log2 of int64 values in [1, 2^62), in Q15, by a table of 64 chords."""
    table = log2_q15().astype(np.int64)
    exponent = np.frexp(energy.astype(np.float64))[1].astype(np.int64) - 1
    exponent -= (energy >> exponent) == 0  # the conversion to float may have rounded up
    mantissa = energy << (62 - exponent)
    index, rest = (mantissa >> 56) & 63, (mantissa >> 41) & 32767
    low = table[index]
    logs: Ints = (exponent << 15) + low + (((table[index + 1] - low) * rest + 16384) >> 15)
    return logs


def log2_q9(energy: Ints) -> Ints:
    """log2 of int64 values in [1, 2^62), in Q9."""
    logs: Ints = (log2_of(energy) + 32) >> 6
    return logs
