# SPDX-License-Identifier: Apache-2.0
"""Inputs of a graph in the type in which another graph makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.graph import Quantization
from codegen.lower import lower
from codegen.tflite.inputs import taking
from tests.kernels.nets import Net


def test_an_int8_input_is_converted_in_front_of_its_first_reader() -> None:
    net = Net(np.random.default_rng(1), (1, 4, 8), "int16")
    other = net.hold((1, 4, 8), "int16")
    first = net.add("MUL", (net.input, net.input), (1, 4, 8))
    last = net.add("ADD", (first, other), (1, 4, 8))
    graph = replace(net.graph(last), inputs=(net.input, other))
    given = replace(net.tensors[other], dtype="int8", quantization=Quantization((0.1,), (-3,)))
    taken = taking(graph, 1, given)
    kinds = [operator.kind for operator in taken.operators]
    assert kinds == ["MUL", "QUANTIZE", "ADD"]
    assert [operator.index for operator in taken.operators] == [0, 1, 2]
    (position, new) = taken.inputs
    assert (position, taken.outputs) == (net.input, graph.outputs)
    assert taken.tensors[new].name == net.tensors[other].name
    assert taken.tensors[new].quantization == given.quantization
    assert taken.operators[1].inputs == (new,)
    assert taken.operators[2].inputs == (first, *taken.operators[1].outputs)
    program = lower(taken, None)
    assert program.buffers[program.inputs[1]].size_bytes == 4 * 8
