# SPDX-License-Identifier: Apache-2.0
"""Turns a float .tflite file into one of dynamic8: integer weights, float everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from codegen.ptq.recipe import Recipe
from codegen.tflite.quantize import compacted, only_graph, operator_names
from codegen.tflite.weights import MATRIX, check_weights, float_weights, integer_weights
from codegen.tflite.write import write

#: Its kernels quantize a row of activations with a zero point, which LiteRT leaves to an option.
_OPTION = {MATRIX: {"asymmetric_quantize_inputs": True}}


def quantize_weights(float_bytes: bytes, recipe: Recipe, prefix: str = "") -> bytes:
    """The dynamic8 .tflite of a float one: constant weights become integers, all else stays.

    FULLY_CONNECTED has the recipe's bits and blocks, CONV_2D int8 with one scale a channel. The
    recipe's scopes match operators' names behind `prefix`. Raises UserError for a rule that matches
    nothing, or blocks that do not fit.
    """
    graph = only_graph(float_bytes)
    rules = recipe.for_operators(operator_names(graph, prefix))
    check_weights(graph, rules)
    tensors = list(graph.tensors)
    made: dict[tuple[Any, ...], int] = {}
    operators = []
    for operator, rule in zip(graph.operators, rules, strict=True):
        weights = float_weights(graph, operator)
        if weights is not None:
            if operator.kind != MATRIX:
                rule = replace(rule, weight_bits=8, block_size=0)
            key = (operator.inputs[1], rule.weight_bits, rule.block_size)
            if key not in made:
                made[key] = len(tensors)
                tensors.append(integer_weights(weights, rule, recipe.method))
            inputs = (operator.inputs[0], made[key], *operator.inputs[2:])
            options = {**operator.options, **_OPTION.get(operator.kind, {})}
            operator = replace(operator, inputs=inputs, options=options)
        operators.append(operator)
    changed = replace(graph, tensors=tuple(tensors), operators=tuple(operators))
    return write(compacted(changed))
