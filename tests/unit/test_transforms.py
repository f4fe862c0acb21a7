# SPDX-License-Identifier: Apache-2.0
"""Equivalent transforms of tiny models: the same function, and layers that err less rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import calibration, pipeline
from codegen.evaluate.greedy import detokenized, greedy_tokens, most_steps
from codegen.measure import recognizer
from codegen.models import SpeechModel, load_model
from codegen.ptq.methods import _equivalent, awq, omniquant
from codegen.ptq.observe import Observations
from codegen.ptq.recipe import METHODS, Recipe, Rule, methods_with
from codegen.registry import plugins
from tests.unit._encoder_decoder import (
    Steps,
    change_tensors,
    decibels,
    noise,
    save_recordings,
    save_tiny_moonshine,
    save_tiny_whisper,
)

pytest.importorskip("torch")
pytest.importorskip("transformers")

RECORDINGS = [noise(seed, 16000 * (seed + 1)) for seed in range(2)]
SEARCHING = ("awq", "omniquant", "outlier_suppression", "smoothquant")
FAMILIES: dict[str, Callable[[Path], Any]] = {
    "moonshine": lambda folder: save_tiny_moonshine(folder, hidden_size=32, intermediate_size=64),
    "whisper": lambda folder: save_tiny_whisper(
        folder, d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64
    ),
}

Subject = tuple[SpeechModel, Observations]
Found = list[tuple[_equivalent.Group, _equivalent.Change]]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned is learned in few steps."""
    monkeypatch.setattr(omniquant, "LET_STEPS", 8)
    monkeypatch.setattr(omniquant, "LWC_STEPS", 2)


def _with_outliers(tensors: dict[str, np.ndarray]) -> None:
    """Of each norm, one channel is large, one is nothing."""
    for name, values in tensors.items():
        if "norm" in name and name.endswith("weight") and "groupnorm" not in name:
            tensors[name] = values * np.where(np.arange(len(values)) == 3, 40, 1).astype(np.float32)
            tensors[name][5] = 0


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A model with outliers, and what its layers are fed."""
    folder = tmp_path_factory.mktemp(request.param) / "tiny"
    FAMILIES[request.param](folder)
    change_tensors(folder / "model.safetensors", _with_outliers)
    model = load_model(folder, 16000)
    return model, calibration.observe(model, RECORDINGS)


def _transformed(subject: Subject, name: str, recipe: Recipe) -> SpeechModel:
    made: SpeechModel = plugins(METHODS)[name].transform(*subject, recipe)
    return made


def _logits(model: SpeechModel) -> np.ndarray:
    steps = Steps(model, RECORDINGS[0][: model.window_samples])
    return np.stack([steps.step(token) for token in (1, 4, 7, 9, 2, 11)])


@pytest.mark.parametrize("name", methods_with("transform"))
@pytest.mark.parametrize("form", [(4, 0), (4, 32), (8, 0)])
def test_the_function_stays(subject: Subject, name: str, form: tuple[int, int]) -> None:
    model, before = subject[0], _logits(subject[0])
    made = _transformed(subject, name, Recipe("dynamic8", *form, (name,)))
    assert decibels(before, _logits(made)) > 100
    assert np.array_equal(before, _logits(model)), "the model that was given has changed"
    weights = [m.module("cross/layers/0/key").weight.numpy() for m in (model, made)]
    assert name not in SEARCHING or not np.array_equal(*weights), "nothing was done"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Fills with the groups that are searched, and what was chosen."""
    chosen: Found = []
    best = _equivalent.Group.best

    def noted(group: _equivalent.Group, candidates: Any) -> _equivalent.Change:
        chosen.append((group, best(group, candidates)))
        return chosen[-1][1]

    monkeypatch.setattr(_equivalent.Group, "best", noted)
    return chosen


@pytest.mark.parametrize("name", SEARCHING)
@pytest.mark.parametrize("form", [(4, 0), (4, 32), (4, 128)])
@pytest.mark.parametrize("rounding", ["round", "gptq"])
def test_no_layer_errs_more(
    subject: Subject, found: Found, name: str, form: tuple[int, int], rounding: str
) -> None:
    """By the method of rounding that the recipe composes with; most err less."""
    _transformed(subject, name, Recipe("dynamic8", *form, (name, rounding)))
    errors = [
        (group.error(group.unchanged, rounding), group.error(change, rounding))
        for group, change in found
    ]
    assert all(after <= before for before, after in errors)
    assert sum(after < before for before, after in errors) > len(errors) / 2
    layers = {path for group, _ in found for path in group.readers}
    norms = {path for paths in subject[0].adjacency.values() for path in paths}
    assert layers >= norms - {"decoder/head"}
    assert "decoder/head" not in layers


def test_errors_are_of_rows_that_no_method_has_seen(subject: Subject) -> None:
    whole = subject[1]["decoder/layers/0/feed/down"]
    assert len(whole.rows) == whole.tokens
    held = _equivalent.held_out(whole)
    fitted = whole.rows[: held.tokens]
    assert held.tokens + len(held.rows) == whole.tokens
    assert np.array_equal(held.rows, whole.rows[held.tokens :])
    assert np.allclose(held.moments, fitted.T.astype(np.float64) @ fitted, rtol=1e-4, atol=1e-4)
    assert np.allclose(held.mean, fitted.mean(0), rtol=1e-3, atol=1e-4)
    single = replace(whole, rows=whole.rows[:1], tokens=1)
    assert _equivalent.held_out(single) is single


