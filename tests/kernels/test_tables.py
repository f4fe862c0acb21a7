# SPDX-License-Identifier: Apache-2.0
"""Functions of one value against LiteRT's reference kernels over all values of their type."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.tflite.write import write
from tests.kernels.harness import Reference, Runner, build_library

#: The greatest inputs; with the last two, the scale of int16 is a power of two.
REACHES = (0.01, 0.7, 3.0, 12.0, 100.0, 8.0 * 32767 / 32768, 16.0 * 32767 / 32768)
MOST = {"int8": 127, "int16": 32767}


def like_input(dtype: str, scale: float, spread: float) -> Quantization:
    return Quantization((float(np.float32(scale * spread)),), (0,))


def like_root(dtype: str, scale: float, spread: float) -> Quantization:
    return Quantization((float(np.float32(spread / (MOST[dtype] * np.sqrt(scale)))),), (0,))


def unit(dtype: str, scale: float, spread: float) -> Quantization:
    return Quantization((1 / 256,), (-128,)) if dtype == "int8" else Quantization((2.0**-15,), (0,))


@dataclass(frozen=True)
class Function:
    """An operator: its options, its output's quantization, and whether inputs are at least 0."""

    kind: str
    output: Callable[[str, float, float], Quantization] = like_input
    options: Mapping[str, bool] = field(default_factory=dict)
    positive: bool = False


FUNCTIONS = {
    "gelu": Function("GELU", options={"approximate": False}),
    "gelu_tanh": Function("GELU", options={"approximate": True}),
    "logistic": Function("LOGISTIC", unit),
    "rsqrt": Function("RSQRT", like_root, positive=True),
    "tanh": Function("TANH", unit),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("kernels"), "-O1")


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_value_equals_reference(name: str, dtype: str, library: ctypes.CDLL) -> None:
    function = FUNCTIONS[name]
    rng = np.random.default_rng(11)
    least = 0 if function.positive else -MOST[dtype] - 1
    values = np.arange(least, MOST[dtype] + 1, dtype=dtype)[None]
    for reach in (*REACHES, *rng.uniform(0.1, 20.0, 6).tolist()):
        scale = float(np.float32(reach / MOST[dtype]))
        after = function.output(dtype, scale, rng.uniform(0.1, 1.2))
        source = Tensor("x", values.shape, dtype, Quantization((scale,), (0,)))
        output = Tensor("y", values.shape, dtype, after)
        operator = Operator(0, function.kind, (0,), (1,), function.options)
        graph = Graph("all", (source, output), (operator,), (0,), (1,))
        (got,) = Runner(library, graph, lower(graph, None))([values])
        (expected,) = Reference(write(graph))([values])
        assert (got == expected).all(), (reach, values[got != expected][:5])
        assert np.unique(got).size > 2
