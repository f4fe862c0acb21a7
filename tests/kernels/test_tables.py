# SPDX-License-Identifier: Apache-2.0
"""Functions of one value against LiteRT's reference kernels over all values of their type."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.tflite.write import write
from tests.kernels.harness import Reference, Runner, build_library

#: Operator, options, scale and zero point of the output where they are fixed, least input.
FUNCTIONS = {
    "gelu": ("GELU", {"approximate": False}, None, None),
    "gelu_tanh": ("GELU", {"approximate": True}, None, None),
}
UNITS = {"int8": 1 / 128, "int16": 1 / 32768}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("kernels"), "-O1")


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_value_equals_reference(name: str, dtype: str, library: ctypes.CDLL) -> None:
    kind, options, fixed, least = FUNCTIONS[name]
    rng = np.random.default_rng(11)
    info = np.iinfo(dtype)
    for reach in (0.01, 0.7, 3.0, 8.0, 16.0, 100.0, *rng.uniform(0.1, 20.0, 6).tolist()):
        scale = float(np.float32(reach * UNITS[dtype]))
        values = np.arange(info.min if least is None else least, info.max + 1, dtype=dtype)[None]
        if fixed is None:
            after = Quantization((float(np.float32(scale * rng.uniform(0.1, 1.2))),), (0,))
        else:
            after = fixed[dtype]
        source = Tensor("x", values.shape, dtype, Quantization((scale,), (0,)))
        output = Tensor("y", values.shape, dtype, after)
        operator = Operator(0, kind, (0,), (1,), options)
        graph = Graph("all", (source, output), (operator,), (0,), (1,))
        (got,) = Runner(library, graph, lower(graph, None))([values])
        (expected,) = Reference(write(graph))([values])
        assert (got == expected).all(), (reach, values[got != expected][:5])
        assert np.unique(got).size > 2
