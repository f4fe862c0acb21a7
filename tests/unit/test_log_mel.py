# SPDX-License-Identifier: Apache-2.0
"""The integer front end against float64, and its specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.frontend.log_mel import LogMel

STEPS = 512  # of a feature, in an octave


def _signals() -> dict[str, NDArray[np.int16]]:
    rng = np.random.default_rng(3)
    t = np.arange(8000)
    made = {
        "noise": rng.integers(-32768, 32768, t.size),
        "faint noise": rng.integers(-3, 4, t.size),
        "modulated noise": rng.normal(size=t.size) * 4000 * np.abs(np.sin(t / 900)),
        "sine": 32000 * np.sin(t * 0.3),
        "low sine": 20 * np.sin(t * 0.3),
        "square": np.where(t // 20 % 2, 32767, -32768),
        "clicks": np.where(t % 400 == 7, 32767, 0),
        "constant": np.full(t.size, -32768),
    }
    return {name: np.clip(pcm, -32768, 32767).astype(np.int16) for name, pcm in made.items()}


@pytest.mark.parametrize("name", _signals())
def test_features_agree_with_float64(name: str) -> None:
    """1 % of the energy (7 steps), and 94 dB below a frame's loudest possible tone."""
    pcm, spec = _signals()[name], LogMel()
    got, wanted = (np.exp2(f / STEPS) for f in (spec.features(pcm), spec.reference(pcm)))
    loudest = 2.0**20 * 100.0**2  # full scale through the window, over the floor of 2^-20
    peak = np.abs(pcm.astype(np.float64)).max() / 32768.0
    assert (np.abs(got - wanted) <= 0.01 * wanted + loudest * peak**2 * 4e-10).all()


def test_loud_noise_is_within_a_step() -> None:
    pcm, spec = _signals()["noise"], LogMel()
    assert np.abs(spec.features(pcm) - spec.reference(pcm)).max() < 1.0


def test_digital_silence_is_zero() -> None:
    assert not LogMel().features(np.zeros(1600, np.int16)).any()


def test_a_tone_lands_in_its_band() -> None:
    spec = LogMel()
    for band in range(spec.bands):
        hertz = spec._edges_hz()[band + 1]
        tone = 8000 * np.sin(2 * np.pi * hertz * np.arange(400) / 16000)
        assert abs(int(np.argmax(spec.features(tone.astype(np.int16))[0])) - band) <= 1


def test_frames_start_every_hop() -> None:
    spec, pcm = LogMel(), _signals()["noise"]
    whole = spec.features(pcm)
    assert len(whole) == spec.frames(len(pcm)) == 48
    for frame in (0, 1, 47):
        np.testing.assert_array_equal(
            whole[frame], spec.features(pcm[160 * frame : 160 * frame + 400])[0]
        )
    assert [spec.frames(n) for n in (0, 399, 400, 559, 560)] == [0, 0, 1, 1, 2]
    assert spec.features(pcm[:399]).shape == (0, 40)
    assert spec.frames(spec.window_samples(321)) == 321


@settings(max_examples=60)
@given(
    scale=st.floats(1e-4, 0.1),
    zero_point=st.integers(-128, 127),
    mean=st.floats(-14.0, 2.0),
    std=st.floats(0.5, 9.0),
    dtype=st.sampled_from(["int8", "int16"]),
)
def test_quantized_is_the_rounded_normalized(
    scale: float, zero_point: int, mean: float, std: float, dtype: str
) -> None:
    spec = LogMel(mean=mean, std=std)
    features = np.arange(0, 18433, 7, dtype=np.int16)
    exact = (spec.log_energy(features) - mean) / std / scale + zero_point
    info = np.iinfo(dtype)
    got = spec.quantized(features, scale, zero_point, dtype)
    assert got.dtype == dtype
    assert np.abs(got - np.clip(exact, info.min, info.max)).max() <= 0.501


def test_normalized_is_ln_energy() -> None:
    spec = LogMel(mean=-6.0, std=4.0)
    silence = spec.normalized(np.zeros((1, 40), np.int16))
    np.testing.assert_allclose(silence, (np.log(2.0**-20) + 6.0) / 4.0, rtol=1e-6)
    assert silence.dtype == np.float32


def test_spec_survives_its_dict() -> None:
    spec = LogMel(bands=20, mean=-5.25, std=3.0)
    assert LogMel.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bands": 80, "high_hz": 4000.0}, "narrower"),
        ({"bands": 0}, "bands must"),
        ({"bands": 4.5}, "bands must be a number"),
        ({"std": 0.0}, "std finite and positive"),
        ({"mean": float("nan")}, "mean must be finite"),
        ({"high_hz": 9000.0}, "half the sample rate"),
        ({"frame_samples": 600}, "2 to 512"),
        ({"hop_samples": 500}, "hop_samples"),
        ({"hop": 160}, "unknown key 'hop'"),
    ],
)
def test_impossible_specs_are_refused(changes: dict[str, float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        LogMel.from_dict({**LogMel().to_dict(), **changes})


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e9, float("nan")])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(UserError, match="scale"):
        LogMel().rescale(scale, 0, "int8")


def test_float_inputs_are_refused() -> None:
    with pytest.raises(UserError, match="int8 or int16"):
        LogMel().rescale(0.1, 0, "float32")
