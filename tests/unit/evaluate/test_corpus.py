# SPDX-License-Identifier: Apache-2.0
"""Manifests and recordings, the wrong ones above all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codegen.errors import UserError
from codegen.evaluate.corpus import Clip, digest, read_manifest, read_pcm

RATE = 16000


def _wav(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def test_audio_lies_relative_to_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    lines = [{"audio": "a/b.wav", "text": "lights on"}, {"audio": "/c.wav", "text": ""}]
    manifest.write_text("\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    assert read_manifest(manifest) == (
        Clip("a/b.wav", tmp_path / "a/b.wav", "lights on"),
        Clip("/c.wav", Path("/c.wav"), ""),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the manifest is empty"),
        (b"\n \n", "the manifest is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"audio": "a.wav", "text": "x"}\n{', "line 2: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"[1]", "got a list"),
        (b'{"text": "x"}', '"audio" is missing'),
        (b'{"audio": "a.wav", "text": 3}', '"text" is missing or not a string'),
        (b'{"audio": "", "text": ""}', '"audio" is not a path'),
        (b'{"audio": "a\\u0000", "text": ""}', '"audio" is not a path'),
        (json.dumps({"audio": "a", "text": "x" * 10_001}).encode(), "more than 10000"),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_manifest(manifest)
    assert str(manifest) in str(error.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such manifest"):
        read_manifest(tmp_path)


def test_samples_come_back_as_written(tmp_path: Path) -> None:
    samples = np.arange(-500, 500, dtype=np.int16)
    assert np.array_equal(read_pcm(_wav(tmp_path / "a.wav", samples), RATE), samples)


@pytest.mark.parametrize(
    ("samples", "rate", "subtype", "message"),
    [
        (np.zeros((400, 2), np.int16), RATE, "PCM_16", "got 2 channels"),
        (np.zeros(400, np.int16), 8000, "PCM_16", "got 8000 Hz"),
        (np.zeros(400, np.int16), RATE, "PCM_24", "type PCM_24"),
        (np.zeros(0, np.int16), RATE, "PCM_16", "is empty"),
    ],
)
def test_a_wrong_recording(
    tmp_path: Path, samples: np.ndarray, rate: int, subtype: str, message: str
) -> None:
    path = _wav(tmp_path / "a.wav", samples, rate, subtype)
    with pytest.raises(UserError, match=message) as error:
        read_pcm(path, RATE)
    assert str(path) in str(error.value)


def test_more_than_an_hour(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", np.zeros(9, np.int16))
    size = 2 * (3600 * RATE + 1)
    with path.open("r+b") as file:
        for place, value in ((4, size + 36), (40, size)):  # the sizes of RIFF and of its data
            file.seek(place)
            file.write(value.to_bytes(4, "little"))
        file.truncate(size + 44)
    with pytest.raises(UserError, match="lasts 3600 s, at most 3600 s are read; split it"):
        read_pcm(path, RATE)


def test_not_a_wav(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF but not really")
    with pytest.raises(UserError, match="not a WAV file"):
        read_pcm(path, RATE)
    with pytest.raises(UserError, match="no such recording"):
        read_pcm(tmp_path / "none.wav", RATE)
    soundfile.write(tmp_path / "a.flac", np.zeros(100, np.int16), RATE)
    with pytest.raises(UserError, match="got a FLAC file"):
        read_pcm(tmp_path / "a.flac", RATE)


def test_the_digest_follows_content_and_not_place(tmp_path: Path) -> None:
    one, two = (_wav(tmp_path / n, np.ones(9, np.int16)) for n in ("1.wav", "2.wav"))
    first = digest((Clip("1.wav", one, "a"),))
    assert first == digest((Clip("2.wav", two, "a"),))
    assert first != digest((Clip("2.wav", two, "b"),))
    _wav(two, np.zeros(9, np.int16))
    assert first != digest((Clip("2.wav", two, "a"),))
