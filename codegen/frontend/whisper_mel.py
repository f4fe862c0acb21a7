# SPDX-License-Identifier: Apache-2.0
"""Whisper's log-mel features in integers: the same bits here and in firmware/speech."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.frontend import _fixed_point as fixed
from codegen.frontend._kinds import RuntimeInput, check_bounds, fixed_spec, scaled
from codegen.program import Buffer

Ints = NDArray[Any]  # of integers

KIND = "whisper_mel"
SAMPLE_RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES = 16000, 400, 160
_HALF = FRAME_SAMPLES // 2
_STEPS_PER_OCTAVE = 512
_STEPS_PER_DECADE = _STEPS_PER_OCTAVE * math.log2(10.0)
_FLOOR_DECADES = -10.0  # of an energy, when samples are fractions of full scale
_RANGE_STEPS = round(8.0 * _STEPS_PER_DECADE)
_ENERGY_BITS = 46  # 30 of a squared sample, 16 of the square of Q8
_SINE_BITS = 24
_SPECTRUM_SHIFT = 15 + _SINE_BITS - 8
_CHUNK_FRAMES = 256
_BOUNDS = {
    "bands": (1, 128),
    "multiplier": (1, (1 << 31) - 1),
    "offset": (-(1 << 61), 1 << 61),
    "shift": (0, 47),
}
_SLOPE, _SILENCE = 0.25 / _STEPS_PER_DECADE, (_FLOOR_DECADES + 4.0) / 4.0
_FLOAT = {"scale": float(np.float32(_SLOPE)), "bias": _SILENCE}


@dataclass(frozen=True)
class WhisperMel:
    """Whisper's features of a window of int16 PCM, a frame of 25 ms centred every 10 ms.

    The window is mirrored at both ends, without its first and last sample. The steps:

    1. s[n], d[n] = w[n] (x[n] +- x[400 - n]), Hann in Q15, n = 1 .. 199; s[200] = w[200] x[200].
       w[0] is 0.
    2. X[k] = sum of s[n] cos(2 pi n k / 400), and of d[n] sin(...) for the imaginary part, with
       a Q24 table and 64-bit sums, each rounded half up once to Q8; k = 0 .. 199.
    3. The power, Q16, is shared between two triangles of height 1, the rising one's part by a
       weight in Q15, rounded down; the corners are equidistant on Slaney's mel scale.
    4. feature = 512 log2(energy * height / 1e-10), at least 0, with triangles of unit area.
    5. When the window is complete: features more than 8 decades below its greatest become that,
       and feature f becomes (f * multiplier + offset) >> shift, which stands for
       (log10(energy) + 4) / 4.

    Source: openai/whisper, audio.py, log_mel_spectrogram; mel scale and the triangles' area as in
    M. Slaney, Auditory Toolbox 2, 1998.
    """

    bands: int = 80
    multiplier: int = 1
    offset: int = 0
    shift: int = 0
    sample_rate_hz: ClassVar[int] = SAMPLE_RATE_HZ
    row_samples: ClassVar[int] = HOP_SAMPLES
    #: A square wave of full scale in the lowest of 128 bands gives 1.7.
    input_range: ClassVar[tuple[float, float]] = (_SILENCE, 1.8)

    def __post_init__(self) -> None:
        """Raise UserError for a front end that the integers cannot carry."""
        check_bounds(KIND, self, _BOUNDS)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> WhisperMel:
        """The front end of a package's spec; raises UserError for a missing or unknown key."""
        return cls(**fixed_spec(KIND, spec, _BOUNDS))

    def to_dict(self) -> dict[str, int | str]:
        """The spec as it stands in package.json."""
        return {"kind": KIND, **asdict(self)}

    def fitted(self, scale: float, zero_point: int) -> WhisperMel:
        """The front end of an input of this quantization.

        Raises UserError where the scale is out of range.
        """
        slope = _SLOPE / scale if 0 < scale < math.inf else 0.0
        if not 2.0**-16 <= slope <= 2.0**15:
            raise UserError(f"the network's input scale {scale!r} does not suit Whisper's features")
        shift = 31 - math.frexp(slope)[1]
        offset = round(math.ldexp(_SILENCE / scale + zero_point, shift)) + ((1 << shift) >> 1)
        multiplier = min(round(math.ldexp(slope, shift)), (1 << 31) - 1)
        return replace(self, multiplier=multiplier, offset=offset, shift=shift)

    def values(self, window_samples: int) -> int:
        """How many values the network's input has."""
        return self.frames(window_samples) * self.bands

    def frames(self, samples: int) -> int:
        """How many frames a window of whole hops gives."""
        return samples // HOP_SAMPLES

    def rows(self, pcm: Ints, window_samples: int) -> NDArray[np.int16]:
        """Features (frames, bands) of a recording (samples,) with silence behind it."""
        window = np.zeros(window_samples, np.int16)
        window[: len(pcm)] = pcm
        return self.features(window)

    def features(self, pcm: Ints) -> NDArray[np.int16]:
        """int16 features (samples / 160, bands) of a window of int16 PCM, before step 5."""
        tables, sine = self.tables(), _sine_q24().astype(np.int64)
        turns = np.arange(_HALF + 1)[:, None] * np.arange(_HALF)
        half, rises = tables["window"].astype(np.int64), tables["rises"].astype(np.int64)
        risen, fallen = self._shares()
        cos, sin = sine[turns % FRAME_SAMPLES + _HALF // 2], sine[turns % FRAME_SAMPLES]
        found = [np.zeros((0, self.bands), np.int16)]
        for frames in _frames(pcm.astype(np.int64)):
            early, late = frames[:, : _HALF + 1], np.zeros((len(frames), _HALF + 1), np.int64)
            late[:, 1:_HALF] = frames[:, :_HALF:-1]
            sums, differences = half * (early + late), (half * (early - late))[:, :_HALF]
            rounding = 1 << (_SPECTRUM_SHIFT - 1)
            re = (sums @ cos + rounding) >> _SPECTRUM_SHIFT
            im = (differences @ sin[:_HALF] + rounding) >> _SPECTRUM_SHIFT
            power = re * re + im * im
            rise = (power >> 15) * rises + (((power & 32767) * rises) >> 15)
            energy = np.maximum(rise @ risen + (power - rise) @ fallen, 1)
            logs = (fixed.log2_of(energy) + tables["heights"] + 32) >> 6
            found.append(np.maximum(logs, 0).astype(np.int16))
        return np.concatenate(found)

    def normalized(self, rows: Ints) -> NDArray[np.float32]:
        """The float network's input."""
        return scaled(_clamped(rows), _FLOAT, "float32")

    def quantized(self, rows: Ints, dtype: str) -> NDArray[Any]:
        """The network's input, `dtype` int8, int16 or float32, as the C computes it."""
        return scaled(_clamped(rows), self._rescale(dtype), dtype)

    def reference(self, pcm: Ints) -> NDArray[np.float64]:
        """log10 of the energy (samples / 160, bands) in float64, for the bound on the error."""
        n = np.arange(FRAME_SAMPLES)
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / FRAME_SAMPLES)
        spectrum = np.concatenate([np.fft.rfft(f * window) for f in _frames(pcm / 32768.0)])
        energy = np.abs(spectrum) ** 2 @ self.filters().T
        return np.asarray(np.log10(np.maximum(energy, 10.0**_FLOOR_DECADES)))

    def filters(self) -> NDArray[np.float64]:
        """Triangles of unit area (bands, 201) from 0 Hz to half the rate."""
        corners, bins = self._corners_hz(), np.arange(_HALF + 1) * SAMPLE_RATE_HZ / FRAME_SAMPLES
        widths = np.diff(corners)
        rising = (bins - corners[:-2, None]) / widths[:-1, None]
        falling = (corners[2:, None] - bins) / widths[1:, None]
        result: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
        return result * self._heights()[:, None]

    def tables(self) -> dict[str, Ints]:
        """The C's constants: arrays named as the fields of stapes_whisper_mel_params."""
        heights = np.log2(self._heights()) - _ENERGY_BITS - _FLOOR_DECADES * math.log2(10.0)
        return {
            "window": fixed.hann_q15(FRAME_SAMPLES),
            "sine": _sine_q24(),
            "log2": fixed.log2_q15(),
            "starts": self._starts().astype(np.uint16),
            "rises": np.rint(self._rises() * 32768.0).astype(np.uint16),
            "heights": np.rint(heights * 32768.0).astype(np.int32),
        }

    def buffers(self, window_samples: int) -> tuple[Buffer, ...]:
        """What the runtime needs in RAM while PCM arrives, beside the network's input."""
        return (
            Buffer("history", 2 * FRAME_SAMPLES, "front_end"),
            Buffer("folded", 8 * (_HALF + 1), "front_end"),
            Buffer("features", 2 * self.values(window_samples), "front_end"),
        )

    def runtime(self, window_samples: int, dtype: str) -> RuntimeInput:
        """What emit writes."""
        return RuntimeInput(
            KIND,
            window_samples,
            dtype,
            self._rescale(dtype),
            struct_bytes=120,
            fields={"bands": self.bands, "frames": self.frames(window_samples)},
            tables=self.tables(),
            buffers=("history", "folded", "features"),
            files=("stapes_whisper_mel.c",),
        )

    def _rescale(self, dtype: str) -> Mapping[str, int | float]:
        whole = {"offset": self.offset, "multiplier": self.multiplier, "shift": self.shift}
        return _FLOAT if dtype == "float32" else whole

    def _corners_hz(self) -> NDArray[np.float64]:
        """The (bands + 2,) corners of the triangles."""
        return _hz(np.linspace(0.0, _mel(SAMPLE_RATE_HZ / 2), self.bands + 2))

    def _heights(self) -> NDArray[np.float64]:
        """Of triangles of unit area, (bands,)."""
        corners = self._corners_hz()
        return np.asarray(2.0 / (corners[2:] - corners[:-2]))

    def _starts(self) -> Ints:
        """The first bin at or above each corner, (bands + 2,); 200 is the last."""
        bins = self._corners_hz() * FRAME_SAMPLES / SAMPLE_RATE_HZ
        return np.ceil(bins - 1e-9).astype(np.int64)

    def _slopes(self) -> Ints:
        """The slope, 0 .. bands, on which each bin lies, (200,)."""
        return np.repeat(np.arange(self.bands + 1), np.diff(self._starts()))

    def _rises(self) -> NDArray[np.float64]:
        """Each bin's weight in the triangle that rises there, (200,); the other has the rest."""
        corners, slopes = self._corners_hz(), self._slopes()
        hz = np.arange(_HALF) * SAMPLE_RATE_HZ / FRAME_SAMPLES
        return np.asarray((hz - corners[slopes]) / np.diff(corners)[slopes])

    def _shares(self) -> tuple[Ints, Ints]:
        """1 where a bin (200, bands) rises, and where it falls, in a band."""
        slopes, bands = self._slopes()[:, None], np.arange(self.bands)
        return (slopes == bands).astype(np.int64), (slopes == bands + 1).astype(np.int64)


