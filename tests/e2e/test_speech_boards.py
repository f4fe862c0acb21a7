# SPDX-License-Identifier: Apache-2.0
"""From PCM to text on every board: the bits of Python's front end, LiteRT and Python's decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.evaluate.decode import ctc_greedy
from codegen.evaluate.interpreter import Interpreter
from codegen.footprint.stack import EXCEPTION_BYTES, worst_stack
from codegen.measure import front_end, window_features
from codegen.package import SpeechPackage, load_package
from codegen.target import load_target
from codegen.toolchain.project import build, run

BOARDS = ("host", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")


def _recordings(samples: int) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    tone = np.sin(np.arange(samples) * 0.2) * 20_000
    pcm = [
        np.zeros(samples),
        rng.normal(size=samples) * 8_000,
        tone,
        np.where(np.arange(samples) // 40 % 2, 32_767, -32_768),
        (tone + rng.normal(size=samples) * 500)[: samples // 3],
        tone[:1],
        np.zeros(0),
    ]
    return [np.clip(each, -32_768, 32_767).astype(np.int16) for each in pcm]


def _heard(package: SpeechPackage, recordings: list[np.ndarray]) -> list[tuple[str, bytes]]:
    """Text and logits of each recording, as the host interpreter has them."""
    (graph,) = pipeline.packaged_model(package).graphs
    before = graph.tensors[graph.inputs[0]]
    assert before.quantization is not None
    quantization = before.quantization
    interpreter = Interpreter(package.graphs[0].data)
    log_mel = front_end(package)
    found = []
    for pcm in recordings:
        features = window_features(log_mel, pcm, package.window_samples)
        values = log_mel.quantized(
            features, quantization.scale, quantization.zero_point, before.dtype
        )
        (logits,) = interpreter.run([values])
        rows = logits.reshape(-1, len(package.vocabulary))
        text = ctc_greedy(rows, int(package.decoding["blank"]), package.vocabulary)
        found.append((text, logits.tobytes()))
    return found


@pytest.mark.parametrize("board", BOARDS)
def test_text_and_logits(tmp_path: Path, package: Path, board: str) -> None:
    loaded = load_package(package)
    folder = tmp_path / "project"
    compiled = pipeline.compile_model(pipeline.packaged_model(loaded), load_target(board))
    emit(pipeline.emit_inputs(compiled), folder)
    firmware = build(folder)
    recordings = _recordings(loaded.window_samples)
    answers = run(folder, [pcm.tobytes() for pcm in recordings], firmware=firmware)
    expected = _heard(loaded, recordings)
    assert [(answer.text, answer.outputs) for answer in answers] == expected
    assert len({outputs for _, outputs in expected}) > 3
    assert any(text for text, _ in expected)

    odd, long = b"\0\0\0", bytes(2 * loaded.window_samples + 2)
    good = recordings[1].tobytes()
    answers = run(folder, [odd, long, good], firmware=firmware)
    assert [answer.status for answer in answers] == [1, 3, 0]
    assert answers[2].outputs == expected[1][1]
    assert answers[1].status_text == "audio longer than the model's window"


@pytest.mark.parametrize("board", ["mps2-an386", "mps3-an547"])
def test_the_stack_suffices_with_an_interrupt_on_top(
    tmp_path: Path, package: Path, board: str
) -> None:
    target = load_target(board)
    model = pipeline.packaged_model(load_package(package))
    emit(pipeline.emit_inputs(pipeline.compile_model(model, target)), tmp_path / "project")
    build(tmp_path / "project", extra_cflags="-fcallgraph-info=su,da")
    graphs = sorted((tmp_path / "project" / "build").rglob("*.ci"))
    stack = worst_stack(path.read_text() for path in graphs)
    assert {"stapes_finish", "stapes_ctc_decode", "run"} <= {name for name, _ in stack.path}
    assert stack.total_bytes + EXCEPTION_BYTES <= target.with_speech().stack_bytes
