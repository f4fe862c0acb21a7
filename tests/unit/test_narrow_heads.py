# SPDX-License-Identifier: Apache-2.0
"""Heads of 4, 3 and 2 bits whose rows are the embedding's: one packed array, and the same text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.context import model_context
from codegen.emit.project import emit
from codegen.measure import recognizer
from codegen.package import SpeechPackage, load_package, save_package
from codegen.ptq.recipe import Recipe, Rule
from codegen.target import load_target
from codegen.tflite.read import read
from codegen.toolchain.project import build, run
from tests.unit._encoder_decoder import (
    exported_once,
    noise,
    save_recordings,
    save_tiny_moonshine,
    save_tiny_whisper,
)

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

WORDS, WIDTH = 24, 32
#: Of a checkpoint; its window in samples.
FAMILIES = {
    "moonshine": (partial(save_tiny_moonshine, seed=3, hidden_size=WIDTH), 32000),
    "whisper": (partial(save_tiny_whisper, seed=1, d_model=WIDTH), 32000),
}
RECORDINGS = [noise(seed, 30000) for seed in range(4)]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A checkpoint, exported once, and recordings with a manifest."""
    made = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param][0](made / "tiny")
    save_recordings(made, 2)
    with exported_once():
        yield made


def _quantized(folder: Path, mode: str, bits: int, block_size: int) -> SpeechPackage:
    """All matrices in so many bits; the text goes on as long as it may."""
    rule = Rule("decoder/output_0", weight_bits=bits, block_size=block_size)
    recipe = Recipe(mode, bits, block_size, rules=(rule,))
    manifest = None if mode == "dynamic8" else folder / "m.jsonl"
    made = pipeline.quantize(folder / "tiny", manifest, recipe, window_samples=32000)
    save_package(made, folder / f"{mode}-{bits}-{block_size}")
    loaded = load_package(folder / f"{mode}-{bits}-{block_size}")
    assert loaded.sha256 == made.sha256
    endless = {"suppress": [2, 15], "repeat_tokens": loaded.decoding["most_tokens"]}
    return replace(loaded, decoding={**loaded.decoding, **endless})


def _check_shared(package: SpeechPackage, bits: int, scales_bytes: int) -> None:
    """The head's integers are the table's, in C one array, counted once."""
    (step,), embedding = read(package.graphs[-1].data), package.tables[0]
    (head,) = (o.inputs[1] for o in step.operators if step.outputs[0] in o.outputs)
    assert np.array_equal(embedding.values, np.asarray(step.tensors[head].data))
    compiled = pipeline.compile_model(pipeline.packaged_model(package), load_target("mps3-an547"))
    assert compiled.footprint.component_bytes("table embedding") == scales_bytes
    context = model_context(pipeline.emit_inputs(compiled, "tiny"))
    assert context.speech is not None
    table = context.speech.tables[0]
    assert (table.bits, table.row_values, table.row_bytes) == (bits, WIDTH, WIDTH * bits // 8)
    assert table.data.size_bytes == WORDS * WIDTH * bits // 8
    calls = [argument for call in context.graphs[-1].calls for argument in call.arguments]
    assert table.data.symbol in calls
    assert [each.symbol for each in context.data].count(table.data.symbol) == 1


def _outputs(package: SpeechPackage, project: Path) -> list[tuple[str, bytes]]:
    """Text, tokens and logits of the recordings from the C."""
    compiled = pipeline.compile_model(pipeline.packaged_model(package), load_target("host"))
    emit(pipeline.emit_inputs(compiled, "tiny"), project)
    records = run(project, [pcm.tobytes() for pcm in RECORDINGS], firmware=build(project))
    return [(record.text, record.outputs) for record in records]


@pytest.mark.parametrize(("bits", "block_size"), [(4, 32), (2, 0)])
def test_floats_say_what_the_loop_says(
    folder: Path, tmp_path: Path, bits: int, block_size: int
) -> None:
    package = _quantized(folder, "dynamic8", bits, block_size)
    _check_shared(package, bits, 0)
    scales = package.tables[0].scales
    assert scales is not None
    assert scales.shape == ((WORDS, 1) if block_size else (WORDS,))
    engine = recognizer(package, "xnnpack")()
    texts = [text for text, _ in _outputs(package, tmp_path / "c")]
    same = sum(text == engine(pcm) for text, pcm in zip(texts, RECORDINGS, strict=True))
    assert same >= len(RECORDINGS) - 1, "logits of a random network lie close together"
    assert min(map(len, texts)) > 10


def test_integers_are_the_loops(folder: Path, tmp_path: Path) -> None:
    package = _quantized(folder, "static16", 3, 0)
    _check_shared(package, 3, 4 * WORDS)
    traced = recognizer(package, "reference").traced()
    assert _outputs(package, tmp_path / "c") == [traced(pcm) for pcm in RECORDINGS]
