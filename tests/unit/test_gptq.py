# SPDX-License-Identifier: Apache-2.0
"""GPTQ of a tiny Moonshine: what it is calibrated on, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen import pipeline
from codegen.errors import UserError
from codegen.measure import recognizer
from codegen.ptq.recipe import Recipe
from tests.unit._encoder_decoder import exported_once, noise, save_recordings, save_tiny_moonshine

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint, and recordings with a manifest."""
    made = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(made / "tiny")
    save_recordings(made, 2)
    with exported_once():
        yield made


@pytest.mark.parametrize("mode", ["dynamic8", "static16"])
def test_the_recordings_choose_the_integers(folder: Path, mode: str) -> None:
    manifest = folder / "m.jsonl"
    plain, made, again = (
        pipeline.quantize(folder / "tiny", manifest, Recipe(mode, 4, 0, methods))
        for methods in ((), ("gptq",), ("gptq",))
    )
    assert made.calibration["utterances"] == 2
    assert [part.data for part in made.graphs] == [part.data for part in again.graphs]
    assert all(a.data != b.data for a, b in zip(made.graphs, plain.graphs, strict=True))
    assert recognizer(made, "reference")()(noise(1, 16000))


def test_no_recordings_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="Calibration needs at least one sample"):
        pipeline.quantize(folder / "tiny", None, Recipe("dynamic8", 4, 0, ("gptq",)))


def test_convolutions_alone_are_refused(folder: Path) -> None:
    checkpoint = ROOT / "examples" / "commands_ctc" / "checkpoint"
    with pytest.raises(UserError, match=r"matrices of encoder-decoders.* Use --method round_mse"):
        pipeline.quantize(checkpoint, folder / "m.jsonl", Recipe(methods=("gptq",)))
