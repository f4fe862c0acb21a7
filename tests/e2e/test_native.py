# SPDX-License-Identifier: Apache-2.0
"""The native engine is proved on a sample of the clips before it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codegen import native
from codegen.errors import StapesError
from codegen.evaluate.corpus import Clip, read_manifest
from codegen.package import load_package
from codegen.toolchain.records import RunRecord
from tests.e2e.conftest import CLIPS

_RECORD = native._Transcribe.record


def test_the_sample_is_the_first_the_middle_and_the_last() -> None:
    clips = [Clip(str(n), Path(str(n)), "") for n in range(7)]
    found = {count: [c.name for c in native.sample(clips[:count])] for count in (1, 2, 3, 7)}
    assert found == {1: ["0"], 2: ["0", "1"], 3: ["0", "1", "2"], 7: ["0", "3", "6"]}


def test_an_integer_package_is_proved(
    package: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def record(self: native._Transcribe, pcm: bytes) -> RunRecord:
        asked.append(len(pcm))
        return _RECORD(self, pcm)

    monkeypatch.setattr(native._Transcribe, "record", record)
    loaded, clips = load_package(package), read_manifest(manifest)
    with native.native_engine(loaded, clips):
        assert len(asked) == 3 < CLIPS
    floats = replace(loaded, recipe={**loaded.recipe, "mode": "dynamic8"})
    with native.native_engine(floats, clips):
        assert len(asked) == 3


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (1, {"text": "another"}, r"^0\.wav: .*text 'another' instead of"),
        (2, {"outputs": b""}, r"^3\.wav: .*outputs of 0 and \d+ bytes differ from byte 0 on"),
    ],
)
def test_a_clip_that_differs_is_named(
    package: Path,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    change: dict[str, str | bytes],
    message: str,
) -> None:
    count = 0

    def record(self: native._Transcribe, pcm: bytes) -> RunRecord:
        nonlocal count
        count += 1
        answer = _RECORD(self, pcm)
        return replace(answer, **change) if count == number else answer  # type: ignore[arg-type]

    monkeypatch.setattr(native._Transcribe, "record", record)
    with (
        pytest.raises(StapesError, match=message),
        native.native_engine(load_package(package), read_manifest(manifest)),
    ):
        pass
