# SPDX-License-Identifier: Apache-2.0
"""The tables of benchmarks/transcription.py, and the texts that it keeps."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

from benchmarks import heard, litert, page
from benchmarks.agreement import Agreement
from benchmarks.heard import Kept, MissingError, nobody
from benchmarks.litert import parting
from benchmarks.transcription import RECIPES, Row, accuracy
from benchmarks.wired_bits import together
from codegen.evaluate.engines import Engine
from codegen.evaluate.normalize import ENGLISH
from codegen.evaluate.wer import Score, score

PCM = np.arange(5, dtype=np.int16)


def _score(*texts: str) -> Score:
    return score("e", "00", ["a", "b"], ["lights on", "five five"], texts, ENGLISH)


def _row(label: str, *texts: str) -> Row:
    return Row(label, _score(*texts), _score(*texts))


def test_rows_of_accuracy() -> None:
    floats = _row("fp32, 5 s", "lights on", "five five")
    lines = accuracy("M", [floats], floats, [_row("static16", "light on", "55")])
    assert lines[0] == "## Word error rate of M"
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    # "five five" is one word, 55, to the normalizer, and two as they are said
    assert rows[-1][:4] == ["| static16", "33.33", "1 / 0 / 0", "+33.33"]
    assert rows[-1][5:8] == ["33.33", "75.00", "+33.33"]
    assert rows[2][3:5] == ["", ""]


def test_a_section_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    page.write(path, [["## One", "", "1"], ["## Two", "", "2"]])
    page.write(path, [["## One", "", "new", ""]])
    assert path.read_text(encoding="utf-8") == f"{page.HEAD}\n## One\n\nnew\n\n## Two\n\n2\n"


def test_a_text_is_heard_once(tmp_path: Path) -> None:
    heard_pcm = []

    def make() -> Engine:
        def engine(pcm: np.ndarray) -> str:
            heard_pcm.append(pcm)
            return "früh\n"

        return engine

    with pytest.raises(MissingError):
        Kept(nobody, tmp_path)()(PCM)
    assert Kept(make, tmp_path)()(PCM) == "früh\n"
    assert Kept(nobody, tmp_path)()(PCM) == "früh\n"
    assert len(heard_pcm) == 1
    with pytest.raises(MissingError):
        Kept(nobody, tmp_path)()(PCM[:4])


@pytest.mark.parametrize(
    ("tokens", "step"), [([5, 6], None), ([5, 7], 1), ([5], 1), ([5, 6, 6], 2), ([], 0)]
)
def test_where_tokens_part(tokens: list[int], step: int | None) -> None:
    made = [(5, 4.0), (6, 3.0), (2, 2.0)]
    found = parting("a", made, tokens, 2)
    assert (found and found.step) == step
    assert found is None or found.margin == made[found.step][1]


def test_recordings_agree_together() -> None:
    one = Agreement("host", 1, 1, 1, ("a",), 5)
    other = Agreement("host", 1, 0, 1, ("b",), 7)
    assert together([one, other]) == Agreement("host", 2, 1, 2, ("a", "b"), 7)


def test_every_mode_is_measured_in_both_widths() -> None:
    found = {(r["mode"], r.get("weight_bits", 8)) for r in RECIPES.values()}
    assert len(found) == 6


@pytest.mark.parametrize("module", [heard, litert, page])
def test_examples_in_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried
    assert not failed
