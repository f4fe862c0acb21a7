# SPDX-License-Identifier: Apache-2.0
"""What Whisper is fed, in float."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.frontend.raw_pcm import FULL_SCALE


@dataclass(frozen=True)
class WhisperMel:
    """Whisper's log-mel features in float64, one frame every `hop_samples`.

    Source: openai/whisper, audio.py, log_mel_spectrogram; mel scale and the triangles' area as in
    M. Slaney, Auditory Toolbox 2, 1998.
    """

    sample_rate_hz: int = 16000
    frame_samples: int = 400
    hop_samples: int = 160
    bands: int = 80

    def filters(self) -> NDArray[np.float64]:
        """Triangles of unit area (bands, frame_samples / 2 + 1) from 0 Hz to half the rate."""
        half = self.sample_rate_hz / 2
        corners = _hz(np.linspace(0.0, _mel(half), self.bands + 2))
        bins = np.linspace(0.0, half, self.frame_samples // 2 + 1)
        widths = np.diff(corners)
        distance = corners[:, None] - bins[None, :]
        rising = -distance[:-2] / widths[:-1, None]
        falling = distance[2:] / widths[1:, None]
        height = 2.0 / (corners[2:] - corners[:-2])
        result: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
        return result * height[:, None]

    def features(self, pcm: NDArray[Any]) -> NDArray[np.float64]:
        """log10 of the energy (samples / hop_samples, bands) of int16 PCM (samples,)."""
        padded = np.pad(pcm / FULL_SCALE, self.frame_samples // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.frame_samples)
        n = np.arange(self.frame_samples)
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / self.frame_samples)
        spectrum = np.fft.rfft(frames[:: self.hop_samples][:-1] * window)
        energy = np.abs(spectrum) ** 2 @ self.filters().T
        return np.log10(np.maximum(energy, 1e-10))

    def normalized(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """The float network's input: at most 8 decades below the loudest, scaled to about +-1."""
        return np.asarray((np.maximum(features, features.max() - 8.0) + 4.0) / 4.0, np.float32)

    def to_dict(self) -> dict[str, int | float | str]:
        """The spec as it stands in package.json."""
        return {"kind": "whisper_mel", **asdict(self)}


#: Slaney's scale: linear up to 1000 Hz, which is mel 15, then 27 mels a factor of 6.4.
_LINEAR_HZ, _BEND_HZ, _BEND_MEL, _PER_E = 200.0 / 3.0, 1000.0, 15.0, 27.0 / np.log(6.4)


def _mel(hz: float) -> float:
    """The place of `hz`, which lies above the bend."""
    return float(_BEND_MEL + _PER_E * np.log(hz / _BEND_HZ))


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BEND_HZ * np.exp((np.maximum(mel, _BEND_MEL) - _BEND_MEL) / _PER_E)
    result: NDArray[np.float64] = np.where(mel < _BEND_MEL, mel * _LINEAR_HZ, above)
    return result
