# SPDX-License-Identifier: Apache-2.0
"""A tiny Moonshine from PCM to text: LiteRT's reference kernels = host C = QEMU's Cortex-M55."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.footprint.predict import WEIGHTS_FILE_SECTION, WEIGHTS_SECTION
from codegen.measure import recognizer
from codegen.package import SpeechPackage
from codegen.ptq.recipe import Recipe
from codegen.target import load_target
from codegen.toolchain.project import build, run
from tests.unit._encoder_decoder import save_tiny_moonshine

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

#: Pieces of text of one to three bytes, so that characters fall apart between tokens.
WORDS = tuple(
    text.encode("utf-8").decode("latin-1")
    for text in (f" w{n}é"[: 2 + n % 3] if n % 5 else f"{n}ß" for n in range(24))
)
CHANGES = {
    "as it is": {},
    "never ends": {"suppress": [2], "repeat_tokens": 35, "repeat_period": 1},
    "repeats": {"suppress": [2], "begin_suppress": [0, 1, 5], "repeat_tokens": 6},
    "long start": {"suppress": [2, 7], "start": [1, 4, 9], "least_tokens": 20},
}


def _pcm(seed: int, samples: int, loudness: float = 3000.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, loudness, samples)
    shaped = noise * np.abs(np.sin(np.arange(samples) / (500 + 90 * seed)))
    return shaped.clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> SpeechPackage:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(folder / "tiny", 3)
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
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)
    return replace(made, vocabulary=WORDS)


RECORDINGS = (
    *(_pcm(seed, 40000) for seed in range(3)),
    _pcm(7, 80000, 9000.0),
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
        described = [f.component_bytes("speech description") for f in (predicted, linked)]
        assert described[0] == described[1]
