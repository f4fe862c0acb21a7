# SPDX-License-Identifier: Apache-2.0
"""Attention one head at a time: each head has its own projections, products and weighted sum.

Outputs of a FULLY_CONNECTED of all heads that RESHAPE and TRANSPOSE turn to [heads, rows, columns]
are those of one a head, with that head's weights. Between there and the TRANSPOSE and RESHAPE back
each operator becomes one a head, if its rows of a head need no other's; CONCATENATION joins heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.program import BufferRef, Step
from codegen.registry import plugins


class _MismatchError(Exception):
    """The operators are no heads that need no others."""


def apply(graph: Graph) -> Graph:
    """The graph with each attention that can be taken apart by heads so; what nothing reads any
    more stays behind."""
    for join in graph.operators:
        if join.kind == "TRANSPOSE":
            try:
                graph = _Attention(graph, join).apart()
            except _MismatchError:
                continue
    return graph


@dataclass
class _Made:
    """The tensors of a graph with those that are added, and the operators that are."""

    tensors: list[Tensor]
    next_index: int
    operators: list[Operator] = field(default_factory=list)

    def tensor(self, tensor: Tensor) -> int:
        """The number of a new tensor."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, like: Operator, inputs: Sequence[int], output: Tensor) -> int:
        """The number of the output of a new operator."""
        made = self.tensor(output)
        index, self.next_index = self.next_index, self.next_index + 1
        each = replace(like, index=index, inputs=tuple(inputs), outputs=(made,))
        self.operators.append(each)
        return made


