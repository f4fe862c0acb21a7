# SPDX-License-Identifier: Apache-2.0
"""LAYER_NORM of float32 over the last dimension, which codegen/passes/layer_norm.py makes.

Source: Ba, Kiros and Hinton 2016, equation 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases
from codegen.ops._operands import (
    arity,
    first_input_varies,
    input_of,
    leading,
    operand,
    optional_input,
    output_of,
    result,
    row_by_row,
    same_shape,
    step_name,
)
from codegen.program import Constant, Operand, Params, Row0, Rows, Step

KIND = "LAYER_NORM"
TYPES = ("float32",)
#: How far float32 outputs may be from LiteRT's, in ulp of the largest.
TOLERANCE_ULP = 16

#: Squares in a partial sum where their mean is taken: STAPES_SUM_BLOCK of float_math.h.
_SUM_BLOCK = 64
#: In a file.
_OPTIONS: dict[str, dict[str, bool]] = {
    "MEAN": {"keep_dims": True},
    "BATCH_MATMUL": {"adj_x": False, "adj_y": False},
    "RSQRT": {},
    "RESHAPE": {},
}


def made_by_the_pass(graph: Graph, operator: Operator) -> str | None:
    """No file names this operator: it takes the place of float32 MEAN, SUB, MUL and MEAN (or
    RESHAPE, RESHAPE and BATCH_MATMUL), ADD, RSQRT, MUL and perhaps MUL and ADD over the last
    dimension, whose bits it gives."""
    types = input_of(graph, operator, 0).dtype, output_of(graph, operator).dtype
    return None if types == ("float32", "float32") else f"{types[0]} to {types[1]}"


def positive_epsilon(graph: Graph, operator: Operator) -> str | None:
    """What is added to the mean or sum of squares is finite and not below 0."""
    epsilon = float(operator.options.get("epsilon", -1.0))
    return None if 0 <= epsilon <= float(np.finfo(np.float32).max) else f"{epsilon}"


def constant_weights(graph: Graph, operator: Operator) -> str | None:
    """Weight and bias, if any, are float32 constants with one value a column, or one for all;
    columns are fewer than 2^24."""
    columns = (input_of(graph, operator, 0).shape or (0,))[-1]
    if not 0 < columns < 1 << 24:
        return f"{columns} columns"
    for tensor in (optional_input(graph, operator, position) for position in (1, 2)):
        if tensor is None:
            continue
        if tensor.data is None or tensor.dtype != "float32":
            return f"{'computed' if tensor.data is None else tensor.dtype} ones"
        if tensor.elements not in (1, columns):
            return f"{tensor.elements} values for {columns} columns"
    return None


CONSTRAINTS = (
    arity(1, 3),
    first_input_varies,
    made_by_the_pass,
    same_shape,
    positive_epsilon,
    constant_weights,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    shape = input_of(graph, operator, 0).shape
    columns, summed = shape[-1], bool(operator.options.get("summed", False))
    fields = (
        ("columns", columns),
        ("together", columns if summed else _SUM_BLOCK),
        ("divisor", 1.0 if summed else float(columns)),
        ("epsilon", float(operator.options["epsilon"])),
    )
    call = Step(
        name=step_name(operator),
        kernel="stapes_layer_norm_f32",
        header="stapes/layer_norm.h",
        operands=(
            Params("stapes_layer_norm_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _columns(graph, operator, 1, "weight"),
            _columns(graph, operator, 2, "bias"),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=leading(shape),
        in_place=((operator.inputs[0], operator.outputs[0]),),
    )
    return row_by_row(graph, call)


def _columns(graph: Graph, operator: Operator, position: int, name: str) -> Operand:
    """A constant as one value a column, or 0 for a null pointer where there is none."""
    constant = optional_input(graph, operator, position)
    if constant is None:
        return 0
    assert constant.data is not None
    columns = input_of(graph, operator, 0).shape[-1]
    values = np.broadcast_to(constant.data.reshape(-1), (columns,))
    return Constant(name, np.ascontiguousarray(values))


def decomposed(graph: Graph) -> Graph:
    """The one LAYER_NORM of `graph` as files hold it."""
    (operator,) = graph.operators
    x, y = input_of(graph, operator, 0), graph.tensors[operator.outputs[0]]
    row, column = x.shape, (*x.shape[:-1], 1)
    tensors = [x]
    operators: list[Operator] = []

    def hold(shape: tuple[int, ...], data: np.ndarray | None = None, dtype: str = "float32") -> int:
        tensors.append(Tensor(f"n{len(tensors)}", shape, dtype, None, data))
        return len(tensors) - 1

    def add(kind: str, inputs: tuple[int, ...], shape: tuple[int, ...]) -> int:
        options = _OPTIONS.get(kind, {"fused_activation_function": "NONE"})
        operators.append(Operator(len(operators), kind, inputs, (hold(shape),), options))
        return operators[-1].outputs[0]

    def reshaped(source: int, *shape: int) -> int:
        return add(
            "RESHAPE", (source, hold((len(shape),), np.array(shape, np.int32), "int32")), shape
        )

    axes = hold((1,), np.array([len(row) - 1], np.int32), "int32")
    epsilon = hold((), np.array(operator.options["epsilon"], np.float32))
    centred = add("SUB", (0, add("MEAN", (0, axes), column)), row)
    if operator.options.get("summed", False):
        matrices = reshaped(centred, *row[:-1], 1, row[-1]), reshaped(centred, *row, 1)
        squares = add("BATCH_MATMUL", matrices, (*column, 1))
        spread = reshaped(add("ADD", (squares, epsilon), (*column, 1)), *column)
    else:
        squares = add("MEAN", (add("MUL", (centred, centred), row), axes), column)
        spread = add("ADD", (squares, epsilon), column)
    last = add("MUL", (centred, add("RSQRT", (spread,), column)), row)
    for kind, index in zip(("MUL", "ADD"), operator.inputs[1:], strict=False):
        constant = graph.tensors[index]
        last = add(kind, (last, hold(constant.shape, constant.data)), row)
    tensors[last] = y
    return Graph(graph.name, tuple(tensors), tuple(operators), (0,), (last,))


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """With and without weight and bias, of one value a column and of one for all."""
    while True:
        lead = _cases.choice(rng, (), (1,), (7,), (2, 3))
        columns = _cases.choice(rng, 2, 16, 65, 288)
        x = _cases.tensor(rng, (*lead, columns), "float32")
        counts = [_cases.choice(rng, (), (columns,)) for _ in range(_cases.integer(rng, 0, 2))]
        constants = [_cases.constant(rng, Tensor("", shape, "float32")) for shape in counts]
        epsilon = float(np.float32(10.0 ** -_cases.integer(rng, 3, 6)))
        options = {"epsilon": epsilon, "summed": bool(rng.integers(2))}
        yield _cases.graph(KIND, (x, *constants), x, options)
