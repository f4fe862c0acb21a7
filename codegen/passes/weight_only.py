# SPDX-License-Identifier: Apache-2.0
"""A float32 CONV_2D whose weights come out of a DEQUANTIZE of int8 constants, as one operator."""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Operator


def apply(graph: Graph) -> Graph:
    """The graph with CONV_2D_WEIGHT_ONLY in the place of each; a DEQUANTIZE that nothing reads any
    more stays behind."""
    stored = {
        operator.outputs[0]: operator.inputs[0]
        for operator in graph.operators
        if operator.kind == "DEQUANTIZE" and _of_weights(graph, operator)
    }

    def rewritten(operator: Operator) -> Operator:
        inputs = operator.inputs
        if operator.kind != "CONV_2D" or len(inputs) < 2 or inputs[1] not in stored:
            return operator
        inputs = (inputs[0], stored[inputs[1]], *inputs[2:])
        return replace(operator, kind="CONV_2D_WEIGHT_ONLY", inputs=inputs)

    return replace(graph, operators=tuple(map(rewritten, graph.operators)))


def _of_weights(graph: Graph, operator: Operator) -> bool:
    if len(operator.inputs) != 1 or len(operator.outputs) != 1 or operator.inputs[0] < 0:
        return False
    before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    same = before.shape == after.shape and after.dtype == "float32"
    return same and before.data is not None and before.dtype == "int8"