@pytest.mark.parametrize("name", ["outlier_suppression", "smoothquant"])
def test_the_error_that_is_searched_is_the_models(
    subject: Subject, found: Found, name: str
) -> None:
    """That of its layers on what they are fed when it transcribes."""
    made = _transformed(subject, name, Recipe("dynamic8", 4, 0, (name,)))
    seen, quantize = calibration.observe(made, RECORDINGS), plugins(METHODS)["round"].quantize
    for group, change in found:
        total = 0.0
        for path in group.readers:
            weight, later = made.module(path).weight.numpy(), len(seen[path].rows) // 2
            rows, heard = seen[path].rows[later:], subject[1][path].rows[later:]
            integers, scales = quantize(weight, 4, 0)
            exact = _equivalent.rounded_rows(rows, "dynamic8") @ (integers * scales).T
            power = np.square(heard @ subject[0].module(path).weight.numpy().T)
            total += np.square(exact - rows @ weight.T).sum() / power.sum()
        assert total == pytest.approx(group.error(change, "round"), rel=0.02)


@pytest.mark.parametrize("mode", ["dynamic8", "static8", "static16"])
def test_descent_lessens_the_loss(
    subject: Subject, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all groups together, with or without shifts, from where awq leaves them."""
    import torch

    monkeypatch.setattr(omniquant, "LET_STEPS", 30)
    recipe, losses = Recipe(mode, 4, 32 if mode == "dynamic8" else 0), []
    for number, (_, group) in enumerate(_equivalent.norm_groups(*subject, recipe)):
        rows, shifting = subject[1][group.readers[0]].rows, number % 2 == 0
        start = min(awq.candidates(group), key=lambda each: group.error(each, "round"))
        change = omniquant.learned(group, rows, start, shifting)
        assert shifting or not change.shifts.any()
        for each in (start, change):
            values = torch.from_numpy(each.scales), torch.from_numpy(each.shifts)
            losses.append(float(omniquant.Loss(group, rows, each)(*values).detach()))
    assert sum(losses[1::2]) < 0.95 * sum(losses[::2])


def test_the_noise_of_rounding_is_that_of_rows() -> None:
    """A twelfth of a squared step is what rounding adds, in the mean."""
    import torch

    rows = np.random.default_rng(5).normal(1, 2, (300, 200)).astype(np.float32)
    for mode in ("dynamic8", "static8", "static16"):
        added = np.square(_equivalent.rounded_rows(rows, mode) - rows).mean()
        assert float(omniquant.noise(torch.from_numpy(rows), mode)) == pytest.approx(
            added, rel=0.05
        )


def test_moments_follow_a_change(subject: Subject) -> None:
    seen = subject[1]["cross/layers/0/key"]
    rng = np.random.default_rng(3)
    scales, shifts = rng.uniform(0.5, 2, (2, len(seen.mean))).astype(np.float32)
    change = _equivalent.Change(scales, shifts)
    model, recordings = subject[0].copied(), RECORDINGS
    readers = model.adjacency["encoder/norm"]
    _equivalent.change_norm(model, "encoder/norm", readers, change)
    again = calibration.observe(model, recordings)["cross/layers/0/key"].moments
    assert decibels(again, _equivalent.changed_moments(seen, change)) > 80


def test_the_recipe_and_its_rules_hold_in_the_search(subject: Subject) -> None:
    recipes = (
        Recipe("static8", 4),
        Recipe("static8", 4, rules=(Rule("encoder/.*/query", weight_bits=8),)),
        Recipe("static8"),
        Recipe("static16"),
    )
    groups = [next(_equivalent.norm_groups(*subject, recipe))[1] for recipe in recipes]
    errors = [group.error(group.unchanged, "round") for group in groups]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == len(recipes)


@pytest.mark.parametrize("name", methods_with("transform"))
def test_it_is_the_same_again(subject: Subject, name: str) -> None:
    one, two = (_transformed(subject, name, Recipe("dynamic8", 4, 32)) for _ in range(2))
    for first, second in zip(one.graphs, two.graphs, strict=True):
        values = [graph.module.state_dict() for graph in (first, second)]
        assert all((value == values[1][key]).all() for key, value in values[0].items())


@pytest.mark.slow
def test_a_package_of_transforms(tmp_path: Path) -> None:
    """A norm that has gained a bias, values in other units: exported, it says what it said."""
    pytest.importorskip("litert_torch")
    layers = {"encoder_num_hidden_layers": 1, "decoder_num_hidden_layers": 1}
    save_tiny_moonshine(tmp_path / "tiny", **layers)
    save_recordings(tmp_path, 1)
    methods = ("outlier_suppression", "awq", "smoothquant", "gptq")
    recipe = Recipe("dynamic8", 4, methods=methods)
    made = pipeline.quantize(tmp_path / "tiny", tmp_path / "m.jsonl", recipe)
    assert made.recipe["methods"] == list(methods)
    assert made.tables[0].scales is not None, "the embedding is the head's array no more"
    pcm = noise(7, 16000)
    steps = Steps(load_model(tmp_path / "tiny"), pcm)
    most = most_steps(made.decoding, len(pcm), 16000)
    tokens = greedy_tokens(made.decoding, most, lambda token, _: steps.step(token))
    heard = recognizer(made, "reference", floats=True)()
    assert heard(pcm) == detokenized(tokens, made.vocabulary) != ""
    assert recognizer(made, "reference")()(pcm)
