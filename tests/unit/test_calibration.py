# SPDX-License-Identifier: Apache-2.0
"""What calibration refuses, and what it says of layers that a method does not apply to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codegen import pipeline
from codegen.calibration import rounded_plainly, transformed
from codegen.errors import UserError
from codegen.graph import Graph, Operator, Tensor
from codegen.models import load_model
from codegen.ptq.methods import gptq
from codegen.ptq.methods import round as plain
from codegen.ptq.recipe import Recipe
from tests.unit._encoder_decoder import noise, save_recordings, save_tiny_moonshine

pytest.importorskip("torch")

COMMANDS = Path(__file__).parents[2] / "examples" / "commands_ctc" / "checkpoint"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and recordings with a manifest."""
    made = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(made / "tiny")
    save_recordings(made, 2)
    return made


def _write(folder: Path, pcm: np.ndarray | None, subtype: str = "PCM_16") -> Path:
    """A manifest of one good recording, and of one that is not where `pcm` is None."""
    soundfile.write(folder / "good.wav", noise(0, 9000), 16000, subtype="PCM_16")
    if pcm is not None:
        soundfile.write(folder / "bad.wav", pcm, 16000, subtype=subtype)
    lines = [json.dumps({"audio": f"{name}.wav", "text": "on"}) for name in ("good", "bad")]
    (folder / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "m.jsonl"


NOT_A_NUMBER = np.full(16000, np.nan, np.float32)


@pytest.mark.parametrize(
    ("pcm", "subtype", "message"),
    [
        (None, "", r"bad\.wav: no such recording; give a WAV file"),
        (np.zeros(0, np.int16), "PCM_16", r"bad\.wav: the recording is empty"),
        (NOT_A_NUMBER, "FLOAT", r"bad\.wav: got samples of type FLOAT, 16-bit .* convert it"),
        (np.zeros(16000, np.int16), "PCM_16", "recording 1 of .* is silent .* leave it out"),
        (noise(1, 300), "PCM_16", r"2 recordings of 0\.581 s in all; at least 1 s .* add some"),
    ],
)
@pytest.mark.parametrize("recipe", [Recipe(), Recipe("dynamic8", 4, 0, ("quarot", "gptq"))])
def test_a_bad_recording_is_named(
    tmp_path: Path, folder: Path, pcm: np.ndarray | None, subtype: str, message: str, recipe: Recipe
) -> None:
    manifest = _write(tmp_path, pcm, subtype)
    checkpoint = COMMANDS if recipe == Recipe() else folder / "tiny"
    with pytest.raises(UserError, match=message):
        pipeline.quantize(checkpoint, manifest, recipe)


def test_a_manifest_without_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").touch()
    with pytest.raises(UserError, match="the manifest is empty; add lines"):
        pipeline.quantize(COMMANDS, tmp_path / "m.jsonl", Recipe())


def _layers() -> Graph:
    """A convolution and two matrices in a chain."""
    shapes = {"x": (1, 1, 1, 4), "stem": (1, 1, 1, 4), "up": (1, 4), "down": (1, 4)}
    tensors = [Tensor(name, shape, "float32") for name, shape in shapes.items()]
    operators = []
    for number, kind in enumerate(("CONV_2D", "FULLY_CONNECTED", "FULLY_CONNECTED")):
        shape = (4, 1, 1, 4) if kind == "CONV_2D" else (4, 4)
        tensors.append(Tensor(f"w{number}", shape, "float32", None, np.ones(shape, np.float32)))
        operators.append(Operator(number, kind, (number, 4 + number, -1), (number + 1,)))
    return Graph("g", tuple(tensors), tuple(operators), (0,), (3,))


def test_a_layer_that_a_method_does_not_apply_to_is_said_once() -> None:
    names = ["g/stem", "g/up", "g/down"]
    moments = {5: np.eye(4), 6: np.zeros((4, 4))}
    found = list(rounded_plainly(_layers(), names, moments, Recipe("dynamic8", 4, 0, ("gptq",))))
    assert found == [
        "CONV_2D 'g/stem' is no matrix: rounded to the nearest, not gptq",
        "FULLY_CONNECTED 'g/down' is fed nothing but zeros: rounded to the nearest, not gptq",
    ]
    assert not list(rounded_plainly(_layers(), names, {}, Recipe("dynamic8", 4, 0, ("hqq",))))


def test_layers_that_a_transform_leaves_are_named_once(folder: Path) -> None:
    model, said = load_model(folder / "tiny", 16000), list[str]()
    recipe = Recipe("dynamic8", 4, 0, ("smoothquant", "quarot"))
    made = transformed(model, [noise(0, 16000)], recipe, said.append)
    smoothed = [line for line in said if line.startswith("smoothquant does not apply to")]
    assert len(smoothed) == 1
    left = re.findall(r"[\w/]+/[\w/]+", smoothed[0])
    assert len(set(left)) == len(left)
    assert {"encoder/layers/0/feed/down", "decoder/layers/1/feed/down"} <= set(left)
    assert "encoder/layers/0/feed/up" not in left or "encoder/layers/1/feed/up" not in left
    assert made is not model


@pytest.mark.parametrize(
    "rows",
    [
        lambda rng: np.repeat(rng.standard_normal((1, 64)), 200, axis=0),
        lambda rng: rng.standard_normal((200, 64)) * (np.arange(64) % 7 != 3),
        lambda rng: rng.standard_normal((5, 64)),
        lambda rng: np.full((200, 64), 1e-30),
        lambda rng: rng.standard_normal((200, 64)) * 10.0 ** np.linspace(-15, 15, 64),
    ],
    ids=["all rows equal", "columns of zeros", "fewer rows than columns", "tiny", "of all sizes"],
)
def test_gptq_takes_a_singular_hessian(rows: Callable[[np.random.Generator], np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    seen = np.asarray(rows(rng), np.float32).astype(np.float64)
    weight = rng.standard_normal((32, 64)).astype(np.float32)
    moments = seen.T @ seen

    def error(made: tuple[np.ndarray, np.ndarray]) -> float:
        wrong = made[0] * made[1].astype(np.float64) - weight
        return float(np.einsum("ij,jk,ik", wrong, moments, wrong, optimize=True))

    integers, scales = gptq.quantize(weight, 4, 0, moments)
    assert np.isfinite(scales).all()
    assert error((integers, scales)) < error(plain.quantize(weight, 4, 0)) * (1 + 1e-9)


@pytest.mark.slow
def test_one_second_of_a_constant_makes_a_package(tmp_path: Path, folder: Path) -> None:
    """All frames are alike, so that every Hessian of the encoder is singular."""
    pytest.importorskip("litert_torch")
    soundfile.write(tmp_path / "0.wav", np.full(16000, 5000, np.int16), 16000, subtype="PCM_16")
    (tmp_path / "m.jsonl").write_text('{"audio": "0.wav", "text": "on"}', encoding="utf-8")
    said: list[str] = []
    recipe = Recipe("dynamic8", 4, 0, ("awq", "rsq"))
    made = pipeline.quantize(
        folder / "tiny", tmp_path / "m.jsonl", recipe, said.append, window_samples=16000
    )
    assert made.calibration["utterances"] == 1
    plainly = [line for line in said if "rounded to the nearest" in line]
    assert sum("CONV_2D" in line for line in plainly) == 3
    assert len(set(plainly)) == len(plainly)
