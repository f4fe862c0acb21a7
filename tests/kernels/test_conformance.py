# SPDX-License-Identifier: Apache-2.0
"""Every operator of codegen/ops against LiteRT's reference kernels, bit for bit.

float32 outputs may differ by as many units in the last place of the largest as the operator's
TOLERANCE_ULP says; whole runs, striped ones and those in place are equal bit for bit.
"""

from __future__ import annotations

import ctypes
import zlib
from itertools import islice

import numpy as np
import pytest

from codegen.lower import lower
from codegen.registry import plugins
from codegen.tflite.write import write
from tests.kernels.harness import (
    SANITIZE,
    Reference,
    Runner,
    build_library,
    is_hybrid,
    random_inputs,
)

CASES = 120
INPUTS = 5


@pytest.fixture(scope="module", params=["plain", "sanitized"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    options = ["-O1"] if request.param == "plain" else ["-O1", *SANITIZE]
    built: ctypes.CDLL = build_library(tmp_path_factory.mktemp("kernels"), *options)
    return built


def different(ours: np.ndarray, theirs: np.ndarray, ulp: int) -> np.ndarray:
    """Where the two differ, by more than `ulp` units of the largest where they are floats."""
    differ: np.ndarray = ours != theirs
    if ours.dtype.kind == "f" and ulp:
        error = np.abs(ours.astype(np.float64) - theirs)
        differ = ~(error <= ulp * np.spacing(np.abs(theirs).max()))
    return differ


@pytest.mark.parametrize("name", sorted(plugins("codegen.ops")))
def test_operator_equals_reference(name: str, library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    module = plugins("codegen.ops")[name]
    # Some operators have values on which LiteRT refuses to run.
    inputs_of = getattr(module, "inputs", random_inputs)
    seen = set()
    for number, graph in enumerate(islice(module.cases(rng), CASES)):
        # Some operators stand in no file, but for those that a pass makes them of.
        graph = getattr(module, "decomposed", lambda same: same)(graph)
        reference = Reference(write(graph), xnnpack=is_hybrid(graph))
        runner = Runner(library, graph, lower(graph, None))
        seen.add(graph.tensors[graph.outputs[0]].dtype)
        for inputs in islice(inputs_of(rng, graph), INPUTS):
            stripe = (None, 1, 3)[int(rng.integers(3))]
            got = runner(inputs, stripe, in_place=bool(rng.integers(2)))
            for ours, whole in zip(got, runner(inputs), strict=True):
                assert ours.tobytes() == whole.tobytes()
            for ours, theirs in zip(got, reference(inputs), strict=True):
                assert ours.shape == theirs.shape
                wrong = np.flatnonzero(different(ours, theirs, getattr(module, "TOLERANCE_ULP", 0)))
                assert not wrong.size, (
                    f"case {number}: {wrong.size} of {ours.size} values differ,"
                    f" {ours.flat[wrong[0]]} for {theirs.flat[wrong[0]]};"
                    f" {graph.operators[0].options}, {[t.shape for t in graph.tensors]},"
                    f" {[t.dtype for t in graph.tensors]}"
                )
    assert seen == set(module.TYPES)
