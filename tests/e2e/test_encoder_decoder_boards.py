# SPDX-License-Identifier: Apache-2.0
"""Tiny models from PCM to text: LiteRT's reference kernels = host C = QEMU's Cortex-M55.

In dynamic8 the C gives the same bits on both, and LiteRT's text.
"""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.footprint.predict import WEIGHTS_FILE_SECTION, WEIGHTS_SECTION
from codegen.footprint.stack import EXCEPTION_BYTES, worst_stack
from codegen.measure import recognizer
from codegen.package import SpeechPackage
from codegen.ptq.recipe import Recipe, Rule
from codegen.target import load_target
from codegen.toolchain.project import build, run
from tests.unit._encoder_decoder import save_tiny_moonshine, save_tiny_whisper

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

#: Pieces of text of one to three bytes, so that characters fall apart between tokens.
WORDS = tuple(
    text.encode("utf-8").decode("latin-1")
    for text in (f" w{n}é"[: 2 + n % 3] if n % 5 else f"{n}ß" for n in range(24))
)
CHANGES = {
    "as it is": {},
    "never ends": {"suppress": [2, 15], "repeat_tokens": 35},
    "repeats": {"suppress": [2, 15], "begin_suppress": [0, 1, 5], "repeat_tokens": 3},
    "long start": {"suppress": [2, 7, 15], "start": [1, 4, 9], "least_tokens": 20},
}
#: A checkpoint of a family, its window in samples, and the steps that this allows.
FAMILIES = {
    "moonshine": (partial(save_tiny_moonshine, seed=3), None, 35),
    "whisper": (partial(save_tiny_whisper, seed=1), 64000, 35),
}


def _pcm(seed: int, samples: int, loudness: float = 3000.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, loudness, samples)
    shaped = noise * np.abs(np.sin(np.arange(samples) / (500 + 90 * seed)))
    return shaped.clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module", params=FAMILIES)
