# SPDX-License-Identifier: Apache-2.0
"""Weights in a file that the firmware binds: the same bits, new weights, wrong files refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.graph import Graph, Tensor
from codegen.package import load_package
from codegen.target import load_target
from codegen.tflite.write import write
from codegen.toolchain.project import build, run
from tests.e2e._models import MICRO_SPEECH, expected, payloads
from tests.e2e._stapes import complained, stapes, succeeded

BOARDS = ("host", "mps3-an547")


def _bound(source: Path, target: str, folder: Path) -> Path:
    """The project of `source` with its weights in a file."""
    compiled = pipeline.compile_model(pipeline.open_model(source), load_target(target))
    emit(pipeline.emit_inputs(compiled, "demo", "bin"), folder)
    return folder


def _file(project: Path) -> Path:
    return project / "model" / "demo_weights.bin"


def _retrained(tmp_path: Path) -> Path:
    """micro_speech with other weights and biases, its scales as they are."""

    def reversed_data(tensor: Tensor) -> Tensor:
        data = tensor.data
        if data is None or tensor.quantization is None:
            return tensor
        turned = np.ascontiguousarray(data.reshape(-1)[::-1].reshape(data.shape))
        return replace(tensor, data=turned)

    (graph,) = pipeline.open_model(MICRO_SPEECH).graphs
    changed: Graph = replace(graph, tensors=tuple(map(reversed_data, graph.tensors)))
    path = tmp_path / "retrained.tflite"
    path.write_bytes(write(changed))
    return path


@pytest.mark.parametrize("board", BOARDS)
def test_new_weights_for_the_same_firmware(tmp_path: Path, board: str) -> None:
    other = _retrained(tmp_path)
    project = _bound(MICRO_SPEECH, board, tmp_path / "old")
    new = _bound(other, board, tmp_path / "new")
    firmware, inputs = build(project), payloads(MICRO_SPEECH, 4)
    before = run(project, inputs, firmware=firmware)
    after = run(project, inputs, firmware=firmware, weights=_file(new))
    assert [answer.outputs for answer in before] == expected(MICRO_SPEECH, inputs)
    assert [answer.outputs for answer in after] == expected(other, inputs)
    assert before != after


@pytest.mark.parametrize("board", BOARDS)
def test_a_speech_model_answers_as_with_weights_compiled_in(
    tmp_path: Path, package: Path, board: str
) -> None:
    model = pipeline.packaged_model(load_package(package))
    compiled = pipeline.compile_model(model, load_target(board))
    rng = np.random.default_rng(2)
    sent = [rng.integers(-9000, 9000, n, np.int16).tobytes() for n in (6000, 300, 0)]
    answers = []
    for weights in ("incbin", "bin"):
        folder = tmp_path / weights
        emit(pipeline.emit_inputs(compiled, None, weights), folder)
        records = run(folder, sent, firmware=build(folder))
        answers.append([(record.status, record.text, record.outputs) for record in records])
    assert answers[0] == answers[1]
    assert {status for status, _, _ in answers[0]} == {0}


@pytest.mark.parametrize("board", BOARDS)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, board: str) -> None:
    project = _bound(MICRO_SPEECH, board, tmp_path / "project")
    firmware, (sent, *_) = build(project), payloads(MICRO_SPEECH, 1)
    good = _file(project).read_bytes()
    wrong = {
        "not a file of weights": b"GIF8" + good[4:],
        "weights of another format version": good[:4] + b"\2" + good[5:],
        "weights of another model than the firmware's": good[:20] + b"\0\0\0\0" + good[24:],
        "weights of a wrong length": good[:8] + b"\1\0\0\0" + good[12:],
        "weights whose checksum is wrong": good[:-1] + bytes([good[-1] ^ 1]),
    }
    for status, data in wrong.items():
        (tmp_path / "wrong.bin").write_bytes(data)
        records = run(project, [sent] * 2, firmware=firmware, weights=tmp_path / "wrong.bin")
        assert [(r.status_text, r.outputs) for r in records] == [(status, b"")] * 2
    if board == "host":  # an emulated board finds zeros behind a file's end
        (tmp_path / "wrong.bin").write_bytes(good[:-1])
        (record,) = run(project, [sent], firmware=firmware, weights=tmp_path / "wrong.bin")
        assert record.status_text == "weights of a wrong length"


def test_the_command_line(tmp_path: Path) -> None:
    project, compiled_in = tmp_path / "bound", tmp_path / "compiled"
    common = (MICRO_SPEECH, "--target", "host", "--name", "demo")
    succeeded(stapes("emit", *common, "--weights", "bin", "-o", project))
    succeeded(stapes("emit", *common, "-o", compiled_in))
    (sent, *_) = payloads(MICRO_SPEECH, 1)
    (tmp_path / "x.bin").write_bytes(sent)
    data = ("--input", tmp_path / "x.bin")
    assert expected(MICRO_SPEECH, [sent])[0].hex() in succeeded(stapes("run", project, *data))
    complained(
        stapes("run", compiled_in, *data, "--weights", _file(project)),
        "weights compiled in",
        "--weights bin",
    )
    complained(stapes("run", project, *data, "--weights", tmp_path / "none.bin"), "no such file")
    (tmp_path / "cut.bin").write_bytes(_file(project).read_bytes()[:100])
    done = stapes("run", project, *data, "--weights", tmp_path / "cut.bin")
    complained(done, "weights of a wrong length", code=1)
    shown = succeeded(stapes("size", MICRO_SPEECH, "--target", "host", "--weights", "bin"))
    assert "[weights file]" in shown
    complained(stapes("size", MICRO_SPEECH, "--target", "host", "--weights", "x"), "incbin, bin")
