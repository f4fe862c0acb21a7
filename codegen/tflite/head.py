# SPDX-License-Identifier: Apache-2.0
"""The integers of a decoder's head, which a table of the words it is tied to can share."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Tensor

_INTEGERS = ("int8", "int4")


def head_rows(
    graph: Graph, floats: Graph, output: int, words: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers (words, width) int8 and scales float32, (words,) or (words, blocks), or None.

    `output` is the place of the logits among the outputs of `graph`, and of `floats`, which it was
    quantized from; `words` is the float32 table. The integers of the matrix that makes the logits
    can stand for the table where it was the table itself in `floats`, and has zero point 0 and a
    scale a word, or one a block of each.
    """
    before, weights = _weights(floats, output), _weights(graph, output)
    if before is None or weights is None or weights.dtype not in _INTEGERS:
        return None
    quantization, integers = weights.quantization, weights.data
    if quantization is None or integers is None or not _equal(before, words):
        return None
    if weights.shape != words.shape or quantization.axis or any(quantization.zero_points):
        return None
    scales, size = np.array(quantization.scales, np.float32), quantization.block_size
    if len(scales) != (integers.size // size if size else len(words)):
        return None
    return integers, scales.reshape(len(words), -1) if size else scales


def _equal(tensor: Tensor, words: np.ndarray) -> bool:
    return tensor.data is not None and np.array_equal(tensor.data, words)


def _weights(graph: Graph, output: int) -> Tensor | None:
    """The constant weights of the FULLY_CONNECTED that makes an output, if one does."""
    logits = graph.outputs[output]
    for operator in graph.operators:
        if logits in operator.outputs and operator.kind == "FULLY_CONNECTED":
            weights = graph.tensors[operator.inputs[1]]
            return weights if weights.data is not None else None
    return None
