# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with an encoder-decoder's checkpoint is one sentence of `stapes quantize`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from codegen.cli import main
from tests.e2e._stapes import assert_empty
from tests.unit._encoder_decoder import change_json, change_tensors, save_tiny_moonshine

pytest.importorskip("torch")

BIAS = "model.encoder.conv2.bias"


def _without(folder: Path) -> None:
    change_tensors(folder / "model.safetensors", lambda tensors: tensors.pop(BIAS))


def _added(folder: Path) -> None:
    change_tensors(folder / "model.safetensors", lambda t: t.update(more=t[BIAS].copy()))


def _reshaped(folder: Path) -> None:
    change_tensors(folder / "model.safetensors", lambda t: t.update({BIAS: t[BIAS][1:]}))


def _truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def _of_another_family(folder: Path) -> None:
    change_json(folder / "config.json", model_type="wav2vec2")


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _of_another_vocabulary(folder: Path) -> None:
    change_json(folder / "tokenizer.json", model={"type": "BPE", "vocab": {"a": 400}})


def _as_it_is(folder: Path) -> None:
    """Nothing is wrong with the checkpoint."""


@pytest.mark.parametrize(
    ("change", "options", "fragments"),
    [
        (_without, (), ("lacks the tensor", BIAS, "config.json")),
        (_added, (), ("has 1 tensors", "'more'", "same checkpoint")),
        (_reshaped, (), (BIAS, "has shape (31,)", "it must be (32,)")),
        (_truncated, (), ("truncated or damaged", "download it again")),
        (_of_another_family, (), ("model_type is 'wav2vec2'", "supported are", "moonshine")),
        (_pickled, (), ("has no model.safetensors", "other formats are not read")),
        (_of_another_vocabulary, (), ("tokenizer.json", "token 400", "vocabulary has 24")),
        (_as_it_is, ("--window", "30s"), ("a window of 30 s", "to 9.536 s", "--window")),
        (_as_it_is, ("--window", "0.1s"), ("a window of 0.1 s", "takes 0.128", "--window")),
        (_as_it_is, ("--language", "de"), ("language 'de'", "'en'")),
    ],
)
def test_one_sentence_and_nothing_written(
    tmp_path: Path,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    options: tuple[str, ...],
    fragments: tuple[str, ...],
) -> None:
    save_tiny_moonshine(tmp_path / "tiny")
    change(tmp_path / "tiny")
    capsys.readouterr()
    arguments = ["-o", str(tmp_path / "p"), "--calibration", str(manifest), "--mode", "static16"]
    assert main(["quantize", str(tmp_path / "tiny"), *arguments, *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stapes: ")]
    assert len(lines) == 1
    assert "internal error" not in lines[0]
    for fragment in fragments:
        assert fragment in lines[0]
    assert_empty(tmp_path, "tiny")
