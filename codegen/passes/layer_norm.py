# SPDX-License-Identifier: Apache-2.0
"""The float32 layer normalization that exporters take apart, as one LAYER_NORM.

MEAN, SUB, MUL by itself, MEAN, ADD epsilon, RSQRT, MUL, then perhaps MUL weight and ADD bias, over
the last dimension; a RESHAPE may stand before RSQRT. Squares may be summed, without a mean, by a
BATCH_MATMUL of two RESHAPEs: each row times itself. The one kernel gives the bits that those give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.graph import Graph, Operator, Tensor

#: How many inputs each kind has here, if not two.
_INPUTS = {"RSQRT": (1,), "RESHAPE": (1, 2)}


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
    *squaring, product = walk.all_readers(centring)
    summed = len(squaring) == 2
    squared = _rows_by_themselves if summed else _mean_of_squares
    parts = [mean, centring, *squared(walk, centring, squaring)]
    parts.append(walk.only_reader(parts[-1], "ADD"))
    epsilon = walk.tensor(walk.constant(parts[-1]))
    walk.require(epsilon.elements == 1)
    if walk.reads(parts[-1], "RESHAPE"):
        parts.append(walk.only_reader(parts[-1], "RESHAPE"))
    root = walk.only_reader(parts[-1], "RSQRT", column)
    walk.require(walk.only_reader(root, "MUL", row) is product)
    walk.require(set(product.inputs) == {centring.outputs[0], root.outputs[0]})
    parts += [root, product]
    constants: list[int] = []
    for kind in ("MUL", "ADD"):
        if not walk.reads_by_column(parts[-1], kind):
            break
        parts.append(walk.only_reader(parts[-1], kind, row))
        constants.append(walk.constant(parts[-1]))
    assert epsilon.data is not None  # as walk.constant has seen
    options = {"epsilon": float(epsilon.data.reshape(-1)[0]), "summed": summed}
    inputs = (mean.inputs[0], *constants)
    last = parts[-1]
    return tuple(parts), Operator(last.index, "LAYER_NORM", inputs, last.outputs, options)


def _mean_of_squares(
    walk: _Walk, centring: Operator, squaring: Sequence[Operator]
) -> tuple[Operator, ...]:
    """MUL of what is centred by itself, and MEAN."""
    walk.require(len(squaring) == 1)
    (square,) = squaring
    (centred,) = centring.outputs
    row = walk.tensor(centred).shape
    walk.require(walk.fits(square, "MUL", row) and square.inputs == (centred, centred))
    spread = walk.only_reader(square, "MEAN")
    walk.require(walk.averaged(spread).shape == row)
    return square, spread


def _rows_by_themselves(
    walk: _Walk, centring: Operator, squaring: Sequence[Operator]
) -> tuple[Operator, ...]:
    """RESHAPE to matrices of one row, RESHAPE to matrices of one column, and BATCH_MATMUL."""
    walk.require(all(walk.fits(each, "RESHAPE") for each in squaring))
    product, other = (walk.only_reader(each, "BATCH_MATMUL") for each in squaring)
    walk.require(product is other)
    walk.require(not (product.options.get("adj_x") or product.options.get("adj_y")))
    flat, tall = (walk.tensor(index).shape for index in product.inputs)
    lead, columns = flat[:-2], walk.tensor(centring.outputs[0]).shape[-1]
    walk.require((flat, tall) == ((*lead, 1, columns), (*lead, columns, 1)))
    walk.require(walk.tensor(product.outputs[0]).shape == (*lead, 1, 1))
    return *squaring, product


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
            len(operator.inputs) in _INPUTS.get(kind, (2,))
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

    def reads(self, operator: Operator, kind: str, shape: tuple[int, ...] | None = None) -> bool:
        """Whether one fitting operator of that kind, and nothing else, reads the output."""
        readers = self.readers.get(operator.outputs[0], [])
        return len(readers) == 1 and self.fits(readers[0], kind, shape)

    def only_reader(
        self, operator: Operator, kind: str, shape: tuple[int, ...] | None = None
    ) -> Operator:
        """The one operator that reads the output."""
        self.require(self.reads(operator, kind, shape))
        (reader,) = self.readers[operator.outputs[0]]
        assert reader is not None
        return reader

    def all_readers(self, operator: Operator) -> list[Operator]:
        """The two or three operators that read the output, in the graph's order."""
        readers = self.readers.get(operator.outputs[0], [])
        found = [each for each in readers if each is not None]
        self.require(len(found) == len(readers) and len(readers) in (2, 3))
        return found

    def reads_by_column(self, operator: Operator, kind: str) -> bool:
        """Whether one operator of that kind alone reads the output, to the output's shape, beside a
        constant that has one value a column, or one for all."""
        shape = self.tensor(operator.outputs[0]).shape
        if not self.reads(operator, kind, shape):
            return False
        reader = self.only_reader(operator, kind)
        if not self.has_constant(reader):
            return False
        constant = self.tensor(self.constant(reader))
        a_column = constant.elements == shape[-1] and constant.shape[-1:] == shape[-1:]
        return a_column or constant.elements == 1

    def has_constant(self, operator: Operator) -> bool:
        """Whether one of two inputs is a float32 constant."""
        sources = [self.tensor(index) for index in operator.inputs]
        return sum(s.data is not None and s.dtype == "float32" for s in sources) == 1

    def constant(self, operator: Operator) -> int:
        """The number of the constant among two inputs."""
        self.require(self.has_constant(operator))
        (index,) = (i for i in operator.inputs if self.tensor(i).data is not None)
        return index
