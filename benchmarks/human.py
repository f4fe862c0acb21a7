# SPDX-License-Identifier: Apache-2.0
"""Eleven recordings of people, from the source distribution of pocketsphinx (BSD-2)."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks import _pip
from benchmarks.voices import SAMPLE_RATE_HZ

REQUIREMENT = "pocketsphinx==5.1.1"
ARCHIVE = "pocketsphinx-5.1.1.tar.gz"
SHA256 = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
_DATA = "pocketsphinx-5.1.1/test/data/"
#: Lists of "<s> words </s> (name)", beside name.wav.
_TRANSCRIPTIONS = ("librivox/transcription", "cards/cards.transcription")
_FORWARD = ("goforward.raw", "go forward ten meters")


def archive() -> Path:
    """The source distribution, fetched where it is not cached.

    Raises RuntimeError where the index is out of reach or the file is not the published one.
    """
    kept = _pip.cache() / "speech" / ARCHIVE
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching.") as scratch:
            folder = Path(scratch)
            _pip.download(REQUIREMENT, SHA256, folder, "--no-binary", "pocketsphinx")
            _pip.check(folder / ARCHIVE, SHA256)
            (folder / ARCHIVE).rename(kept)
    _pip.check(kept, SHA256)
    return kept


def transcribed(listing: str) -> dict[str, str]:
    """Words by clip of a list of transcriptions.

    >>> transcribed("<s> five five  </s> (004)")
    {'004': 'five five'}
    """
    found = {}
    for line in listing.splitlines():
        words, _, name = line.strip().removesuffix(")").rpartition("(")
        found[name] = " ".join(words.replace("<s>", "").replace("</s>", "").split())
    return found


def clips() -> tuple[tuple[str, NDArray[np.int16]], ...]:
    """(text, samples int16 at 16 kHz) of every recording."""
    with tarfile.open(archive()) as packed:
        members = {
            member.name.removeprefix(_DATA): packed.extractfile(member)
            for member in packed.getmembers()
            if member.isfile() and member.name.startswith(_DATA)
        }
        files = {
            name: file.read()
            for name, file in members.items()
            if file is not None and name.endswith((".wav", "transcription", _FORWARD[0]))
        }
    return (*_listed(files), (_FORWARD[1], np.frombuffer(files[_FORWARD[0]], "<i2")))


def _listed(files: Mapping[str, bytes]) -> list[tuple[str, NDArray[np.int16]]]:
    found = []
    for listing in _TRANSCRIPTIONS:
        folder = listing.partition("/")[0]
        for name, text in transcribed(files[listing].decode()).items():
            samples, rate = soundfile.read(io.BytesIO(files[f"{folder}/{name}.wav"]), dtype="int16")
            assert rate == SAMPLE_RATE_HZ
            found.append((text, samples))
    return found
