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


def _weights(words: np.ndarray = WORDS, bits: int = 8, size: int = 0) -> Tensor:
    integers, scales = to_nearest.quantize(words, bits, size)
    quantization = Quantization(tuple(scales.reshape(-1).tolist()), (0,) * scales.size, 0, size)
    return Tensor("head", words.shape, "int8" if bits == 8 else "int4", quantization, integers)


def _graph(weights: Tensor, kind: str = "FULLY_CONNECTED") -> Graph:
    """tensors: what is heard, weights, logits."""
    step = Quantization((0.1,), (0,))
    tensors = (
        Tensor("x", (1, 6), "int16", step),
        weights,
        Tensor("logits", (1, 9), "int16", step),
    )
    return Graph("decoder", tensors, (Operator(0, kind, (0, 1, -1), (2,)),), (0,), (2,))


def _floats(words: np.ndarray = WORDS) -> Graph:
    """What the head was quantized from."""
    return _graph(Tensor("head", words.shape, "float32", None, words))


def _quantized(change: Callable[[Quantization], Quantization]) -> Graph:
    weights = _weights()
    assert weights.quantization
    return _graph(replace(weights, quantization=change(weights.quantization)))


def test_an_int8_head_is_shared() -> None:
    found = head_rows(_graph(_weights()), _floats(), 0, WORDS)
    assert found is not None
    integers, scales = to_nearest.quantize(WORDS, 8, 0)
    assert np.array_equal(found[0], integers)
    assert np.array_equal(found[1], scales[:, 0])


WIDE = np.random.default_rng(6).normal(0, 0.1, (9, 96)).astype(np.float32)


@pytest.mark.parametrize("size", [0, 32])
@pytest.mark.parametrize("bits", [4, 3, 2])
def test_a_head_of_fewer_bits_is_shared(bits: int, size: int) -> None:
    """However far from the floats its integers are."""
    found = head_rows(_graph(_weights(WIDE, bits, size)), _floats(WIDE), 0, WIDE)
    assert found is not None
    integers, scales = to_nearest.quantize(WIDE, bits, size)
    assert np.array_equal(found[0], integers)
    assert np.array_equal(found[1], scales if size else scales[:, 0])


def test_a_head_that_was_clipped_is_shared() -> None:
    integers, scales = round_mse.quantize(WORDS, 8, 0)
    weights = replace(
        _weights(), data=integers, quantization=Quantization(tuple(scales[:, 0].tolist()), (0,) * 9)
    )
    assert head_rows(_graph(weights), _floats(), 0, WORDS) is not None


@pytest.mark.parametrize(
    ("graph", "floats"),
    [
        (_graph(_weights(), "BATCH_MATMUL"), _floats()),
        (_graph(replace(_weights(), data=None)), _floats()),
        (_graph(replace(_weights(), quantization=None)), _floats()),
        (_graph(replace(_weights(), dtype="float32")), _floats()),
        (_graph(_weights(WORDS.T.copy())), _floats()),
        (_graph(_weights()), _floats(WORDS[::-1])),
        (_graph(_weights()), _graph(Tensor("x", WORDS.shape, "float32"))),
        (_quantized(lambda q: Quantization((0.05,), (0,))), _floats()),
        (_quantized(lambda q: replace(q, axis=1)), _floats()),
        (_quantized(lambda q: replace(q, block_size=3)), _floats()),
        (_quantized(lambda q: replace(q, zero_points=(1, *q.zero_points[1:]))), _floats()),
    ],
    ids="kind computed plain float shape untied before tensor axis blocks zero".split(),
)
def test_any_other_is_not(graph: Graph, floats: Graph) -> None:
    assert head_rows(graph, floats, 0, WORDS) is None


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("shared", [True, False])
def test_rows_are_close_to_the_floats(dtype: str, shared: bool) -> None:
    """Half a step of the input, and where they are the head's half a step of the row beside it."""
    step = float(np.abs(WORDS).max()) / np.iinfo(dtype).max
    tensor = Tensor("embedding", (1, 6), dtype, Quantization((step,), (0,)))
    head = head_rows(_graph(_weights()), _floats(), 0, WORDS) if shared else None
    table = encoder_decoder._table("embedding", WORDS, tensor, head, "round")
    assert (table.scales is not None) == shared
    rows = table.rows(tensor)
    assert rows.dtype == dtype
    row_steps = 0.0 if table.scales is None else table.scales[:, None]
    assert (np.abs(rows * step - WORDS) <= 0.501 * step + 0.501 * row_steps).all()