def package(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> SpeechPackage:
    folder = tmp_path_factory.mktemp("tiny")
    save, window, most = FAMILIES[request.param]
    save(folder / "tiny")
    lines = []
    for seed in range(3):
        with wave.open(str(folder / f"{seed}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(_pcm(seed, 40000).tobytes())
        lines.append(json.dumps({"audio": f"{seed}.wav", "text": "x"}))
    (folder / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe = Recipe.for_mode("static16")
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe, window_samples=window)
    assert made.decoding["most_tokens"] == most
    return replace(made, vocabulary=WORDS)


RECORDINGS = (
    *(_pcm(seed, 40000) for seed in range(3)),
    _pcm(7, 64000, 9000.0),
    _pcm(8, 100),
    np.zeros(30000, np.int16),
    np.zeros(0, np.int16),
)


@pytest.mark.parametrize(
    ("target", "weights"),
    [
        ("host", "array"),
        ("host", "incbin"),
        ("host", "bin"),
        ("mps3-an547", "incbin"),
        ("mps3-an547", "bin"),
    ],
)
@pytest.mark.parametrize("changes", CHANGES)
def test_text_tokens_and_logits_from_pcm(
    package: SpeechPackage, tmp_path: Path, target: str, weights: str, changes: str
) -> None:
    if (target != "host" or weights == "bin") and changes != "never ends":
        pytest.skip("one rule is enough on QEMU, and for weights that are bound")
    if package.front_end["kind"] == "whisper_mel" and (changes, weights) != (
        "never ends",
        "incbin",
    ):
        pytest.skip("one rule and one kind of weights is enough for another front end")
    changed = replace(package, decoding={**package.decoding, **CHANGES[changes]})
    compiled = pipeline.compile_model(pipeline.packaged_model(changed), load_target(target))
    assert compiled.footprint.component_bytes("KV cache") == 2 * 2 * 2 * 35 * 8 * 2
    emit(replace(pipeline.emit_inputs(compiled, "tiny"), weights=weights), tmp_path / "c")
    sent = [pcm.tobytes() for pcm in RECORDINGS]
    firmware = build(tmp_path / "c")
    records = run(tmp_path / "c", sent, firmware=firmware)
    traced = recognizer(changed, "reference").traced()
    assert [r.status_text for r in records] == ["ok"] * len(RECORDINGS)
    texts = [record.text for record in records]
    assert [(r.text, r.outputs) for r in records] == [traced(pcm) for pcm in RECORDINGS]
    assert [len(record.outputs) for record in records[-2:]] == [0, 0]
    assert min(len(record.outputs) for record in records[:-2]) >= 4
    assert texts[-2:] == ["", ""]
    assert changes != "never ends" or max(map(len, texts)) > 20
    if target != "host":
        linked = pipeline.linked_footprint(firmware, compiled, "tiny", weights)
        predicted = pipeline.predicted_footprint(compiled, weights)
        for section in (WEIGHTS_SECTION, WEIGHTS_FILE_SECTION):
            sizes = [
                sum(r.size_bytes for r in f.rows if r.section == section)
                for f in (predicted, linked)
            ]
            assert 0 <= sizes[1] - sizes[0] < 16, section
        for component in ("speech description", "model description"):
            described = [f.component_bytes(component) for f in (predicted, linked)]
            assert described[0] == described[1], component


#: The embedding too, which the head is.
EVERYWHERE = (Rule("decoder/output_0", weight_bits=3, block_size=32),)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("dynamic8", 4, 0, ("round_mse",)),
        Recipe("dynamic8", 3, 32, ("round_mse",), EVERYWHERE),
    ],
    ids=["head of int8", "blocks everywhere"],
)
def test_dynamic8_gives_the_same_bits_on_the_host_and_the_board(
    tmp_path: Path, recipe: Recipe
) -> None:
    save_tiny_moonshine(tmp_path / "tiny", 3, hidden_size=32)
    made = pipeline.quantize(tmp_path / "tiny", None, recipe)
    package = replace(made, vocabulary=WORDS, decoding={**made.decoding, **CHANGES["never ends"]})
    sent, found = [pcm.tobytes() for pcm in RECORDINGS], []
    for target in ("host", "mps3-an547"):
        compiled = pipeline.compile_model(pipeline.packaged_model(package), load_target(target))
        assert compiled.footprint.component_bytes("KV cache") == 2 * 2 * 2 * 35 * 16 * 4
        assert compiled.footprint.component_bytes("table embedding") == 0
        emit(replace(pipeline.emit_inputs(compiled, "tiny"), weights="incbin"), tmp_path / target)
        firmware = build(tmp_path / target)
        records = run(tmp_path / target, sent, firmware=firmware)
        assert [record.status_text for record in records] == ["ok"] * len(RECORDINGS)
        found.append([(record.text, record.outputs) for record in records])
    assert found[0] == found[1]
    linked = pipeline.linked_footprint(firmware, compiled, "tiny", "incbin")
    stored = [row for row in compiled.footprint.rows if row.section == WEIGHTS_SECTION]
    padding = linked.component_bytes("weights") - sum(row.size_bytes for row in stored)
    assert 0 <= padding < 16
    engine = recognizer(package, "xnnpack")()
    same = sum(text == engine(pcm) for (text, _), pcm in zip(found[0], RECORDINGS, strict=True))
    assert same >= len(RECORDINGS) - 1, "logits of a random network lie close together"


def test_the_stack_suffices_with_an_interrupt_on_top(
    package: SpeechPackage, tmp_path: Path
) -> None:
    target = load_target("mps3-an547")
    compiled = pipeline.compile_model(pipeline.packaged_model(package), target)
    emit(pipeline.emit_inputs(compiled), tmp_path / "c")
    build(tmp_path / "c", extra_cflags="-fcallgraph-info=su,da")
    stack = worst_stack(path.read_text() for path in sorted((tmp_path / "c").rglob("*.ci")))
    assert {"stapes_finish", "stapes_greedy_decode"} <= {name for name, _ in stack.path}
    assert stack.total_bytes + EXCEPTION_BYTES <= target.with_speech().stack_bytes
