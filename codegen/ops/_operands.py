# SPDX-License-Identifier: Apache-2.0
"""What operators share: access to their tensors, types, names, and constraints on activations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.program import BufferRef, Constant, RowAccess, Step, c_type

Constraint = Callable[[Graph, Operator], str | None]

#: The least and the greatest value of each integer activation type.
RANGES: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "int16": (-32768, 32767)}
#: What ends the name of a kernel of each activation type.
SUFFIXES: Mapping[str, str] = {"int8": "s8", "int16": "s16", "float32": "f32"}


def input_of(graph: Graph, operator: Operator, position: int) -> Tensor:
    """The input at `position`."""
    return graph.tensors[operator.inputs[position]]


def optional_input(graph: Graph, operator: Operator, position: int) -> Tensor | None:
    """The input at `position`, or None where the file leaves it out."""
    if position >= len(operator.inputs) or operator.inputs[position] < 0:
        return None
    return graph.tensors[operator.inputs[position]]


def output_of(graph: Graph, operator: Operator) -> Tensor:
    """The only output."""
    return graph.tensors[operator.outputs[0]]


def affine(tensor: Tensor) -> Quantization:
    """The tensor's quantization, which a constraint has found to be there."""
    assert tensor.quantization is not None
    return tensor.quantization


def step_name(operator: Operator) -> str:
    """A C identifier made from kind and index alone, never from the file's strings."""
    return f"{operator.kind.lower()}_{operator.index}"


def operand(graph: Graph, operator: Operator, position: int) -> BufferRef | Constant:
    """The input at `position` as a kernel's pointer."""
    tensor = input_of(graph, operator, position)
    if tensor.data is None:
        return BufferRef(operator.inputs[position], c_type(tensor.dtype))
    return Constant(f"input{position + 1}", tensor.data.reshape(-1))


def result(graph: Graph, operator: Operator) -> BufferRef:
    """The output as a kernel's pointer."""
    return BufferRef(operator.outputs[0], c_type(output_of(graph, operator).dtype))


def activations_read(graph: Graph, operator: Operator) -> tuple[int, ...]:
    """The inputs that are no constants, once for each time they are read."""
    return tuple(i for i in operator.inputs if i >= 0 and graph.tensors[i].data is None)


def fused_activation(operator: Operator) -> str:
    """The fused activation's name, NONE where there is no such option."""
    return str(operator.options.get("fused_activation_function", "NONE"))


def leading(shape: tuple[int, ...]) -> int:
    """The product of all dimensions but the last."""
    return math.prod(shape[:-1])


def row_by_row(graph: Graph, step: Step, *whole: int) -> Step:
    """The step, said to make row r of its output from row r of each activation.

    Operands at the positions `whole` are taken whole by every row.
    """

    def access(position: int, item: object) -> RowAccess | None:
        if not isinstance(item, BufferRef) or position in whole:
            return None
        return RowAccess(graph.tensors[item.index].size_bytes // step.rows)

    return replace(step, by_row=tuple(access(i, item) for i, item in enumerate(step.operands)))


def arity(least: int, most: int) -> Constraint:
    """A constraint on the number of inputs."""

    def constraint(graph: Graph, operator: Operator) -> str | None:
        present = operator.inputs[:least]
        if not least <= len(operator.inputs) <= most or min(present, default=0) < 0:
            return f"{sum(index >= 0 for index in operator.inputs)} inputs"
        return None if len(operator.outputs) == 1 else f"{len(operator.outputs)} outputs"

    inputs = "1 input" if most == 1 else f"{least} inputs"
    constraint.__doc__ = f"{inputs if least == most else f'{least} to {most} inputs'}, 1 output."
    return constraint


def one_integer_type(graph: Graph, operator: Operator) -> str | None:
    """The first input and the output are both int8 or both int16."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if types in (("int8", "int8"), ("int16", "int16")) else f"{types[0]} to {types[1]}"


def one_type(graph: Graph, operator: Operator) -> str | None:
    """The first input and the output are both int8, both int16 or both float32."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if types[0] == types[1] and types[0] in SUFFIXES else f"{types[0]} to {types[1]}"


def is_float(graph: Graph, operator: Operator) -> bool:
    """Whether the output is float32."""
    return output_of(graph, operator).dtype == "float32"


def of_integers(constraint: Constraint) -> Constraint:
    """`constraint`, which holds of itself where the output is float32."""

    @functools.wraps(constraint)
    def limited(graph: Graph, operator: Operator) -> str | None:
        return None if is_float(graph, operator) else constraint(graph, operator)

    return limited


def int8_only(graph: Graph, operator: Operator) -> str | None:
    """The input and the output are int8."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if types == ("int8", "int8") else f"{types[0]} to {types[1]}"


def first_input_varies(graph: Graph, operator: Operator) -> str | None:
    """The first input is no constant, and the output has no data of its own."""
    if input_of(graph, operator, 0).data is not None:
        return "a constant input"
    return None if output_of(graph, operator).data is None else "a constant output"


def unquantized(tensor: Tensor) -> str | None:
    """Why `tensor` has no usable per-tensor quantization, or None: it has one, or is float32."""
    if tensor.dtype == "float32":
        return None
    quantization = tensor.quantization
    if quantization is None or not quantization.scales:
        return "no scale"
    if len(quantization.scales) != 1 or len(quantization.zero_points) != 1:
        return f"{len(quantization.scales)} scales, {len(quantization.zero_points)} zero points"
    if not 0 < quantization.scale < math.inf:
        return f"scale {quantization.scale}"
    lowest, highest = RANGES[tensor.dtype] if tensor.dtype == "int8" else (0, 0)
    if not lowest <= quantization.zero_point <= highest:
        return f"{tensor.dtype} with zero point {quantization.zero_point}"
    return None


def per_tensor(graph: Graph, operator: Operator) -> str | None:
    """Integer activations have one positive finite scale and one zero point, which is 0 for
    int16."""
    return unquantized(input_of(graph, operator, 0)) or unquantized(output_of(graph, operator))


def same_quantization(graph: Graph, operator: Operator) -> str | None:
    """The output has the input's scale and zero point."""
    before = input_of(graph, operator, 0).quantization
    after = output_of(graph, operator).quantization
    if before is None or after is None:
        return None if before is after else "only one of them quantized"
    same = before.scales == after.scales and before.zero_points == after.zero_points
    return None if same else f"scales {before.scales} and {after.scales}"


def same_shape(graph: Graph, operator: Operator) -> str | None:
    """The output has the input's shape."""
    before, after = input_of(graph, operator, 0).shape, output_of(graph, operator).shape
    return None if before == after else f"{list(before)} to {list(after)}"


def same_elements(graph: Graph, operator: Operator) -> str | None:
    """The output has as many elements as the input, and its type."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    if (before.elements, before.dtype) == (after.elements, after.dtype):
        return None
    return f"{before.dtype} {list(before.shape)} to {after.dtype} {list(after.shape)}"
