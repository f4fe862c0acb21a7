# SPDX-License-Identifier: Apache-2.0
"""Moments of a tiny Moonshine whose frames count as much as the decoder listens to them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import calibration, pipeline
from codegen.models import SpeechModel, load_model
from codegen.ptq.importance import frame_weights
from codegen.ptq.methods.rsq import LEAST_WEIGHT
from codegen.ptq.observe import Observer
from codegen.ptq.recipe import Recipe
from codegen.tflite.convert import convert
from codegen.tflite.read import read
from tests.unit._encoder_decoder import (
    Steps,
    exported_once,
    noise,
    save_recordings,
    save_tiny_moonshine,
)

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

RECORDINGS = [noise(seed, 16000 * (seed + 1)) for seed in range(2)]
FRAMES = 207


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(made / "tiny")
    save_recordings(made, 2)
    with exported_once():
        yield made


def _listened(model: SpeechModel, pcm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encoded frames, and what each is attended to over all steps, by torch."""
    import torch

    mass = np.zeros(FRAMES)

    def add(module: Any, inputs: Any, output: Any) -> None:
        mass[:] += torch.softmax(inputs[0], -1).sum((0, 1)).numpy()

    decoder = model.graphs[-1].module
    hooks = [layer.cross.mix.register_forward_hook(add) for layer in decoder.layers]
    calibration.transcribe(model, Observer(model).runs, [pcm])
    for hook in hooks:
        hook.remove()
    return Steps(model, pcm).encoded.astype(np.float64), mass


def test_frames_count_as_they_are_attended_to(folder: Path) -> None:
    model = load_model(folder / "tiny")
    exported = [convert(part.module, part.sample_inputs, part.name) for part in model.graphs]
    graphs = [read(data)[0] for data in exported]
    moments: dict[str, list[Any]] = {}
    for method in ("rsq", "gptq"):
        recipe = Recipe("dynamic8", 4, 0, (method,))
        watched = calibration.watch(model, exported, graphs, RECORDINGS, recipe)
        moments[method] = [part.moments() for part in watched]
    wanted = np.zeros((16, 16))
    for pcm in RECORDINGS:
        encoded, mass = _listened(model, pcm)
        rows = encoded * frame_weights(mass, LEAST_WEIGHT)[:, None]
        wanted += rows.T @ rows
    for found in moments["rsq"][1].values():
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4 * wanted.max())
    for mine, plain in zip(moments["rsq"][0].values(), moments["gptq"][0].values(), strict=True):
        assert 0 < np.trace(mine) < np.trace(plain)
    decoder = zip(moments["rsq"][2].values(), moments["gptq"][2].values(), strict=True)
    assert all(np.array_equal(mine, plain) for mine, plain in decoder)


def test_packages_of_rsq_are_the_same_again(folder: Path) -> None:
    make = partial(pipeline.quantize, folder / "tiny", folder / "m.jsonl")
    made, again, plain = (
        make(Recipe("dynamic8", 4, 0, (method,))) for method in ("rsq", "rsq", "gptq")
    )
    data = [[part.data for part in package.graphs] for package in (made, again, plain)]
    assert data[0] == data[1]
    assert data[0][1] != data[2][1]
    assert data[0][2] == data[2][2]
    assert made.recipe["methods"] == ["rsq"]
