# SPDX-License-Identifier: Apache-2.0
"""The example's data: splits that share nothing, and the same bytes for the same seed."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.commands_ctc import data
from examples.commands_ctc.augment import augment

needs_voices = pytest.mark.skipif(
    not (shutil.which("flite") and shutil.which("espeak-ng")), reason="no flite or espeak-ng"
)


def test_calibration_development_and_evaluation_share_no_sentence_and_no_voice() -> None:
    splits = data.splits()
    training = data.draw("training", data.TRAINING_VOICES, 500, 1, vary=True, fragments=0.5)
    splits["training"] = training
    del splits["awb_training_texts"], splits["evaluation"]  # the latter is in evaluation_300
    for (a, first), (b, second) in itertools.combinations(splits.items(), 2):
        assert not {u.text for u in first} & {u.text for u in second}, (a, b)
        if {a, b} != {"training", "calibration"}:
            assert not {u.voice for u in first} & {u.voice for u in second}, (a, b)


def test_awb_is_heard_in_evaluation_only() -> None:
    assert not any("awb" in voice for voice in data.TRAINING_VOICES + data.DEVELOPMENT_VOICES)
    evaluation = data.splits()["evaluation"]
    assert len(evaluation) == 150
    assert {u.voice for u in evaluation} == {"flite:awb"}


def test_no_unseen_voice_is_one_that_has_no_variants() -> None:
    assert not [v for v in data.OTHER_EVALUATION_VOICES if v.startswith("espeak:en-gb+")]


def test_the_grammar_keeps_to_the_vocabulary() -> None:
    rng = random.Random(2)
    words = {word for _ in range(2000) for word in data.sentence(rng).split()}
    assert words == set(data.VOCABULARY) - {data.BLANK}


@needs_voices
def test_the_same_seed_gives_the_same_audio(tmp_path: Path) -> None:
    drawn = data.draw("calibration", data.TRAINING_VOICES, 6, 3, vary=True)
    data.write_split(tmp_path / "a", drawn, processes=1)
    data.write_split(tmp_path / "b", drawn, processes=2)
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    lines = (tmp_path / "a" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [u.text for u in drawn]


@needs_voices
def test_every_utterance_fits_the_window() -> None:
    drawn = data.draw("calibration", data.TRAINING_VOICES, 24, 8, vary=True)
    clips = [data.render(utterance) for utterance in drawn]
    assert max(map(len, clips)) <= data.WINDOW_SAMPLES
    assert all(clip.dtype == np.int16 and np.abs(clip).max() > 200 for clip in clips)


def test_augmentation_is_seeded_and_leaves_energies_above_the_floor() -> None:
    octaves = np.random.default_rng(0).uniform(0, 30, (5, 101, 40))
    lengths = np.array([101, 80, 60, 40, 20])
    for clip, length in zip(octaves, lengths, strict=True):
        clip[length:] = 0
    first = augment(octaves.copy(), lengths, np.random.default_rng(1))
    second = augment(octaves.copy(), lengths, np.random.default_rng(1))
    np.testing.assert_array_equal(first, second)
    assert first.shape == octaves.shape
    assert (first >= 0).all()
    assert np.isfinite(first).all()
    assert not np.array_equal(first, octaves)