FRONT_END = WhisperMel


@cache
def _sine_q24() -> NDArray[np.int32]:
    """sin(2 pi n / 400) in Q24, n = 0 .. 499: the cosine is 100 further on."""
    n = np.arange(FRAME_SAMPLES + FRAME_SAMPLES // 4)
    wave = np.sin(2.0 * np.pi * n / FRAME_SAMPLES)
    return np.rint(wave * 2.0**_SINE_BITS).astype(np.int32)


def _frames(pcm: NDArray[Any]) -> list[NDArray[Any]]:
    """Views (frames, 400) of the mirrored window, a few frames at a time to stay in the cache."""
    mirrored = np.pad(pcm, _HALF, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, FRAME_SAMPLES)
    frames = frames[::HOP_SAMPLES][: len(pcm) // HOP_SAMPLES]
    return [frames[n : n + _CHUNK_FRAMES] for n in range(0, len(frames), _CHUNK_FRAMES)]


def _clamped(features: Ints) -> Ints:
    """Features of a window, at most 8 decades below its greatest."""
    return np.asarray(np.maximum(features, features.max() - _RANGE_STEPS))


#: Slaney's scale: linear up to 1000 Hz, which is mel 15, then 27 mels a factor of 6.4.
_LINEAR_HZ, _BEND_HZ, _BEND_MEL, _PER_E = 200.0 / 3.0, 1000.0, 15.0, 27.0 / np.log(6.4)


def _mel(hz: float) -> float:
    """The place of `hz`, which lies above the bend."""
    return float(_BEND_MEL + _PER_E * np.log(hz / _BEND_HZ))


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BEND_HZ * np.exp((np.maximum(mel, _BEND_MEL) - _BEND_MEL) / _PER_E)
    result: NDArray[np.float64] = np.where(mel < _BEND_MEL, mel * _LINEAR_HZ, above)
    return result
