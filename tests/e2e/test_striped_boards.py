# SPDX-License-Identifier: Apache-2.0
"""Graphs that run in stripes give LiteRT's bits as C, on this computer and on the boards."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.graph import Graph
from codegen.lower import lower
from codegen.target import load_target
from codegen.tflite.write import write
from codegen.toolchain.project import build, run
from tests.kernels.harness import Reference, Runner, build_library, random_inputs
from tests.kernels.nets import Net, normalized_stem

BOARDS = ("host", "mps2-an386", "mps3-an547")


def attentive(dtype: str) -> Graph:
    """One layer on 60 frames of 8 channels."""
    net = Net(np.random.default_rng(1), (1, 60, 8), dtype)
    return net.graph(net.feed_forward(net.attention(net.input, 2)))


def padded() -> Graph:
    """Two convolutions of which the second reads padding of its own, so that stripes lack lines."""
    net = Net(np.random.default_rng(2), (1, 1, 90, 4), "int8")
    x = net.convolution(net.input, 1, 3, width=12, padding="SAME")
    x = net.convolution(x, 2, 5, width=4, padding="SAME")
    return net.graph(net.add("GELU", (x,), net.shape(x), approximate=False))


GRAPHS = {"attention": attentive("int8"), "stem": normalized_stem(3), "padding": padded()}


@pytest.mark.parametrize("weights", ["array", "bin"])
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("board", BOARDS)
def test_bits_of_stripes(tmp_path: Path, name: str, board: str, weights: str) -> None:
    if weights == "bin" and board != "mps3-an547":
        pytest.skip("weights that are bound on one board")
    graph = GRAPHS[name]
    source = tmp_path / "net.tflite"
    source.write_bytes(write(graph))
    compiled = pipeline.compile_model(pipeline.open_model(source), load_target(board))
    assert compiled.programs[0].groups
    emit(replace(pipeline.emit_inputs(compiled), weights=weights), tmp_path / "project")
    inputs = list(islice(random_inputs(np.random.default_rng(3), graph), 6))
    sent = [values.tobytes() for (values,) in inputs]
    answers = run(tmp_path / "project", sent, firmware=build(tmp_path / "project"))
    reference = Reference(source.read_bytes())
    assert [each.outputs for each in answers] == [reference(each)[0].tobytes() for each in inputs]
    assert len({each.outputs for each in answers}) > 3


@pytest.mark.parametrize("board", ["host", "mps3-an547"])
def test_floats_of_stripes_are_those_of_the_whole(tmp_path: Path, board: str) -> None:
    graph = attentive("float32")
    source = tmp_path / "net.tflite"
    source.write_bytes(write(graph))
    compiled = pipeline.compile_model(pipeline.open_model(source), load_target(board))
    assert compiled.programs[0].groups
    emit(pipeline.emit_inputs(compiled), tmp_path / "project")
    inputs = list(islice(random_inputs(np.random.default_rng(3), graph), 6))
    sent = [values.tobytes() for (values,) in inputs]
    answers = run(tmp_path / "project", sent, firmware=build(tmp_path / "project"))
    whole = Runner(build_library(tmp_path, "-O2"), graph, lower(graph, None))
    assert [each.outputs for each in answers] == [whole(each)[0].tobytes() for each in inputs]
    assert len({each.outputs for each in answers}) > 3
