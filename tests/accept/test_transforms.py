# SPDX-License-Identifier: Apache-2.0
"""Equivalent transforms of published checkpoints: what they compute stays, on speech."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.checkpoints import checkpoint
from benchmarks.speech import groups
from benchmarks.transcription import SUBJECTS, Subject
from codegen import calibration
from codegen.models import load_float_model
from codegen.ptq.methods import omniquant
from codegen.ptq.recipe import METHODS, Recipe, methods_with
from codegen.registry import plugins
from tests.unit._encoder_decoder import Steps, decibels

pytest.importorskip("torch")

SECOND = 16000


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.checkpoint)
def test_the_function_stays(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each transform by itself, and of all of them one behind the other."""
    monkeypatch.setattr(omniquant, "LET_STEPS", 8)
    model = load_float_model(checkpoint(subject.checkpoint), subject.window_s * SECOND)
    first, *others = (said.samples() for said in groups()["calibration"][:3])
    steps = Steps(model, first)
    tokens = [*model.decoding["start"], *Steps(model, first).greedy()]
    before = np.stack([steps.step(token) for token in tokens])
    assert len(tokens) > 8
    seen, composed = calibration.observe(model, others), model
    recipe = Recipe("dynamic8", 4)
    for name in methods_with("transform"):
        transform = plugins(METHODS)[name].transform
        composed = transform(composed, calibration.observe(composed, others), recipe)
        for made in (transform(model, seen, recipe), composed):
            steps = Steps(made, first)
            after = np.stack([steps.step(token) for token in tokens])
            assert decibels(before, after) > 100, name
