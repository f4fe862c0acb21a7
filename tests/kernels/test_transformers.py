# SPDX-License-Identifier: Apache-2.0
"""Small encoder-decoder models, whole, against LiteRT's reference kernels; int4 weights, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.graph import Graph, Quantization, Tensor
from codegen.lower import lower
from codegen.models import load_float_model
from codegen.ptq.adapted import adapted
from codegen.ptq.calibrate import calibrate
from codegen.ptq.recipe import Recipe
from codegen.tflite.convert import convert
from codegen.tflite.quantize import quantize_ranges
from codegen.tflite.read import read
from codegen.tflite.write import write
from tests.kernels.harness import Reference, Runner, build_library, random_inputs
from tests.unit._encoder_decoder import save_tiny_moonshine, save_tiny_whisper

pytest.importorskip("litert_torch")


def narrowed(graph: Graph) -> Graph:
    """`graph` with the upper halves of the matrices' int8 weights as int4."""

    def four_bits(tensor: Tensor) -> Tensor:
        assert tensor.quantization is not None
        assert tensor.data is not None
        scales = tuple(16 * scale for scale in tensor.quantization.scales)
        zeros, axis = tensor.quantization.zero_points, tensor.quantization.axis
        values = (tensor.data >> 4).astype(np.int8)
        quantization = Quantization(scales, zeros, axis)
        return replace(tensor, dtype="int4", data=values, quantization=quantization)

    matrices = [o.inputs[1] for o in graph.operators if o.kind in ("FULLY_CONNECTED", "CONV_2D")]
    assert matrices
    tensors = [four_bits(t) if i in matrices else t for i, t in enumerate(graph.tensors)]
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.slow
@pytest.mark.parametrize("save", [save_tiny_moonshine, save_tiny_whisper])
def test_graphs_equal_reference(save: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path / "tiny")
    library = build_library(tmp_path, "-O2")
    rng = np.random.default_rng(3)
    for part in load_float_model(tmp_path / "tiny", 16000).graphs:
        data = convert(part.module, part.sample_inputs, part.name)
        inputs = [read(data)[0].tensors[index] for index in read(data)[0].inputs]
        samples = [{t.name: rng.normal(0, 1, t.shape).astype(np.float32) for t in inputs}] * 2
        ranges = adapted(read(data)[0], calibrate(data, read(data)[0], samples))
        (graph,) = read(quantize_ranges(data, ranges, Recipe.for_mode("static16")))
        for checked in (graph, narrowed(graph)):
            runner = Runner(library, checked, lower(checked, None))
            reference = Reference(write(checked))
            for number, values in enumerate(islice(random_inputs(rng, checked), 6)):
                got = runner(values, stripe=number % 3 or None, in_place=bool(number % 2))
                for ours, theirs in zip(got, reference(values), strict=True):
                    assert (ours == theirs).all(), f"{part.name}, inputs {number}"
