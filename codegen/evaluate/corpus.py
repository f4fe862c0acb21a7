# SPDX-License-Identifier: Apache-2.0
"""Recordings and what was said in them: JSON lines of {"audio": path, "text": words}."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codegen.errors import UserError

#: The most that a manifest may hold; a larger one is a wrong file, not a corpus.
MAX_MANIFEST_BYTES = 64 << 20
MAX_TEXT_CHARACTERS = 10_000
MAX_RECORDING_S = 3600


@dataclass(frozen=True)
class Clip:
    """One recording: `name` is the path as the manifest writes it."""

    name: str
    path: Path
    text: str


def read_manifest(path: Path) -> tuple[Clip, ...]:
    """The clips that a manifest lists; audio paths are relative to the manifest's folder.

    Raises UserError for a missing file, a malformed line or an empty manifest.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such manifest; give a file of JSON lines with audio and text")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise UserError(
            f"{path}: the manifest has {path.stat().st_size} bytes, "
            f"at most {MAX_MANIFEST_BYTES} are read; split it"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: not UTF-8 text; a manifest is JSON lines like "
            '{"audio": "a.wav", "text": "lights on"}'
        ) from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise UserError(f"{path}: the manifest is empty; add lines with audio and text")
    return tuple(_clip(path, number, line) for number, line in numbered)


def _clip(path: Path, number: int, line: str) -> Clip:
    def wrong(got: str) -> UserError:
        return UserError(
            f"{path}, line {number}: {got}; expected a line like "
            '{"audio": "a.wav", "text": "lights on"}'
        )

    try:
        entry = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise wrong("not JSON") from None
    if not isinstance(entry, dict):
        raise wrong(f"got a {type(entry).__name__}")
    for key in ("audio", "text"):
        if not isinstance(entry.get(key), str):
            raise wrong(f'"{key}" is missing or not a string')
    if len(entry["text"]) > MAX_TEXT_CHARACTERS:
        raise wrong(f'"text" has more than {MAX_TEXT_CHARACTERS} characters')
    if not entry["audio"] or "\0" in entry["audio"]:
        raise wrong('"audio" is not a path')
    return Clip(entry["audio"], path.parent / entry["audio"], entry["text"])


def read_pcm(path: Path, sample_rate_hz: int) -> np.ndarray:
    """The int16 samples (samples,) of a mono 16-bit WAV.

    Raises UserError for a file that is missing, not a WAV, not mono, of another rate or sample
    format, empty, or longer than an hour.
    """
    import soundfile

    mono = f"-ac 1 -ar {sample_rate_hz} -c:a pcm_s16le"
    convert = f"convert it, such as with: ffmpeg -i input {mono} output.wav"
    if not path.is_file():
        raise UserError(f"{path}: no such recording; give a WAV file")
    try:
        with soundfile.SoundFile(str(path)) as sound:
            if sound.format not in {"WAV", "WAVEX"}:
                raise UserError(f"{path}: got a {sound.format} file, WAV is read here; {convert}")
            if sound.channels != 1:
                raise UserError(
                    f"{path}: got {sound.channels} channels, the model hears one; {convert}"
                )
            if sound.samplerate != sample_rate_hz:
                raise UserError(
                    f"{path}: got {sound.samplerate} Hz, the model hears {sample_rate_hz} Hz; "
                    f"{convert}"
                )
            if sound.subtype != "PCM_16":
                raise UserError(
                    f"{path}: got samples of type {sound.subtype}, 16-bit PCM is read here; "
                    f"{convert}"
                )
            if sound.frames <= 0:
                raise UserError(f"{path}: the recording is empty; give one with sound in it")
            if sound.frames > MAX_RECORDING_S * sample_rate_hz:
                raise UserError(
                    f"{path}: the recording lasts {sound.frames / sample_rate_hz:.0f} s, at most "
                    f"{MAX_RECORDING_S} s are read; split it"
                )
            samples: np.ndarray = sound.read(dtype="int16")
    except soundfile.LibsndfileError:
        raise UserError(f"{path}: not a WAV file; {convert}") from None
    if samples.size == 0:
        raise UserError(f"{path}: the recording is empty; give one with sound in it")
    return samples


def digest(clips: tuple[Clip, ...]) -> str:
    """The sha256 over every clip's text and audio bytes, in order; no path takes part."""
    total = hashlib.sha256()
    for clip in clips:
        total.update(hashlib.sha256(clip.text.encode()).digest())
        total.update(hashlib.sha256(clip.path.read_bytes()).digest())
    return total.hexdigest()
