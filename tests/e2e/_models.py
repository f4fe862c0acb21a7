# SPDX-License-Identifier: Apache-2.0
"""Models for the tests: emitted for a target, and what LiteRT's reference kernels make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codegen import pipeline
from codegen.emit.project import emit
from codegen.target import load_target
from codegen.tflite.write import write

MODELS = Path(__file__).resolve().parents[1] / "models"
PERSON_DETECT = MODELS / "person_detect.tflite"
MICRO_SPEECH = MODELS / "micro_speech_quantized.tflite"


def emitted(source: Path, target: str, folder: Path, name: str | None = None) -> Path:
    """The project folder of `source` for `target`."""
    compiled = pipeline.compile_model(pipeline.open_model(source), load_target(target))
    emit(pipeline.emit_inputs(compiled, name), folder)
    return folder


def payloads(source: Path, count: int, seed: int = 0) -> list[bytes]:
    """Random inputs, the first two saturated."""
    (graph,) = pipeline.open_model(source).graphs
    size = sum(graph.tensors[index].size_bytes for index in graph.inputs)
    rng = np.random.default_rng(seed)
    values = [np.full(size, -128), np.full(size, 127)]
    values += [rng.integers(-128, 128, size) for _ in range(count - 2)]
    return [value.astype(np.int8).tobytes() for value in values[:count]]


def expected(source: Path, inputs: Sequence[bytes]) -> list[bytes]:
    """What LiteRT's reference kernels answer to int8 inputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        # LiteRT refuses the quantized axis of person_detect's biases, which `read` mends
        model_content=write(pipeline.open_model(source).graphs[0]),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    (before,), (after,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for data in inputs:
        interpreter.set_tensor(
            before["index"], np.frombuffer(data, before["dtype"]).reshape(before["shape"])
        )
        interpreter.invoke()
        found.append(interpreter.get_tensor(after["index"]).tobytes())
    return found
