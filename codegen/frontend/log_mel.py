# SPDX-License-Identifier: Apache-2.0
"""Log-mel features of 16-bit PCM in integers: the same bits here and in firmware/speech."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.frontend import _fixed_point as fixed
from codegen.frontend._kinds import RuntimeInput
from codegen.program import Buffer

Ints = NDArray[Any]  # of integers

_CHUNK_FRAMES = 64
_FLOOR_LOG2 = 26  # added to every energy: 2^-20 of the square of full scale
_FULL_SCALE_LOG2 = 46  # an energy of 2^46 is 1.0 when samples are fractions of full scale
_STEPS_PER_OCTAVE = 512


@dataclass(frozen=True)
class Rescale:
    """(feature * multiplier + offset) >> shift: a log-mel value as the network's input."""

    multiplier: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True)
class LogMel:
    """A log-mel front end; `mean` and `std` are of ln(energy) over the training features.

    A frame of `frame_samples` int16 values starts every `hop_samples`. The steps:

    1. y = (x * window + 2^8) >> 9, Hann in Q15: samples in Q6, |y| <= 2^21.
    2. Real FFT of 512 points in int32 with int64 products, no scaling (see `_fixed_point`).
    3. Power of the samples in Q4, weighted by triangles of height 1 in Q12 whose
       corners are equidistant on the HTK mel scale, 2595 log10(1 + f / 700) (S. Young et al.,
       The HTK Book 3.4, section 5.4).
    4. feature = 512 * (log2(energy + 2^26) - 26): 0 is digital silence.
    """

    sample_rate_hz: int = 16000
    frame_samples: int = 400
    hop_samples: int = 160
    bands: int = 40
    low_hz: float = 60.0
    high_hz: float = 7600.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        """Raise UserError for a front end that the integers cannot carry."""
        checks = (
            (8000 <= self.sample_rate_hz <= 48000, "sample_rate_hz must be 8000 to 48000"),
            (2 <= self.frame_samples <= fixed.FFT_SAMPLES, "frame_samples must be 2 to 512"),
            (self.frame_samples % 2 == 0, "frame_samples must be even"),
            (1 <= self.hop_samples <= self.frame_samples, "hop_samples must be 1 to frame_samples"),
            (1 <= self.bands <= 80, "bands must be 1 to 80"),
            (
                0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2,
                "low_hz and high_hz must rise and stay within half the sample rate",
            ),
            (
                math.isfinite(self.mean) and 0 < self.std < math.inf,
                "mean must be finite and std finite and positive",
            ),
        )
        for met, message in checks:
            if not met:
                raise UserError(f"log_mel front end: {message}; got {self}")
        if (np.diff(self._starts()) == 0).any():
            raise UserError(
                f"log_mel front end: {self.bands} bands over {self.low_hz} to {self.high_hz} Hz"
                " are narrower than the FFT's bins; use fewer bands or a wider range"
            )

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> LogMel:
        """The front end of a package's or checkpoint's spec; raises UserError for unknown keys."""
        values = {key: value for key, value in spec.items() if key != "kind"}
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        for key, value in values.items():
            if key not in known:
                raise UserError(f"front_end: unknown key {key!r}; known keys: {', '.join(known)}")
            allowed = (int,) if known[key] == "int" else (int, float)
            if isinstance(value, bool) or not isinstance(value, allowed):
                raise UserError(f"front_end: {key} must be a number ({known[key]}); got {value!r}")
        return cls(**values)

    def to_dict(self) -> dict[str, int | float | str]:
        """The spec as it stands in package.json."""
        return {"kind": "log_mel", **dataclasses.asdict(self)}

    def frames(self, samples: int) -> int:
        """How many whole frames `samples` hold."""
        return max(0, 1 + (samples - self.frame_samples) // self.hop_samples)

    def window_samples(self, frames: int) -> int:
        """The samples that fill `frames` frames."""
        return self.hop_samples * (frames - 1) + self.frame_samples

    def _edges_hz(self) -> NDArray[np.float64]:
        """The (bands + 2,) corners of the triangles."""
        low, high = (2595.0 * math.log10(1.0 + hz / 700.0) for hz in (self.low_hz, self.high_hz))
        mels = np.linspace(low, high, self.bands + 2)
        return 700.0 * (np.power(10.0, mels / 2595.0) - 1.0)

    def _starts(self) -> Ints:
        """The first bin at or above each corner, (bands + 2,)."""
        bins = self._edges_hz() * fixed.FFT_SAMPLES / self.sample_rate_hz
        return np.ceil(bins - 1e-9).astype(np.int64)

    def _rises(self) -> NDArray[np.float64]:
        """Each bin's weight in the triangle that rises there; the falling one has the rest."""
        edges, starts = self._edges_hz(), self._starts()
        hz = np.arange(starts[0], starts[-1]) * self.sample_rate_hz / fixed.FFT_SAMPLES
        segment = np.repeat(np.arange(self.bands + 1), np.diff(starts))
        return (hz - edges[segment]) / (edges[segment + 1] - edges[segment])

    def tables(self) -> dict[str, Ints]:
        """The C's constants: arrays named as the fields of stapes_log_mel_params."""
        return {
            "window": fixed.hann_q15(self.frame_samples),
            "sine": fixed.quarter_sine_q30(),
            "log2": fixed.log2_q15(),
            "starts": self._starts().astype(np.uint16),
            "rises": np.rint(self._rises() * 4096.0).astype(np.uint16),
        }

    def buffers(self) -> tuple[Buffer, ...]:
        """What the runtime needs in RAM while PCM arrives, beside the network's input."""
        return (
            Buffer("history", 2 * self.frame_samples, "front_end"),
            Buffer("spectrum", 4 * fixed.FFT_SAMPLES, "front_end"),
            Buffer("features", 2 * self.bands, "front_end"),
        )

    def runtime(self, frames: int, scale: float, zero_point: int, dtype: str) -> RuntimeInput:
        """What emit writes for a network's input (frames, bands) of this quantization."""
        rescale = self.rescale(scale, zero_point, dtype)
        return RuntimeInput(
            "log_mel",
            self.window_samples(frames),
            dtype,
            {key: getattr(rescale, key) for key in ("offset", "multiplier", "shift")},
            struct_bytes=120,
            fields={
                "frame_samples": self.frame_samples,
                "hop_samples": self.hop_samples,
                "bands": self.bands,
                "frames": frames,
            },
            tables=self.tables(),
            buffers=("history", "spectrum", "features"),
            files=("stapes_log_mel.c",),
        )

    def _chunks(self, pcm: Ints) -> Iterator[NDArray[Any]]:
        """Views of (frames, frame_samples), a few frames at a time to stay in the cache."""
        if len(pcm) >= self.frame_samples:
            frames = np.lib.stride_tricks.sliding_window_view(pcm, self.frame_samples)
            frames = frames[:: self.hop_samples]
            for first in range(0, len(frames), _CHUNK_FRAMES):
                yield frames[first : first + _CHUNK_FRAMES]

    def features(self, pcm: Ints) -> NDArray[np.int16]:
        """int16 log-mel (frames, bands) of int16 PCM (samples,)."""
        tables = self.tables()
        half = tables["window"].astype(np.int64)
        window = np.concatenate([half, half[-2:0:-1]])
        rises = tables["rises"].astype(np.int64)
        first, last = int(tables["starts"][0]), int(tables["starts"][-1])
        segments = (tables["starts"][:-1] - first).astype(np.int64)
        found = [np.zeros((0, self.bands), np.int16)]
        for frames in self._chunks(pcm):
            windowed = np.zeros((len(frames), fixed.FFT_SAMPLES), np.int64)
            windowed[:, : self.frame_samples] = (frames * window + 256) >> 9
            power = fixed.power_spectrum(windowed)[:, first:last]
            rise = np.add.reduceat(power * rises, segments, axis=1)
            fall = np.add.reduceat(power, segments, axis=1) * 4096 - rise
            energy = rise[:, :-1] + fall[:, 1:] + (1 << _FLOOR_LOG2)
            logs = fixed.log2_q9(energy) - _FLOOR_LOG2 * _STEPS_PER_OCTAVE
            found.append(logs.astype(np.int16))
        return np.concatenate(found)

    def reference(self, pcm: Ints) -> NDArray[np.float64]:
        """The same features (frames, bands) in float64, for the bound on `features`' error."""
        n = np.arange(self.frame_samples)
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / self.frame_samples)
        starts, rises = self._starts(), self._rises()
        found = [np.zeros((0, self.bands))]
        for frames in self._chunks(pcm):
            spectrum = np.fft.rfft(frames / 32768.0 * window, fixed.FFT_SAMPLES)
            power = np.abs(spectrum[:, starts[0] : starts[-1]]) ** 2
            rise = np.add.reduceat(power * rises, starts[:-1] - starts[0], axis=1)
            fall = np.add.reduceat(power * (1.0 - rises), starts[:-1] - starts[0], axis=1)
            floor = 2.0 ** (_FLOOR_LOG2 - _FULL_SCALE_LOG2)
            energy = (rise[:, :-1] + fall[:, 1:]) / floor + 1.0
            found.append(_STEPS_PER_OCTAVE * np.log2(energy))
        return np.concatenate(found)

    def log_energy(self, features: Ints) -> NDArray[np.float64]:
        """ln(energy) of samples in fractions of full scale."""
        octaves = features / _STEPS_PER_OCTAVE + (_FLOOR_LOG2 - _FULL_SCALE_LOG2)
        return np.asarray(octaves * math.log(2.0))

    def normalized(self, features: Ints) -> NDArray[np.float32]:
        """The float network's input: (ln(energy) - mean) / std."""
        return ((self.log_energy(features) - self.mean) / self.std).astype(np.float32)

    def rescale(self, scale: float, zero_point: int, dtype: str) -> Rescale:
        """The integers that take features to an int8 or int16 input of this quantization.

        Raises UserError when the scale is too small or too large for a 31-bit multiplier.
        """
        if dtype not in ("int8", "int16"):
            raise UserError(f"the network's input must be int8 or int16 for log_mel; got {dtype}")
        slope = math.log(2.0) / (_STEPS_PER_OCTAVE * self.std * scale) if scale > 0 else 0.0
        if not 2.0**-16 <= slope <= 2.0**15:
            raise UserError(f"the network's input scale {scale!r} does not suit log-mel features")
        shift = 31 - math.frexp(slope)[1]
        silence = float(self.log_energy(np.zeros((), np.int64)))
        at_silence = (silence - self.mean) / (self.std * scale) + zero_point
        info = np.iinfo(dtype)
        if abs(at_silence) * 2.0**shift >= 2.0**61:
            raise UserError(
                f"the network's input, scale {scale!r} and zero point {zero_point}, is too far"
                f" from log-mel features of mean {self.mean} and std {self.std}"
            )
        return Rescale(
            multiplier=min(round(slope * 2.0**shift), 2**31 - 1),
            offset=round(at_silence * 2.0**shift) + (1 << (shift - 1)),
            shift=shift,
            low=int(info.min),
            high=int(info.max),
        )

    def quantized(self, features: Ints, scale: float, zero_point: int, dtype: str) -> Ints:
        """The integer network's input, `dtype` "int8" or "int16", as the C computes it."""
        r = self.rescale(scale, zero_point, dtype)
        scaled = (features.astype(np.int64) * r.multiplier + r.offset) >> r.shift
        values: Ints = np.clip(scaled, r.low, r.high).astype(dtype)
        return values


FRONT_END = LogMel
