# SPDX-License-Identifier: Apache-2.0
"""Whisper's integer front end against float64, and its specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.frontend.whisper_mel import WhisperMel

SECOND = 16000


def _signals() -> dict[str, NDArray[np.int16]]:
    rng = np.random.default_rng(3)
    t = np.arange(2 * SECOND)
    speech = rng.normal(size=t.size) * np.abs(np.sin(t / 900))
    made = {
        "noise": rng.integers(-32768, 32768, t.size),
        "faint noise": rng.integers(-2, 3, t.size),
        "speech-like": 4000 * speech,
        "quiet speech-like": 30 * speech,
        "60 dB quieter after half": np.where(t < SECOND, 1.0, 1e-3) * 8000 * speech,
        "noise 80 dB below a tone": 20000 * np.sin(2 * np.pi * t / 16) + rng.normal(0, 2, t.size),
        "square": np.where(t // 20 % 2, 32767, -32768),
        "clicks": np.where(t % 400 == 7, 32767, 0),
        "constant": np.full(t.size, -32768),
        "silence": np.zeros(t.size),
        "tone": 32000 * np.sin(t * 0.3),
        "low tone": 20 * np.sin(t * 0.3),
    }
    return {name: np.clip(pcm, -32768, 32767).astype(np.int16) for name, pcm in made.items()}


def _float(front_end: WhisperMel, pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """What openai/whisper computes, (frames, bands)."""
    logs = front_end.reference(pcm)
    return np.asarray((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0)


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("name", _signals())
def test_features_agree_with_float64(name: str, bands: int) -> None:
    """Within 0.001 of a feature, 1 % of the energy; 0.006 where a tone's window has its zeros."""
    front_end, pcm = WhisperMel(bands), _signals()[name]
    got = front_end.normalized(front_end.features(pcm))
    error = np.abs(got - _float(front_end, pcm))
    assert error.max() < (0.006 if name == "tone" else 0.001)
    assert error.mean() < 2e-4


def test_loud_noise_is_within_two_steps() -> None:
    """A step of the int16 features is 1.5e-4."""
    front_end, pcm = WhisperMel(), _signals()["noise"]
    got = front_end.normalized(front_end.features(pcm))
    assert np.abs(got - _float(front_end, pcm)).max() < 3e-4


def test_features_fit_their_types() -> None:
    for bands in (1, 80, 128):
        front_end = WhisperMel(bands)
        low, high = front_end.input_range
        for pcm in _signals().values():
            features = front_end.features(pcm)
            assert features.min() >= 0
            values = front_end.normalized(features)
            assert low <= values.min()
            assert values.max() <= high


def test_triangles_have_unit_area() -> None:
    for bands in (80, 128):
        sums = WhisperMel(bands).filters().sum(axis=1) * 40.0
        assert abs(sums[30:].mean() - 1.0) < 0.02


def test_a_window_is_filled_with_silence() -> None:
    front_end, pcm = WhisperMel(8), _signals()["noise"][:1000]
    rows = front_end.rows(pcm, 3200)
    assert rows.shape == (20, 8)
    assert front_end.values(3200) == rows.size
    assert not rows[8:].any()
    assert (rows[:8] > 0).any(axis=1).all()


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype"),
    [(1.8 / 32767, 0, "int16"), (1.8 / 127, 0, "int8"), (3.3 / 255, -12, "int8")],
)
def test_quantized_is_the_rounded_normalized(scale: float, zero_point: int, dtype: str) -> None:
    front_end = WhisperMel(1).fitted(scale, zero_point)
    rows = np.arange(9000, 22495, dtype=np.int16)[:, None]
    info = np.iinfo(dtype)
    exact = front_end.normalized(rows).astype(np.float64) / scale + zero_point
    got = front_end.quantized(rows, dtype)
    assert got.dtype == dtype
    assert np.abs(got - np.clip(exact, info.min, info.max)).max() <= 0.51


def test_a_float_input_is_the_normalized() -> None:
    rows = WhisperMel(8).rows(_signals()["noise"], 2 * SECOND)
    got = WhisperMel(8).quantized(rows, "float32")
    assert got.dtype == np.float32
    assert (got == WhisperMel(8).normalized(rows)).all()


def test_the_spec_is_read_back() -> None:
    front_end = WhisperMel(128).fitted(5e-5, 0)
    assert WhisperMel.from_dict(front_end.to_dict()) == front_end


@pytest.mark.parametrize(
    "change",
    [{"bands": 0}, {"bands": 129}, {"bands": 8.0}, {"multiplier": 0}, {"shift": 64}, {"hop": 160}],
)
def test_a_wrong_spec_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="whisper_mel front end"):
        WhisperMel.from_dict(WhisperMel().to_dict() | change)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-12, 1e3, float("inf"), float("nan")])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(UserError, match="scale"):
        WhisperMel().fitted(scale, 0)
