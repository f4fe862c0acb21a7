# SPDX-License-Identifier: Apache-2.0
"""The float32 layer normalization that exporters take apart, as one LAYER_NORM.

MEAN, SUB, MUL by itself, MEAN, ADD epsilon, RSQRT, MUL, MUL weight and perhaps ADD bias, over the
last dimension; a RESHAPE may stand before RSQRT. The one kernel gives the bits that those give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codegen.graph import Graph, Operator, Tensor

#: How many inputs each kind has here.
_INPUTS = {"MEAN": (2,), "SUB": (2,), "MUL": (2,), "ADD": (2,), "RSQRT": (1,), "RESHAPE": (1, 2)}


class _MismatchError(Exception):
    """The operators are no layer normalization."""


def apply(graph: Graph) -> Graph:
    """The graph with one LAYER_NORM in the place of each normalization, on the same tensors."""
    walk = _Walk(graph, _readers(graph))
    after: dict[int, Operator | None] = {id(operator): operator for operator in graph.operators}
    for operator in graph.operators:
        try:
            parts, whole = _normalization(walk, operator)
        except _MismatchError:
            continue
        after |= {id(part): None for part in parts}
        after[id(parts[-1])] = whole
    return replace(graph, operators=tuple(each for each in after.values() if each is not None))


def _readers(graph: Graph) -> dict[int, list[Operator | None]]:
    """The operators that read each tensor, each once; None stands for the caller of the graph."""
    readers: dict[int, list[Operator | None]] = {index: [None] for index in graph.outputs}
    for operator in graph.operators:
        for index in set(operator.inputs):
            readers.setdefault(index, []).append(operator)
    return readers


def _normalization(walk: _Walk, mean: Operator) -> tuple[tuple[Operator, ...], Operator]:
    """The operators of the normalization that starts with `mean`, and the one that replaces them.

    Raises _MismatchError where there is none.
    """
    x = walk.averaged(mean)
    row, column = x.shape, (*x.shape[:-1], 1)
    centring = walk.only_reader(mean, "SUB", row)
    walk.require(centring.inputs == (mean.inputs[0], mean.outputs[0]))
    walk.require(walk.tensor(mean.outputs[0]).shape == column)
    centred = centring.outputs[0]
    square, product = walk.two_readers(centring)
    walk.require(walk.fits(square, "MUL", row) and square.inputs == (centred, centred))
    spread = walk.only_reader(square, "MEAN")
    walk.require(walk.averaged(spread).shape == row)
    variance = walk.only_reader(spread, "ADD")
    epsilon = walk.tensor(walk.constant(variance))
    walk.require(epsilon.elements == 1)
    parts = [mean, centring, square, spread, variance]
    if walk.reads(parts[-1], "RESHAPE"):
        parts.append(walk.only_reader(parts[-1], "RESHAPE"))
    root = walk.only_reader(parts[-1], "RSQRT", column)
    walk.require(walk.only_reader(root, "MUL", row) is product)
    walk.require(set(product.inputs) == {centred, root.outputs[0]})
    weighted = walk.only_reader(product, "MUL", row)
    parts += [root, product, weighted]
    constants = [walk.constant(weighted)]
    if walk.reads(weighted, "ADD") and walk.has_constant(biased := walk.only_reader(weighted)):
        parts.append(biased)
        constants.append(walk.constant(biased))
    for constant in map(walk.tensor, constants):
        a_column = constant.elements == row[-1] and constant.shape[-1:] == row[-1:]
        walk.require(a_column or constant.elements == 1)
    walk.require(walk.tensor(parts[-1].outputs[0]).shape == row)
    assert epsilon.data is not None  # as walk.constant has seen
    options = {"epsilon": float(epsilon.data.reshape(-1)[0])}
    inputs = (mean.inputs[0], *constants)
    last = parts[-1]
    return tuple(parts), Operator(last.index, "LAYER_NORM", inputs, last.outputs, options)


@dataclass(frozen=True)
class _Walk:
    """Steps from an operator to those that read its output; each raises where there is no way."""

    graph: Graph
    readers: Mapping[int, list[Operator | None]]

    def require(self, condition: bool) -> None:
        """Raise _MismatchError unless the condition holds."""
        if not condition:
            raise _MismatchError

    def tensor(self, index: int) -> Tensor:
        """The tensor of that number."""
        return self.graph.tensors[index]

    def fits(
        self, operator: Operator | None, kind: str, shape: tuple[int, ...] | None = None
    ) -> bool:
        """Whether it is of that kind, gives float32 (of that shape), and has no activation."""
        if operator is None or operator.kind != kind or len(operator.outputs) != 1:
            return False
        output = self.tensor(operator.outputs[0])
        return (
            len(operator.inputs) in _INPUTS[kind]
            and min(operator.inputs) >= 0
            and output.dtype == "float32"
            and shape in (None, output.shape)
            and operator.options.get("fused_activation_function", "NONE") == "NONE"
        )

    def averaged(self, operator: Operator) -> Tensor:
        """The float32 tensor whose last dimension the operator takes the mean of."""
        self.require(self.fits(operator, "MEAN"))
        x, axes = (self.tensor(index) for index in operator.inputs)
        self.require(x.dtype == "float32" and x.data is None and len(x.shape) > 0)
        self.require(axes.data is not None and axes.elements == 1)
        assert axes.data is not None
        self.require(int(axes.data.reshape(-1)[0]) in (-1, len(x.shape) - 1))
        return x

    def reads(self, operator: Operator, kind: str) -> bool:
        """Whether one fitting operator of that kind, and nothing else, reads the output."""
        readers = self.readers.get(operator.outputs[0], [])
        return len(readers) == 1 and self.fits(readers[0], kind)

    def only_reader(
        self, operator: Operator, kind: str = "ADD", shape: tuple[int, ...] | None = None
    ) -> Operator:
        """The one operator that reads the output."""
        readers = self.readers.get(operator.outputs[0], [])
        self.require(len(readers) == 1 and self.fits(readers[0], kind, shape))
        assert readers[0] is not None
        return readers[0]

    def two_readers(self, operator: Operator) -> tuple[Operator, Operator]:
        """The two operators that read the output, in the graph's order."""
        readers = self.readers.get(operator.outputs[0], [])
        self.require(len(readers) == 2 and None not in readers)
        first, second = readers
        assert first is not None
        assert second is not None
        return first, second

    def has_constant(self, operator: Operator) -> bool:
        """Whether one of two inputs is a float32 constant."""
        sources = [self.tensor(index) for index in operator.inputs]
        return sum(s.data is not None and s.dtype == "float32" for s in sources) == 1

    def constant(self, operator: Operator) -> int:
        """The number of the constant among two inputs."""
        self.require(self.has_constant(operator))
        (index,) = (i for i in operator.inputs if self.tensor(i).data is not None)
        return index
