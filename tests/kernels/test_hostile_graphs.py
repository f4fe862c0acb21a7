# SPDX-License-Identifier: Apache-2.0
"""Operators changed at random: each is refused in a sentence, or runs without touching what is
not its own."""

from __future__ import annotations

import ctypes
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import NUMPY_TYPES, Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.registry import plugins
from tests.kernels.harness import SANITIZE, Runner, build_library, random_inputs

CASES = 60
CHANGES = 5


def pick(rng: np.random.Generator, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def with_values(rng: np.random.Generator, tensor: Tensor) -> Tensor:
    """`tensor` with data that fits its shape and type, small numbers where it is no weight."""
    dtype = np.dtype(NUMPY_TYPES[tensor.dtype])
    if dtype.kind not in "iu":
        return replace(tensor, data=np.zeros(tensor.shape, dtype))
    info = np.iinfo(dtype.name)
    low, high = (info.min, info.max) if dtype.itemsize == 1 else (-3, 9)
    low, high = (int(low), int(high)) if rng.integers(2) else (max(0, int(low)), 3)
    return replace(tensor, data=rng.integers(low, high, tensor.shape, dtype, endpoint=True))


def changed_tensor(rng: np.random.Generator, tensor: Tensor) -> Tensor:
    match rng.integers(6):
        case 0:
            shape = tuple(int(rng.integers(1, 5)) for _ in range(rng.integers(0, 6)))
            tensor = replace(tensor, shape=shape)
        case 1:
            lengths = list(tensor.shape) or [1]
            lengths[int(rng.integers(len(lengths)))] = int(rng.integers(1, 9))
            tensor = replace(tensor, shape=tuple(lengths))
        case 2:
            tensor = replace(tensor, dtype=str(pick(rng, *NUMPY_TYPES)))
        case 3:
            scale, zero = pick(rng, 1e-30, 1e-6, 0.1, 1e6, 1e30), pick(rng, -128, 0, 1, 127, 255)
            count = int(rng.integers(1, 4))
            quantization = Quantization((float(scale),) * count, (int(zero),) * count, count - 1)
            tensor = replace(tensor, quantization=quantization)
        case 4:
            tensor = replace(tensor, quantization=None)
        case 5:
            return replace(tensor, data=None) if tensor.data is not None else tensor
    return tensor if tensor.data is None else with_values(rng, tensor)


def changed_operator(rng: np.random.Generator, operator: Operator) -> Operator:
    options = dict(operator.options)
    if options and rng.integers(3):
        name = list(options)[int(rng.integers(len(options)))]
        if rng.integers(4) == 0:
            del options[name]
        elif isinstance(options[name], (int, float)) and not isinstance(options[name], bool):
            options[name] = pick(rng, -1, 0, 1, 2, 7, 2**31 - 1)
        elif isinstance(options[name], str):
            options[name] = pick(rng, "NONE", "RELU", "TANH", "SAME", "VALID", "SIGN_BIT")
        return replace(operator, options=options)
    inputs = list(operator.inputs) or [-1]
    match rng.integers(3):
        case 0:
            inputs = inputs[:-1]
        case 1:
            inputs[int(rng.integers(len(inputs)))] = -1
        case 2:
            inputs.append(inputs[0])
    return replace(operator, inputs=tuple(inputs))


def changed(rng: np.random.Generator, graph: Graph) -> Graph:
    for _ in range(rng.integers(1, 3)):
        tensors, operators = list(graph.tensors), graph.operators
        if rng.integers(3):
            index = int(rng.integers(len(tensors)))
            tensors[index] = changed_tensor(rng, tensors[index])
        else:
            operators = (changed_operator(rng, operators[0]),)
        written = {*graph.outputs}
        inputs = [i for i, t in enumerate(tensors) if t.data is None and i not in written]
        graph = replace(graph, tensors=tuple(tensors), operators=operators, inputs=tuple(inputs))
    return graph


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("kernels")
    built: ctypes.CDLL = build_library(folder, "-O1", *SANITIZE)
    return built


@pytest.mark.parametrize("name", sorted(plugins("codegen.ops")))
def test_changed_operators_are_refused_or_safe(name: str, library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(17)
    outcomes: Counter[str] = Counter()
    for original in islice(plugins("codegen.ops")[name].cases(rng), CASES):
        for _ in range(CHANGES):
            graph = changed(rng, original)
            try:
                program = lower(graph, None)
            except UserError as error:
                outcomes["refused"] += "docs/operators.md" in str(error)
                continue
            runner = Runner(library, graph, program)
            for inputs in islice(random_inputs(rng, graph), 3):
                runner(inputs)
            outcomes["ran"] += 1
    outcomes["without a word"] = CASES * CHANGES - outcomes["refused"] - outcomes["ran"]
    assert not outcomes["without a word"]
    assert min(outcomes["refused"], outcomes["ran"]) > 10, outcomes
