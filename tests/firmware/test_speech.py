# SPDX-License-Identifier: Apache-2.0
"""The C front end and decoder equal Python's bit for bit and never leave their buffers."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.frontend.log_mel import LogMel

SAMPLES = 160 * 20 + 400
settings.register_profile(
    "sanitized", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("sanitized")


def _feed(pcm: NDArray[np.int16], context: int = 0) -> tuple[str, int, int, bytes]:
    return ("F", context, len(pcm), pcm.astype("<i2").tobytes())


def signals(samples: int) -> dict[str, NDArray[np.int16]]:
    rng = np.random.default_rng(5)
    t = np.arange(samples)
    made = {
        "noise": rng.integers(-32768, 32768, samples),
        "faint noise": rng.integers(-2, 3, samples),
        "speech-like": rng.normal(size=samples) * 3000 * np.abs(np.sin(t / 900)),
        "sine": 32767 * np.sin(t * 0.31),
        "low sine": 9 * np.sin(t * 1.7),
        "silence": np.zeros(samples),
        "square": np.where(t // 13 % 2, 32767, -32768),
        "alternating": np.where(t % 2, 32767, -32768),
        "constant": np.full(samples, -32768),
        "clicks": np.where(t % 401 == 7, -32768, 0),
    }
    return {name: np.clip(pcm, -32768, 32767).astype(np.int16) for name, pcm in made.items()}


@pytest.mark.parametrize("name", signals(1))
def test_network_input_is_bit_equal(runtime: Any, name: str) -> None:
    pcm = signals(SAMPLES)[name]
    replies = runtime.talk(("B", 0, 0, b""), _feed(pcm), ("I", 0, 0, b""))
    got = np.frombuffer(replies[2][1], runtime.dtype).reshape(runtime.frames, -1)
    np.testing.assert_array_equal(got, runtime.network_input(pcm))


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_real_speech_is_bit_equal(build: Callable[..., Any], tmp_path: Path) -> None:
    wav = tmp_path / "speech.wav"
    say = "turn off the kitchen light"
    subprocess.run(["flite", "-voice", "slt", "-t", say, "-o", str(wav)], check=True)
    pcm, rate = soundfile.read(wav, dtype="int16")
    assert rate == 16000
    runtime = build(frames=321, dtype="int16", scale=0.00011, zero_point=0)
    replies = runtime.talk(
        ("B", 0, 0, b""), _feed(pcm), ("I", 0, 0, b""), ("T", 1, *_feed(pcm)[2:])
    )
    spoken = runtime.front_end.frames(len(pcm))
    got = np.frombuffer(replies[2][1], np.int16).reshape(321, 40)
    np.testing.assert_array_equal(got[:spoken], runtime.network_input(pcm)[:spoken])
    assert replies[3] == ("OK", runtime.text(pcm).encode())


@pytest.mark.parametrize(
    "front_end",
    [
        LogMel(frame_samples=512, hop_samples=512, bands=13, low_hz=0.0, high_hz=8000.0),
        LogMel(frame_samples=320, hop_samples=80, bands=10),
        LogMel(frame_samples=480, hop_samples=160, bands=20, sample_rate_hz=8000, high_hz=4000),
    ],
    ids=str,
)
def test_other_front_ends_are_bit_equal(build: Callable[..., Any], front_end: LogMel) -> None:
    runtime = build(front_end=front_end, dtype="int16", scale=0.003, zero_point=0)
    for name, pcm in signals(front_end.window_samples(21)).items():
        replies = runtime.talk(("B", 0, 0, b""), _feed(pcm), ("I", 0, 0, b""))
        got = np.frombuffer(replies[2][1], np.int16).reshape(21, -1)
        np.testing.assert_array_equal(got, runtime.network_input(pcm), err_msg=name)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.sampled_from([0, 1, 2, 159, 160, 161, 239, 240, 400, 401, 1000]), max_size=9),
)
def test_block_sizes_change_nothing(runtime: Any, seed: int, sizes: list[int]) -> None:
    count = min(sum(sizes), SAMPLES)
    pcm = np.random.default_rng(seed).integers(-32768, 32768, count, dtype=np.int16)
    ends = np.minimum(np.cumsum([0, *sizes]), len(pcm))
    blocks = [_feed(pcm[a:b]) for a, b in itertools.pairwise(ends)]
    replies = runtime.talk(
        ("B", 0, 0, b""), *blocks, ("E", 0, 255, b""), ("I", 0, 0, b""), ("T", 1, *_feed(pcm)[2:])
    )
    assert {status for status, _ in replies} == {"OK"}
    assert replies[-3][1] == replies[-1][1] == runtime.text(pcm).encode()
    got = np.frombuffer(replies[-2][1], runtime.dtype).reshape(runtime.frames, -1)
    np.testing.assert_array_equal(got, runtime.network_input(pcm))


def test_two_contexts_share_nothing(runtime: Any) -> None:
    first, second = signals(SAMPLES)["noise"], signals(SAMPLES)["sine"]
    commands = [("B", 0, 0, b""), ("B", 1, 0, b"")]
    for at in range(0, SAMPLES, 700):
        commands += [_feed(first[at : at + 700], 0), _feed(second[at : at + 700], 1)]
    replies = runtime.talk(*commands, ("E", 0, 255, b""), ("E", 1, 255, b""))
    assert replies[-2:] == [
        ("OK", runtime.text(first).encode()),
        ("OK", runtime.text(second).encode()),
    ]


def test_text_never_passes_its_end(runtime: Any) -> None:
    pcm = signals(SAMPLES)["noise"]
    text = runtime.text(pcm).encode()
    assert len(text) > 20
    for room in range(len(text) + 3):
        replies = runtime.talk(("B", 0, 0, b""), _feed(pcm), ("E", 0, room, b""))
        assert replies[2] == (("OK", text) if room > len(text) else ("TEXT_TOO_SMALL", b""))


def test_silence_and_too_little_pcm_give_an_empty_text(runtime: Any) -> None:
    for samples in (0, 1, 399):
        pcm = signals(SAMPLES)["noise"][:samples]
        replies = runtime.talk(("T", 0, *_feed(pcm)[2:]))
        assert replies == [("OK", runtime.text(np.zeros(0, np.int16)).encode())]


def test_a_sample_past_the_window_is_too_long(runtime: Any) -> None:
    pcm = signals(SAMPLES + 1)["noise"]
    replies = runtime.talk(
        ("B", 0, 0, b""),
        _feed(pcm[:-1]),
        _feed(pcm[-1:]),
        _feed(pcm[:0]),
        ("E", 0, 99, b""),
        ("E", 0, 99, b""),
        ("T", 0, *_feed(pcm)[2:]),
        ("T", 0, *_feed(pcm[:-1])[2:]),
    )
    too_long = ("AUDIO_TOO_LONG", b"")
    assert replies[1] == ("OK", b"")
    assert replies[2:5] == [too_long] * 3
    assert replies[5:7] == [("ARGUMENT", b""), too_long]
    assert replies[7] == ("OK", runtime.text(pcm[:-1]).encode())


def test_misuse_has_a_status(runtime: Any) -> None:
    pcm = signals(800)["noise"]
    replies = runtime.talk(
        _feed(pcm),
        ("E", 0, 99, b""),
        ("B", 0, 0, b""),
        ("C", 0, 1, b""),
        ("E", 0, 99, b""),
        ("E", 0, 99, b""),
        ("A", 0, 100, b""),
    )
    statuses = [status for status, _ in replies]
    assert statuses[:2] == ["ARGUMENT", "ARGUMENT"]
    assert statuses[4:] == ["CANCELLED", "ARGUMENT", "ARENA_TOO_SMALL"]
