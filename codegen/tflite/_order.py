# SPDX-License-Identifier: Apache-2.0
"""Checks that a graph can run in the order in which its file lists the operators."""

from __future__ import annotations

from codegen.graph import Graph
from codegen.tflite._flat import damaged


def check_order(graph: Graph, where: str) -> None:
    """Raise UserError unless every tensor is written once, and before anything reads it."""
    count = len(graph.tensors)

    def name(index: int) -> str:
        return f"tensor {index} '{graph.tensors[index].name}'"

    for what, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if not indices:
            raise damaged(where, f"has no {what}")
        for index in indices:
            if not 0 <= index < count:
                raise damaged(where, f"names tensor {index} of {count} among its {what}")
        if len(set(indices)) != len(indices):
            raise damaged(where, f"names a tensor twice among its {what}")
    for index in graph.inputs:
        if graph.tensors[index].data is not None:
            raise damaged(where, f"has the constant {name(index)} among its inputs")
    ready = {i for i, tensor in enumerate(graph.tensors) if tensor.data is not None}
    ready.update(graph.inputs)
    computed = set()
    for operator in graph.operators:
        node = f"{operator.kind} ({where}, operator {operator.index})"
        for index in operator.inputs:
            if not -1 <= index < count:
                raise damaged(node, f"reads tensor {index} of {count}")
            if index != -1 and index not in ready:
                raise damaged(node, f"reads {name(index)}, which nothing has written yet")
        if not operator.outputs:
            raise damaged(node, "has no outputs")
        for index in operator.outputs:
            if not 0 <= index < count:
                raise damaged(node, f"writes tensor {index} of {count}")
            if index in ready:
                raise damaged(node, f"writes {name(index)}, which has a value already")
            ready.add(index)
            computed.add(index)
    for index in graph.outputs:
        if index not in computed:
            raise damaged(where, f"has the output {name(index)}, which no operator writes")
