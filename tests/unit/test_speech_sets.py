# SPDX-License-Identifier: Apache-2.0
"""Speech of calibration, development and evaluation: no sentence and no voice of two."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import _pip, human, speech, voices
from benchmarks.speech import Utterance, check_disjoint, groups, in_turn
from codegen.evaluate.normalize import ENGLISH
from codegen.evaluate.wer import count_errors

SAID = Utterance("It's late.", "flite:kal16")


def test_the_sets_share_nothing() -> None:
    check_disjoint(groups())
    assert {name: len(said) for name, said in groups().items()} == {
        "calibration": 230,
        "development": 260,
        "evaluation": 120,
    }


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (Utterance("its late", "espeak:en-us"), "its late"),
        (Utterance("Other words.", "flite:kal"), "kal"),
        (Utterance("Other words.", "festival:kal_diphone"), "kal"),
    ],
)
def test_what_is_in_two_sets_is_named(other: Utterance, shared: str) -> None:
    with pytest.raises(SystemExit, match=rf"^in one and in two: {shared}$"):
        check_disjoint({"one": (SAID,), "two": (other,)})


def test_variants_of_a_synthesizer_are_voices_of_their_own() -> None:
    check_disjoint(
        {
            "one": (Utterance("a", "espeak:en-us+m3"),),
            "two": (Utterance("b", "espeak:en-us+f4"), Utterance("c", "espeak:en-us")),
        }
    )


def test_no_voice_is_named_by_a_variant_that_it_has_not() -> None:
    heard = {u.voice for said in groups().values() for u in said}
    assert not [voice for voice in heard if voice.startswith("espeak:en-gb+")]


def _words(said: Sequence[Utterance]) -> int:
    return sum(count_errors(u.text, "", ENGLISH).words for u in said)


def test_development_has_2360_words_and_evaluation_945() -> None:
    assert _words(groups()["development"]) == 2360
    assert _words(groups()["evaluation"]) == 945


def test_voices_and_loudness_take_turns() -> None:
    said = in_turn(("a", "b", "c", "d"), ("flite:kal", "espeak:en-us"))
    assert [u.voice for u in said] == ["flite:kal", "espeak:en-us"] * 2
    assert [u.peak for u in said] == [*speech.PEAKS, speech.PEAKS[0]]


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"needs text2wave.*apt-get install festival"):
        voices.spoken("a", "festival:ked_diphone")


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"other")
    with pytest.raises(RuntimeError, match=r"^a\.tar\.gz has sha256 d9298a10\w+; published is 00$"):
        _pip.check(tmp_path / "a.tar.gz", "00")


@pytest.mark.parametrize("module", [human, speech, voices])
def test_examples_in_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried
    assert not failed
