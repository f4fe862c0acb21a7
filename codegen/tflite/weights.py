# SPDX-License-Identifier: Apache-2.0
"""Integer weights in place of float ones, chosen by a method of ptq/methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ptq.recipe import DYNAMIC, METHODS, Rule
from codegen.registry import plugins

MATRIX = "FULLY_CONNECTED"
#: What takes weights of any bits; they have one scale a channel, the first axis.
WEIGHED = (MATRIX, "CONV_2D")


def float_weights(graph: Graph, operator: Operator) -> Tensor | None:
    """The constant float32 weights of an operator that takes integer ones, else None."""
    if operator.kind not in WEIGHED:
        return None
    tensor = graph.tensors[operator.inputs[1]]
    return tensor if tensor.data is not None and tensor.dtype == "float32" else None


def check_weights(graph: Graph, rules: Iterable[Rule]) -> None:
    """Raise UserError for weights whose bits or blocks their mode or their shape does not allow.

    `rules` hold the values of each operator, in order.
    """
    for operator, rule in zip(graph.operators, rules, strict=True):
        weights = float_weights(graph, operator)
        if weights is None or not rule.block_size or operator.kind != MATRIX:
            continue
        where = f"{operator.kind} '{graph.tensors[operator.outputs[0]].name}'"
        size, inputs = rule.block_size, weights.shape[1]
        got = f"{where}: weight is int{rule.weight_bits} in blocks of {size}"
        if rule.mode != DYNAMIC:
            raise UserError(
                f'{got}; {rule.mode} supports per channel only. Use mode = "{DYNAMIC}", or'
                " block_size = 0 in the recipe."
            )
        if rule.weight_bits == 8:
            raise UserError(
                f"{got}; blocks are of 4, 3 or 2 bits. Use such weight_bits, or block_size = 0 in"
                " the recipe."
            )
        if inputs % size:
            raise UserError(
                f"{got}; its rows of {inputs} weights are not whole blocks. Use a block_size that"
                f" divides {inputs}, or 0, in the recipe; a rule can set it for this scope alone."
            )


def integer_weights(
    weights: Tensor,
    rule: Rule,
    method: str,
    moments: np.ndarray | None = None,
    chosen: tuple[np.ndarray, np.ndarray] | None = None,
) -> Tensor:
    """Float weights (out, ...) as a rule's integers, a scale a channel or block of a row.

    Fewer than 8 bits are of the type int4, whose values say how many they are; where a row of
    dynamic8 has no whole bytes of it, of int8. `moments` (in, in) are those of the inputs, where
    the method looks at them, and `chosen` the integers and scales where it has chosen already.
    """
    assert weights.data is not None
    bits, block_size = rule.weight_bits or 8, rule.block_size or 0
    outputs = weights.shape[0]
    quantize = plugins(METHODS)[method].quantize
    matrix = np.asarray(weights.data, np.float32).reshape(outputs, -1)
    integers, scales = chosen or quantize(matrix, bits, block_size, moments)
    quantization = Quantization(
        tuple(scales.reshape(-1).tolist()), (0,) * scales.size, 0, block_size
    )
    data = integers.reshape(weights.shape)
    data.flags.writeable = False
    wide = bits == 8 or (rule.mode == DYNAMIC and matrix.shape[1] % 2)
    return replace(weights, dtype="int8" if wide else "int4", quantization=quantization, data=data)


def integer_bias(exact: Tensor, replaced: Tensor, before: Tensor, weights: Tensor) -> Tensor:
    """A float bias in the type of `replaced`, in steps of input scale * weight scale."""
    assert exact.data is not None
    assert before.quantization is not None
    assert weights.quantization is not None
    scales = np.float64(before.quantization.scale) * np.array(weights.quantization.scales)
    limits = np.iinfo(replaced.dtype)
    values = np.rint(exact.data.astype(np.float64) / scales)
    data = np.clip(values, limits.min, limits.max).astype(replaced.dtype)
    data.flags.writeable = False
    steps = tuple(float(np.float32(scale)) for scale in scales)
    return replace(replaced, data=data, quantization=Quantization(steps, (0,) * len(steps)))
