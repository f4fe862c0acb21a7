# SPDX-License-Identifier: Apache-2.0
"""The graphs of the encoder-decoder families as .tflite files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.models import ModelGraph, load_float_model
from codegen.tflite.convert import convert
from codegen.tflite.read import read
from tests.unit._encoder_decoder import (
    Steps,
    decibels,
    save_tiny_moonshine,
    save_tiny_whisper,
)

pytest.importorskip("litert_torch")

SHARED = {
    *("ADD", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "FULLY_CONNECTED", "GELU", "MEAN", "MUL"),
    *("RESHAPE", "RSQRT", "SOFTMAX", "SUB", "TRANSPOSE"),
}
KINDS = {
    save_tiny_moonshine: SHARED | {"LOGISTIC", "SLICE", "TANH"},
    save_tiny_whisper: SHARED | {"PAD"},
}


@pytest.mark.slow
@pytest.mark.parametrize("save", KINDS)
def test_the_exported_graphs_compute_the_same(save: Callable[..., Any], tmp_path: Path) -> None:
    from codegen.evaluate.interpreter import Interpreter

    save(tmp_path / "tiny")
    model = load_float_model(tmp_path / "tiny", 16000)
    files = {g.name: convert(g.module, g.sample_inputs, g.name) for g in model.graphs}
    found = {o.kind for data in files.values() for g in read(data) for o in g.operators}
    assert found <= KINDS[save]
    running = {name: Interpreter(data) for name, data in files.items()}

    def engine(graph: ModelGraph, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return running[graph.name].run([np.asarray(value, np.float32) for value in inputs])

    pcm = np.random.default_rng(0).normal(0, 3000, 16000).astype(np.int16)
    wanted, exported = Steps(model, pcm), Steps(model, pcm, engine)
    assert decibels(wanted.encoded, exported.encoded) >= 90
    for token in (1, 5, 7, 20, 3):
        assert decibels(wanted.step(token), exported.step(token)) >= 90
