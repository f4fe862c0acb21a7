# SPDX-License-Identifier: Apache-2.0
"""Which heads can stand for the table of words that they are tied to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from codegen import encoder_decoder
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ptq.methods import round as to_nearest
from codegen.ptq.methods import round_mse
from codegen.tflite.head import head_rows

WORDS = np.random.default_rng(5).normal(0, 0.1, (9, 6)).astype(np.float32)
WORDS[4] = 0
WORDS[7] *= 40


def _weights(words: np.ndarray = WORDS) -> Tensor:
    integers, scales = to_nearest.quantize(words, 8, 0)
    quantization = Quantization(tuple(scales[:, 0].tolist()), (0,) * len(scales))
    return Tensor("head", words.shape, "int8", quantization, integers)


def _graph(weights: Tensor, kind: str = "FULLY_CONNECTED") -> Graph:
    """tensors: what is heard, weights, logits."""
    step = Quantization((0.1,), (0,))
    tensors = (
        Tensor("x", (1, 6), "int16", step),
        weights,
        Tensor("logits", (1, 9), "int16", step),
    )
    return Graph("decoder", tensors, (Operator(0, kind, (0, 1, -1), (2,)),), (0,), (2,))


def _quantized(change: Callable[[Quantization], Quantization]) -> Graph:
    weights = _weights()
    assert weights.quantization
    return _graph(replace(weights, quantization=change(weights.quantization)))


def test_an_int8_head_is_shared() -> None:
    found = head_rows(_graph(_weights()), 2, WORDS)
    assert found is not None
    integers, scales = to_nearest.quantize(WORDS, 8, 0)
    assert np.array_equal(found[0], integers)
    assert np.array_equal(found[1], scales[:, 0])


def test_a_head_that_was_clipped_is_shared() -> None:
    integers, scales = round_mse.quantize(WORDS, 8, 0)
    weights = replace(
        _weights(), data=integers, quantization=Quantization(tuple(scales[:, 0].tolist()), (0,) * 9)
    )
    assert head_rows(_graph(weights), 2, WORDS) is not None


@pytest.mark.parametrize(
    "graph",
    [
        _graph(_weights(), "BATCH_MATMUL"),
        _graph(replace(_weights(), dtype="int4")),
        _graph(replace(_weights(), data=None)),
        _graph(replace(_weights(), quantization=None)),
        _graph(_weights(WORDS.T.copy())),
        _graph(_weights(WORDS[::-1])),
        _quantized(lambda q: Quantization((0.05,), (0,))),
        _quantized(lambda q: replace(q, block_size=32)),
        _quantized(lambda q: replace(q, zero_points=(1, *q.zero_points[1:]))),
    ],
    ids="kind int4 computed float shape untied tensor blocks zero".split(),
)
def test_any_other_is_not(graph: Graph) -> None:
    assert head_rows(graph, 2, WORDS) is None


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("shared", [True, False])
def test_rows_are_close_to_the_floats(dtype: str, shared: bool) -> None:
    """Half a step of the input, and where they are the head's half a step of the row beside it."""
    step = float(np.abs(WORDS).max()) / np.iinfo(dtype).max
    tensor = Tensor("embedding", (1, 6), dtype, Quantization((step,), (0,)))
    head = head_rows(_graph(_weights()), 2, WORDS) if shared else None
    table = encoder_decoder._table("embedding", WORDS, tensor, head, "round")
    assert (table.scales is not None) == shared
    rows = table.rows(tensor)
    assert rows.dtype == dtype
    row_steps = 0.0 if table.scales is None else table.scales[:, None]
    assert (np.abs(rows * step - WORDS) <= 0.501 * step + 0.501 * row_steps).all()
