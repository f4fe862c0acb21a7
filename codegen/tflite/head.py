# SPDX-License-Identifier: Apache-2.0
"""The integers of a decoder's head, which a table of the words it is tied to can share."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph


def head_rows(graph: Graph, logits: int, words: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers (words, width) int8 and scales (words,) float32 of the head, or None.

    `logits` is a tensor's index, `words` the float32 table. They can stand for the table where the
    operator that makes the logits is FULLY_CONNECTED, its weights int8 with a scale a word, and of
    each word nothing is off by more than half of its largest value: a method may clip, but weights
    of anything else are further off.
    """
    for operator in graph.operators:
        if logits not in operator.outputs or operator.kind != "FULLY_CONNECTED":
            continue
        weights = graph.tensors[operator.inputs[1]]
        quantization, integers = weights.quantization, weights.data
        if weights.dtype != "int8" or integers is None or quantization is None:
            continue
        if weights.shape != words.shape or len(quantization.scales) != len(words):
            continue
        if quantization.block_size or quantization.axis or any(quantization.zero_points):
            continue
        scales = np.array(quantization.scales, np.float32)
        errors = np.abs(integers * scales[:, None] - words).max(axis=1)
        if (errors <= np.abs(words).max(axis=1) / 2).all():
            return integers, scales
    return None
