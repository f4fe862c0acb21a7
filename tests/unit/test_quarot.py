# SPDX-License-Identifier: Apache-2.0
"""QuaRot on tiny models: the same function, no channel that stands out, one array of words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import calibration, pipeline
from codegen.measure import recognizer
from codegen.models import SpeechModel, load_model
from codegen.ptq.methods import quarot
from codegen.ptq.recipe import Recipe
from codegen.tflite.read import read
from tests.unit._encoder_decoder import (
    Steps,
    decibels,
    noise,
    save_recordings,
    save_tiny_moonshine,
    save_tiny_whisper,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

RECIPE = Recipe("dynamic8", 4, 0, ("quarot",))
RECORDINGS = [noise(seed, 16000 * (seed + 1)) for seed in range(2)]
TOKENS = (3, 7, 5, 7, 2, 4)


def _always(judge: Any, one: Any, other: Any, layers: Any) -> Any:
    return other


@pytest.fixture(scope="module", params=[save_tiny_moonshine, save_tiny_whisper])
def model(request: Any, tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    request.param(folder)
    return load_model(folder, 32000)


@pytest.fixture
def _turning_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarot._Judge, "better", _always)


def _turned(model: SpeechModel) -> SpeechModel:
    return quarot.transform(model, calibration.observe(model, RECORDINGS), RECIPE)


def _logits(model: SpeechModel, seed: int) -> np.ndarray:
    steps = Steps(model, noise(seed, 20000))
    return np.stack([steps.step(token) for token in TOKENS])


def _tensors(model: SpeechModel) -> Iterator[tuple[str, np.ndarray]]:
    for graph in model.graphs:
        for name, values in graph.module.state_dict().items():
            yield f"{graph.name}.{name}", values.numpy().copy()
    yield from model.tables.items()


@pytest.mark.usefixtures("_turning_all")
@pytest.mark.parametrize("seed", range(2))
def test_the_function_is_the_same(model: SpeechModel, seed: int) -> None:
    before = dict(_tensors(model))
    made = _turned(model)
    assert decibels(_logits(model, seed), _logits(made, seed)) >= 100
    assert decibels(_logits(model, seed), _logits(_turned(made), seed)) >= 100
    for name, values in _tensors(model):
        assert np.array_equal(values, before[name]), name
    for path in made.adjacency:
        norm = made.module(path)
        assert norm.bias is None
        assert (norm.weight == norm.unit).all()


@pytest.mark.usefixtures("_turning_all")
def test_it_says_the_same_again(model: SpeechModel) -> None:
    again = dict(_tensors(_turned(model)))
    for name, values in _tensors(_turned(model)):
        assert np.array_equal(values, again[name])


def test_every_linear_layer_reads_or_writes_a_stream(model: SpeechModel) -> None:
    known = {path for stream in model.streams for path in stream.writers}
    assert {norm for stream in model.streams for norm in stream.norms} == set(model.adjacency)
    known |= {path for readers in model.adjacency.values() for path in readers}
    found = {
        f"{graph.name}/{name.replace('.', '/')}"
        for graph in model.graphs
        for name, module in graph.module.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert found == known
    assert {*model.mixes, *model.mixes.values()} <= found


def _with_outliers(model: SpeechModel) -> SpeechModel:
    """Each output of what reads the streams has a large weight, each in another channel."""
    made = model.copied()
    for path in (path for paths in made.adjacency.values() for path in paths):
        weight = made.module(path).weight
        if path != "decoder/head":
            rows = np.arange(len(weight))
            weight[rows, 5 * rows % weight.shape[1]] *= 25
    return made


def test_outliers_are_spread_and_layers_err_less(model: SpeechModel) -> None:
    loud = _with_outliers(model)
    made = _turned(loud)
    assert decibels(_logits(loud, 0), _logits(made, 0)) >= 100
    errors = []
    for each in (loud, made):
        seen = calibration.observe(each, RECORDINGS)
        inputs = {path: quarot._Inputs(found.rows, found.moments) for path, found in seen.items()}
        judge, state = quarot._Judge(each, seen, RECIPE), quarot._State(each, inputs)
        errors.append({path: judge.error(state, path) for path in seen if path[-2:] != "/1"})
        weight = each.module("cross/layers/0/key").weight.numpy()
        peaks = np.abs(weight).max(1) / np.sqrt(np.square(weight).mean(1))
        errors[-1]["peak"] = float(np.median(peaks))
    before, after = errors
    assert set(before) - {"decoder/head"} == set(after) - {"decoder/head"}
    assert after["peak"] < before["peak"] - 0.5
    sums = [sum(v for path, v in each.items() if path in model.mixes) for each in errors]
    assert sums[1] < sums[0]


def test_what_would_err_more_is_left(model: SpeechModel) -> None:
    """With weights that are integers of four bits already, nothing is turned."""
    exact = model.copied()
    for path in {path for stream in exact.streams for path in stream.writers} | set(exact.mixes):
        weight = exact.module(path).weight
        weight.copy_((weight / weight.abs().amax(1, keepdim=True) * 7).round())
    for path in (path for paths in exact.adjacency.values() for path in paths):
        weight = exact.module(path).weight
        weight.copy_((weight / weight.abs().amax(1, keepdim=True) * 7).round())
    made = _turned(exact)
    before = dict(_tensors(exact))
    for name, values in _tensors(made):
        assert np.array_equal(values, before[name])


@pytest.mark.parametrize("width", [1, 2, 36, 64, 288])
def test_turns_keep_ones_and_lengths(width: int) -> None:
    turn = quarot.keeping_ones(width, np.random.default_rng(7))
    assert np.allclose(turn @ turn.T, np.eye(width), atol=1e-12)
    assert np.allclose(turn @ np.ones(width), 1, atol=1e-12)
    assert np.allclose(np.ones(width) @ turn, 1, atol=1e-12)
    assert width < 36 or np.abs(turn).max() < 6 / np.sqrt(width)


@pytest.mark.slow
@pytest.mark.usefixtures("_turning_all")
def test_a_package_keeps_one_array_of_words(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch")
    save_tiny_whisper(tmp_path / "tiny", encoder_layers=1, decoder_layers=1)
    save_recordings(tmp_path, 1)
    manifest = tmp_path / "m.jsonl"
    made = pipeline.quantize(tmp_path / "tiny", manifest, RECIPE, window_samples=32000)
    (decoder,) = read(made.graphs[-1].data)
    (words,) = (table for table in made.tables if table.name == "embedding")
    types = {
        weights.name: weights.dtype
        for operator in decoder.operators
        if operator.kind == "FULLY_CONNECTED"
        for weights in (decoder.tensors[operator.inputs[1]],)
    }
    assert types["embed/1/weights"] == types["norm/1/weights"] == "int8"
    assert types["0/attention/out/weights"] == "int4"
    head = next(t for t in decoder.tensors if t.shape == (24, 16) and t.data is not None)
    assert head.data is not None
    assert np.array_equal(head.data, words.values)
    assert isinstance(recognizer(made, "reference")()(noise(1, 16000)), str)
