# SPDX-License-Identifier: Apache-2.0
"""What docs/results.md says of Moonshine and Whisper and must hold: WER by mode, and bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import few_bits, methods
from benchmarks.agreement import agreement
from benchmarks.heard import Corpora
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.transcription import RECIPES, SUBJECTS, Subject, made
from benchmarks.wired_bits import BOARD, case
from codegen.evaluate.wer import compare
from codegen.measure import read_clips
from codegen.package import SpeechPackage
from tests._once import once

pytest.importorskip("litert_torch")

#: Points of WER that a recipe may lose against the float graphs at the same window.
ALLOWED_LOSS = {"static16, int8": 0.5, "static8, int8": 3.0, "dynamic8, int8": 0.5}
#: The same of int4 in blocks of 32, by checkpoint: rounding to the nearest costs Moonshine more.
ALLOWED_LOSS_INT4 = {
    "moonshine-tiny": {"int4, blocks of 32, gptq": 2.0},
    "whisper-tiny.en": {"dynamic8, int4, blocks of 32": 2.0},
}
#: The same of int3.
ALLOWED_LOSS_INT3 = {"int3, blocks of 32, gptq": 4.0}


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """The sets of speech, and whatever is heard in them."""

    def make(folder: Path) -> None:
        for name in ("calibration", "calibration_long", *EVALUATION_VOICES):
            Corpora(folder).manifest(name)

    return Corpora(once(tmp_path_factory, "transcription", make))


@pytest.fixture
def packaged(
    corpora: Corpora, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Subject, str], SpeechPackage]:
    """Makes a recipe's package, once for all processes."""

    def package(subject: Subject, label: str) -> SpeechPackage:
        name = f"{subject.checkpoint}-{label}"
        recipes = {**RECIPES, **methods.RECIPES, **few_bits.labelled(subject)}

        def make(_: Path) -> None:
            made(subject, label, corpora, recipes)

        once(tmp_path_factory, name, make)
        return made(subject, label, corpora, recipes)

    return package


def _bars() -> Iterator[object]:
    for subject in SUBJECTS:
        of_int4 = ALLOWED_LOSS_INT4[subject.checkpoint]
        for label, points in (ALLOWED_LOSS | of_int4 | ALLOWED_LOSS_INT3).items():
            yield pytest.param(subject, label, points, id=f"{subject.checkpoint}, {label}")


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "label", "points"), _bars())
def test_quantized_is_close_to_float(
    subject: Subject,
    label: str,
    points: float,
    corpora: Corpora,
    packaged: Callable[[Subject, str], SpeechPackage],
) -> None:
    package = packaged(subject, label)
    found = corpora.native(package, EVALUATION_VOICES)
    floats = corpora.floats(package, EVALUATION_VOICES)
    assert found.errors.words == floats.errors.words == 945
    difference = compare(found, floats)
    print(f"{subject.title}, {label}: {found.errors.wer:.2f} %, {difference}")
    assert difference.points <= points


@pytest.mark.slow
@pytest.mark.parametrize("label", ["static8, int8", "dynamic8, int8"])
def test_moonshine_gives_the_same_bits_on_the_board(
    label: str, corpora: Corpora, packaged: Callable[[Subject, str], SpeechPackage]
) -> None:
    package = packaged(SUBJECTS[0], label)
    (pcm,) = read_clips(package, corpora.clips(EVALUATION_VOICES[:1])[:1])
    wanted = case(package, pcm)
    assert all(wanted.texts)
    assert agreement(wanted, BOARD).complete
