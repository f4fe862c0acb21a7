# SPDX-License-Identifier: Apache-2.0
"""Makes a graph take an input in the type in which another graph makes it."""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Operator, Tensor


def taking(graph: Graph, position: int, given: Tensor) -> Graph:
    """The graph with input number `position` quantized as `given` is; in front of the first
    operator that reads it, a QUANTIZE makes of it what it was."""
    wanted, new = graph.inputs[position], len(graph.tensors)
    tensor = graph.tensors[wanted]
    taken = replace(tensor, dtype=given.dtype, quantization=given.quantization)
    tensors = list(graph.tensors)
    tensors[wanted] = replace(tensor, name=f"{tensor.name}_quantized")
    operators = list(graph.operators)
    first = next(n for n, operator in enumerate(operators) if wanted in operator.inputs)
    operators.insert(first, Operator(first, "QUANTIZE", (new,), (wanted,)))
    return replace(
        graph,
        tensors=(*tensors, taken),
        operators=tuple(replace(operator, index=n) for n, operator in enumerate(operators)),
        inputs=(*graph.inputs[:position], new, *graph.inputs[position + 1 :]),
    )
