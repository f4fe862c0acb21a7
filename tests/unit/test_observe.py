# SPDX-License-Identifier: Apache-2.0
"""What calibration sees of the inputs of a tiny Moonshine's linear layers, and hands to methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codegen import calibration
from codegen.errors import UserError
from codegen.models import SpeechModel, load_model
from codegen.ptq import observe
from codegen.ptq.recipe import METHODS, Recipe
from codegen.registry import plugins
from tests.unit._encoder_decoder import Steps, noise, save_tiny_moonshine

pytest.importorskip("torch")
pytest.importorskip("transformers")

RECORDINGS = [noise(seed, 16000 * (seed + 1)) for seed in range(3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(folder / "tiny")
    return load_model(folder / "tiny")


def test_statistics_are_those_of_the_inputs(model: SpeechModel) -> None:
    seen = calibration.observe(model, RECORDINGS)["cross/layers/1/value"]
    rows = np.concatenate([Steps(model, pcm).encoded for pcm in RECORDINGS])
    assert seen.tokens == len(rows) == 3 * 207
    assert np.allclose(seen.moments, rows.T.astype(np.float64) @ rows, rtol=1e-5, atol=1e-3)
    assert np.allclose(seen.magnitude, np.abs(rows).mean(0), rtol=1e-5)
    assert np.allclose(seen.mean, rows.mean(0), atol=1e-5)
    assert np.array_equal(seen.lowest, rows.min(0))
    assert np.array_equal(seen.highest, rows.max(0))
    assert np.array_equal(seen.largest, np.abs(rows).max(0))
    assert np.array_equal(seen.rows, rows[::2])


def test_layers_that_are_fed_one_tensor_share_what_was_seen(model: SpeechModel) -> None:
    seen = calibration.observe(model, RECORDINGS[:1])
    for readers in model.adjacency.values():
        assert len({id(seen[path]) for path in readers}) == 1
    assert seen["decoder/layers/0/cross/query"] is not seen["decoder/layers/0/attention/query"]
    linears = {path for readers in model.adjacency.values() for path in readers}
    assert len(seen) == len(linears) + 2 + 3 * 2 + 2  # out and down of both sides, cross/out


def test_it_is_the_same_again_and_leaves_no_hooks(model: SpeechModel) -> None:
    one, two = (calibration.observe(model, RECORDINGS[:2]) for _ in range(2))
    assert list(one) == list(two)
    for path, seen in one.items():
        assert np.array_equal(seen.moments, two[path].moments)
        assert np.array_equal(seen.rows, two[path].rows)
        assert not model.module(path)._forward_pre_hooks


def test_rows_are_bounded(model: SpeechModel, monkeypatch: pytest.MonkeyPatch) -> None:
    every = calibration.observe(model, RECORDINGS[:1])
    monkeypatch.setattr(observe, "MOST_ROWS", 60)
    bounded = calibration.observe(model, RECORDINGS[:1])
    for path, seen in bounded.items():
        step = -(-seen.tokens // len(seen.rows))
        assert len(seen.rows) <= 60
        assert np.array_equal(seen.rows, every[path].rows[::step])
    assert len(bounded["encoder/layers/0/feed/up"].rows) == 52


def test_nothing_heard_and_no_numbers_are_refused(model: SpeechModel) -> None:
    with pytest.raises(UserError, match="at least one sample, but got none"):
        calibration.observe(model, [])
    broken = model.copied()
    broken.module("encoder/layers/0/attention/value").weight[0, 0] = np.nan
    with pytest.raises(UserError, match=r"'encoder/layers/0/attention/out' is fed .* not finite"):
        calibration.observe(broken, RECORDINGS[:1])
    assert np.isfinite(model.module("encoder/layers/0/attention/value").weight.numpy()).all()


def test_each_transform_sees_what_those_before_it_made(
    model: SpeechModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def doubled(given: SpeechModel, observed: Any, recipe: Recipe) -> SpeechModel:
        made = given.copied()
        made.module("encoder/norm").weight.mul_(2)
        seen.append(observed)
        return replace(made, name=f"{given.name}, doubled")

    for name, extra in (("doubled", {}), ("blind", {"NEEDS_OBSERVATIONS": False})):
        monkeypatch.setitem(plugins(METHODS), name, SimpleNamespace(transform=doubled, **extra))
    recipe = Recipe("dynamic8", methods=("blind", "doubled", "doubled", "round"))
    said: list[str] = []
    made = calibration.transformed(model, RECORDINGS[:1], recipe, said.append)
    assert made.name == "tiny, doubled, doubled, doubled"
    assert seen[0] == observe.NO_OBSERVATIONS
    read = "cross/layers/0/key"
    assert np.array_equal(seen[2][read].highest, 2 * seen[1][read].highest)
    assert sum("does not apply" not in line for line in said) == 5


def test_a_recipe_without_transforms_leaves_the_model(model: SpeechModel, tmp_path: Path) -> None:
    assert calibration.transformed(model, [], Recipe("dynamic8"), print) is model