class _Attention:
    """The operators between projections and the TRANSPOSE `join`, which takes heads to columns."""

    def __init__(self, graph: Graph, join: Operator) -> None:
        self.graph, self.join = graph, join
        _module(graph, join)
        self.makers = {o.outputs[0]: o for o in graph.operators if o.outputs}
        self.readers: dict[int, list[Operator]] = {}
        for operator in graph.operators:
            for index in set(operator.inputs):
                self.readers.setdefault(index, []).append(operator)
        shape = graph.tensors[join.inputs[0]].shape
        self.axis = len(shape) - 3
        _require(self.axis >= 0 and math.prod(shape[: self.axis]) == 1)
        _require(self._order(join) == (1, 0, 2))
        self.heads, self.rows, self.columns = shape[self.axis :]
        _require(self.heads > 1 and self.rows > 1)
        self.back = self._only_reader(join.outputs[0])
        wide = graph.tensors[self.back.outputs[0]].shape
        _require(self.back.kind == "RESHAPE" and wide[-1] == self.heads * self.columns)
        #: By output, in the order in which they run: the operators of heads, and of projections
        #: the TRANSPOSE and the FULLY_CONNECTED. Some of these are for a matrix that is turned.
        self.region: dict[int, Operator] = {}
        self.projections: dict[int, Operator] = {}
        self.turned: set[int] = set()
        self._walk(join.inputs[0])
        inside = {*map(id, self.region.values()), id(join)}
        for index in self.region:
            _require(index not in graph.outputs)
            _require(all(id(reader) in inside for reader in self.readers[index]))

    def apart(self) -> Graph:
        """The graph with the operators of one head after the other in front of the join."""
        free = 1 + max(operator.index for operator in self.graph.operators)
        made = _Made(list(self.graph.tensors), free)
        parts = [self._one(made, head) for head in range(self.heads)]
        whole = self.graph.tensors[self.join.inputs[0]]
        shape = (*whole.shape[: self.axis], 1, self.rows, self.heads * self.columns)
        options = {"axis": self.axis + 2, "fused_activation_function": "NONE"}
        joining = Operator(self.join.index, "CONCATENATION", (), (), options)
        joined = made.operator(joining, parts, replace(whole, shape=shape))
        made.operators.append(replace(self.back, inputs=(joined, *self.back.inputs[1:])))
        operators = [
            each
            for operator in self.graph.operators
            for each in (made.operators if operator is self.back else [operator])
        ]
        graph = replace(self.graph, tensors=tuple(made.tensors), operators=tuple(operators))
        for each in made.operators:
            _module(graph, each)
        return graph

    def _order(self, transpose: Operator) -> tuple[int, ...]:
        """How a TRANSPOSE orders the last three dimensions, as those of three."""
        data = self.graph.tensors[transpose.inputs[1]].data
        _require(data is not None)
        assert data is not None
        order = [int(axis) - self.axis for axis in data.reshape(-1)]
        _require(order[: self.axis] == list(range(-self.axis, 0)))
        return tuple(order[self.axis :])

    def _only_reader(self, index: int) -> Operator:
        readers = self.readers.get(index, [])
        _require(len(readers) == 1 and index not in self.graph.outputs)
        return readers[0]

    def _maker(self, index: int, kind: str | None = None) -> Operator:
        operator = self.makers.get(index)
        _require(operator is not None and kind in (None, operator.kind))
        assert operator is not None
        _module(self.graph, operator)
        return operator

    def _walk(self, index: int) -> None:
        """Take in what makes a tensor of all heads, first what its rows need more than a row of."""
        if index in self.region:
            return
        operator = self._maker(index)
        if operator.kind == "TRANSPOSE":
            self._project(operator)
        else:
            for source in self._read(operator):
                self._walk(source)
        self.region[index] = operator

    def _project(self, turn: Operator) -> None:
        """Take in a FULLY_CONNECTED whose output is turned to heads."""
        split = self._maker(turn.inputs[0], "RESHAPE")
        matrix = self._maker(split.inputs[0], "FULLY_CONNECTED")
        _require(self._only_reader(split.outputs[0]) is turn)
        _require(self._only_reader(matrix.outputs[0]) is split)
        shape = self.graph.tensors[split.outputs[0]].shape
        _require(shape[self.axis : -1] == (self.rows, self.heads))
        for constant in (self.graph.tensors[i] for i in matrix.inputs[1:] if i >= 0):
            _require(constant.data is not None)
            _require(constant.shape[:1] == (self.heads * shape[-1],))
        order = self._order(turn)
        if order != (1, 0, 2):
            product = self._only_reader(turn.outputs[0])
            _require(order == (1, 2, 0) and product.kind == "BATCH_MATMUL")
            _require(product.inputs[1] == turn.outputs[0] != product.inputs[0])
            self.turned.add(turn.outputs[0])
        self.projections[turn.outputs[0]] = matrix

    def _read(self, operator: Operator) -> list[int]:
        """The tensors of heads that an operator reads; last those that it reads row by row."""
        step = _module(self.graph, operator).lower(self.graph, operator, ())
        _require(isinstance(step, Step) and bool(step.by_row) and step.rows % self.heads == 0)
        rows = step.rows // self.heads
        found: list[tuple[bool, int]] = []
        for operand, access in zip(step.operands, step.by_row, strict=True):
            if access is None:
                continue
            _require(isinstance(operand, BufferRef))
            assert isinstance(operand, BufferRef)
            tensor = self.graph.tensors[operand.index]
            _require(tensor.shape[: self.axis + 1] == (1,) * self.axis + (self.heads,))
            size = tensor.size_bytes // self.heads
            for head in range(self.heads):
                first, last = (unit * access.unit_bytes for unit in access.units(head * rows, rows))
                _require((first, last) == (head * size, (head + 1) * size))
            if operand.index not in operator.outputs:
                found.append((access.share == 1, operand.index))
        return [index for _, index in sorted(found, key=lambda each: each[0])]

    def _one(self, made: _Made, head: int) -> int:
        """The number of one head's tensor in front of the join."""
        parts: dict[int, int] = {}
        for index, operator in self.region.items():
            whole = self.graph.tensors[index]
            lead, (rows, columns) = (1,) * (self.axis + 1), whole.shape[self.axis + 1 :]
            sources = [parts.get(i, i) for i in operator.inputs]
            if index in self.projections:
                operator = self.projections[index]
                rows, columns = (columns, rows) if index in self.turned else (rows, columns)
                sources = [self._part(made, i, head) for i in operator.inputs]
            elif self.turned.intersection(operator.inputs):
                turned = {**operator.options, "adj_y": not operator.options.get("adj_y", False)}
                operator = replace(operator, options=turned)
            part = replace(whole, name=f"{whole.name}/{head}", shape=(*lead, rows, columns))
            parts[index] = made.operator(operator, sources, part)
        return parts[self.join.inputs[0]]

    def _part(self, made: _Made, index: int, head: int) -> int:
        """The number of a head's part of weights or bias; what is computed stays as it is."""
        tensor = self.graph.tensors[index]
        if index < 0 or tensor.data is None:
            return index
        quantization = tensor.quantization
        if quantization is not None and len(quantization.scales) > 1:
            count = len(quantization.scales) // self.heads
            mine = slice(head * count, (head + 1) * count)
            quantization = replace(
                quantization,
                scales=quantization.scales[mine],
                zero_points=quantization.zero_points[mine],
            )
        data = np.split(tensor.data, self.heads)[head]
        data.setflags(write=False)
        name = f"{tensor.name}/{head}"
        return made.tensor(Tensor(name, data.shape, tensor.dtype, quantization, data))


def _module(graph: Graph, operator: Operator) -> ModuleType:
    """The file of an operator that a kernel can run."""
    modules = [m for m in plugins("codegen.ops").values() if operator.kind == m.KIND]
    _require(len(modules) == 1 and all(c(graph, operator) is None for c in modules[0].CONSTRAINTS))
    return modules[0]


def _require(condition: bool) -> None:
    if not condition:
        raise _MismatchError
