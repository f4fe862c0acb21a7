# SPDX-License-Identifier: Apache-2.0
"""QuaRot on tiny models: the same function, no channel that stands out, one array of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import pipeline
from codegen.measure import recognizer
from codegen.models import SpeechModel, load_model
from codegen.ptq.methods import quarot
from codegen.ptq.observe import NO_OBSERVATIONS
from codegen.ptq.recipe import Recipe
from codegen.tflite.read import read
from tests.unit._encoder_decoder import (
    Steps,
    decibels,
    noise,
    save_tiny_moonshine,
    save_tiny_whisper,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

RECIPE = Recipe("dynamic8", 4, 0, ("quarot",))
TOKENS = (3, 7, 5, 7, 2, 4)


@pytest.fixture(scope="module", params=[save_tiny_moonshine, save_tiny_whisper])
def model(request: Any, tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    request.param(folder)
    return load_model(folder, 32000)


def _turned(model: SpeechModel) -> SpeechModel:
    return quarot.transform(model, NO_OBSERVATIONS, RECIPE)


def _logits(model: SpeechModel, seed: int) -> np.ndarray:
    steps = Steps(model, noise(seed, 20000))
    return np.stack([steps.step(token) for token in TOKENS])


def _tensors(model: SpeechModel) -> Iterator[tuple[str, np.ndarray]]:
    for graph in model.graphs:
        for name, values in graph.module.state_dict().items():
            yield f"{graph.name}.{name}", values.numpy().copy()
    yield from model.tables.items()


@pytest.mark.parametrize("seed", range(2))
def test_the_function_is_the_same(model: SpeechModel, seed: int) -> None:
    before = dict(_tensors(model))
    made = _turned(model)
    assert decibels(_logits(model, seed), _logits(made, seed)) >= 100
    assert decibels(_logits(model, seed), _logits(_turned(made), seed)) >= 100
    for name, values in _tensors(model):
        assert np.array_equal(values, before[name]), name


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


def test_norms_scale_nothing(model: SpeechModel) -> None:
    made = _turned(model)
    for path in made.adjacency:
        norm = made.module(path)
        assert norm.bias is None
        assert (norm.weight == norm.unit).all()


def test_an_outlier_is_spread(model: SpeechModel) -> None:
    """A channel of the stream that is written large, and a norm that makes it larger still."""
    loud = model.copied()
    for path in loud.streams[0].writers:
        loud.module(path).weight[3] *= 50
    loud.module("encoder/norm").weight[3] = 20
    made = _turned(loud)
    read = "cross/layers/0/value"
    assert decibels(_logits(loud, 0), _logits(made, 0)) >= 100
    for path, axis in ((loud.streams[0].writers[0], 1), (read, 0)):
        shares = [
            np.abs(each.module(path).weight.numpy()).sum(axis) for each in (loud.copied(), made)
        ]
        if path == read:
            shares[0] = shares[0] * np.abs(loud.module("encoder/norm").weight.numpy())
        assert shares[0].max() > 5 * np.median(shares[0])
        assert shares[1].max() < 4 * np.median(shares[1])
    steps = [Steps(each, noise(0, 20000)).encoded for each in (loud, made)]
    assert np.abs(steps[0]).max(0).argmax() == 3
    assert np.abs(steps[1]).max() < np.abs(steps[0]).max() / 2


@pytest.mark.parametrize("width", [1, 2, 36, 64, 288])
def test_turns_keep_ones_and_lengths(width: int) -> None:
    turn = quarot.keeping_ones(width, np.random.default_rng(7))
    assert np.allclose(turn @ turn.T, np.eye(width), atol=1e-12)
    assert np.allclose(turn @ np.ones(width), 1, atol=1e-12)
    assert np.allclose(np.ones(width) @ turn, 1, atol=1e-12)
    assert width < 36 or np.abs(turn).max() < 6 / np.sqrt(width)


@pytest.mark.slow
@pytest.mark.parametrize("save", [save_tiny_moonshine, save_tiny_whisper])
def test_a_package_keeps_one_array_of_words(save: Callable[[Path], Any], tmp_path: Path) -> None:
    pytest.importorskip("litert_torch")
    save(tmp_path / "tiny")
    made = pipeline.quantize(tmp_path / "tiny", None, RECIPE, window_samples=32000)
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
    assert np.array_equal(head.data, words.values)
    assert isinstance(recognizer(made, "reference")()(noise(1, 16000)), str)
