# SPDX-License-Identifier: Apache-2.0
"""Two models made elsewhere, whole, against LiteRT's reference kernels."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen.lower import lower
from codegen.tflite.read import read
from codegen.tflite.write import write
from tests.kernels.harness import Reference, Runner, build_library, random_inputs

MODELS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize("name", ["person_detect", "micro_speech_quantized"])
def test_model_equals_reference(name: str, tmp_path: Path) -> None:
    data = (MODELS / f"{name}.tflite").read_bytes()
    (graph,) = read(data)
    library = build_library(tmp_path, "-O2")
    # Written again, since LiteRT refuses the axis that older converters left on biases.
    reference = Reference(write(graph))
    program = lower(graph, None)
    runner = Runner(library, graph, program)
    different = set()
    for number, inputs in enumerate(islice(random_inputs(np.random.default_rng(7), graph), 20)):
        (got,) = runner(inputs, stripe=number % 3 or None, in_place=bool(number % 2))
        (expected,) = reference(inputs)
        assert (got == expected).all(), f"input {number}: {got} for {expected}"
        different.add(got.tobytes())
    assert len(different) > 2
