# SPDX-License-Identifier: Apache-2.0
"""Lowers a graph to a Program: rewritten, checked, aliases resolved, constants named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Tensor
from codegen.program import (
    Alias,
    Buffer,
    BufferRef,
    Constant,
    Operand,
    Params,
    Program,
    Step,
    c_type,
)
from codegen.registry import plugins
from codegen.target import Target

_MOST_PROBLEMS = 10
_LONGEST_NAME = 60


def lower(graph: Graph, target: Target | None) -> Program:
    """The graph as kernel calls on buffers; None as the target stands for plain C on any core.

    Raises UserError naming up to ten nodes that no kernel can run.
    """
    graph = _rewritten(graph)
    live = _live(graph)
    problems = [text for operator in live if (text := _problem(graph, operator))]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"... and {more} more."] if more > 0 else []
        raise UserError("\n".join(problems[:_MOST_PROBLEMS] + tail))
    features = target.features if target else ()
    lowered = [_operators()[o.kind].lower(graph, o, features) for o in live]
    return _Assembly(graph).program(lowered)


def variants(graph: Graph, target: Target | None) -> Iterator[Program]:
    """The graph as kernel calls, then with each rewriting of codegen/variants that changes it.

    Raises UserError as `lower` does.
    """
    yield lower(graph, target)
    for module in plugins("codegen.variants").values():
        other = module.apply(graph)
        if other is not graph:
            yield lower(other, target)


def supported_operators() -> tuple[str, ...]:
    """The kinds that have a kernel, in alphabetical order."""
    return tuple(sorted(_operators()))


def operators_page() -> str:
    """The Markdown of docs/operators.md: every operator with its types and its constraints."""
    lines = [
        "# Operators",
        "",
        "Generated from codegen/ops by `make docs`. Weights are integers with zero point 0, in as",
        "few bits of flash as their values need ([packing](packing.md)); shapes are static, and a",
        "constraint that is not met is named together with the node. float32 has the same bits on",
        "every core, and LiteRT's but for the last ones.",
        "",
        "| operator | int8 | int16 | float32 |",
        "|---|---|---|---|",
    ]
    for kind, module in sorted(_operators().items()):
        marks = ["yes" if dtype in module.TYPES else "" for dtype in ("int8", "int16", "float32")]
        lines.append(f"| [{kind}](#{kind.lower()}) | {' | '.join(marks)} |")
    for kind, module in sorted(_operators().items()):
        lines += ["", f"## {kind}", ""]
        lines += [f"- {_text(constraint)}" for constraint in module.CONSTRAINTS]
    return "\n".join(lines) + "\n"


def _rewritten(graph: Graph) -> Graph:
    """The graph after every pass of codegen/passes, in alphabetical order."""
    for module in plugins("codegen.passes").values():
        graph = module.apply(graph)
    return graph


def _operators() -> dict[str, ModuleType]:
    return {module.KIND: module for module in plugins("codegen.ops").values()}


def _text(constraint: Callable[[Graph, Operator], str | None]) -> str:
    return " ".join((constraint.__doc__ or "").split())


def _live(graph: Graph) -> list[Operator]:
    """The operators on which an output depends."""
    wanted = set(graph.outputs)
    live = []
    for operator in reversed(graph.operators):
        if wanted.intersection(operator.outputs):
            wanted.update(index for index in operator.inputs if index >= 0)
            live.append(operator)
    return live[::-1]


def _problem(graph: Graph, operator: Operator) -> str | None:
    """Why no kernel can run the operator, in a sentence, or None."""
    name = graph.tensors[operator.outputs[0]].name if operator.outputs else ""
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 3] + "..."
    where = f"{operator.kind} {name!a} (node {operator.index})"
    module = _operators().get(operator.kind)
    if module is None:
        return (
            f"{where}: there is no kernel for this operator. Supported are"
            f" {', '.join(supported_operators())}: see docs/operators.md."
        )
    for constraint in module.CONSTRAINTS:
        got = constraint(graph, operator)
        if got is not None:
            rule = _text(constraint).rstrip(".")
            return f"{where}: {rule}; got {got}. Supported: see docs/operators.md."
    return None


class _Assembly:
    """Gives tensors their buffers and constants their names, in the order of first use."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sources: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._buffers: list[Buffer] = []
        self._constants: dict[tuple[str, bytes], Constant] = {}

    def program(self, lowered: list[Step | Alias]) -> Program:
        """The Program of what the operators' files gave."""
        graph = self._graph
        inputs = tuple(
            self._buffer(index, f"input_{position}", "input")
            for position, index in enumerate(graph.inputs)
        )
        steps: list[Step] = []
        for item in lowered:
            if isinstance(item, Alias):
                self._sources[item.output] = item.source
                self._grow(item.output)
            else:
                steps.append(self._step(item))
        outputs: list[int] = []
        for position, index in enumerate(graph.outputs):
            if self._must_copy(index):
                copy = self._copy(index, position)
                steps.append(copy)
                outputs.extend(copy.writes)
            else:
                outputs.append(self._buffer(index, f"output_{position}", "output"))
        for buffer in outputs:
            self._buffers[buffer] = replace(self._buffers[buffer], role="output")
        return Program(
            name=graph.name,
            steps=tuple(steps),
            buffers=tuple(self._buffers),
            constants=tuple(self._constants.values()),
            inputs=inputs,
            outputs=tuple(outputs),
        )

    def _root(self, tensor: int) -> int:
        while tensor in self._sources:
            tensor = self._sources[tensor]
        return tensor

    def _buffer(self, tensor: int, name: str, role: str = "activation") -> int:
        """The position of the tensor's buffer, which becomes one of `name` when it is new."""
        root = self._root(tensor)
        if root not in self._positions:
            self._positions[root] = len(self._buffers)
            size_bytes = self._graph.tensors[root].size_bytes
            self._buffers.append(Buffer(name, size_bytes, role))
        return self._positions[root]

    def _grow(self, tensor: int) -> None:
        """Make a buffer as large as its largest view."""
        position = self._positions[self._root(tensor)]
        size_bytes = max(self._buffers[position].size_bytes, self._graph.tensors[tensor].size_bytes)
        self._buffers[position] = replace(self._buffers[position], size_bytes=size_bytes)

    def _step(self, step: Step) -> Step:
        """The step with buffers' positions in place of tensors', and its constants named."""

        def position(tensor: int) -> int:
            return self._buffer(tensor, f"{step.name}_output")

        def operand(item: Operand) -> Operand:
            if isinstance(item, BufferRef):
                return replace(item, index=position(item.index))
            if isinstance(item, Constant):
                return self._constant(step, item)
            if isinstance(item, Params):
                fields = tuple(
                    (name, self._constant(step, value) if isinstance(value, Constant) else value)
                    for name, value in item.fields
                )
                return replace(item, fields=fields)
            return item

        return replace(
            step,
            operands=tuple(operand(item) for item in step.operands),
            reads=tuple(position(tensor) for tensor in step.reads),
            writes=tuple(position(tensor) for tensor in step.writes),
            in_place=tuple((position(a), position(b)) for a, b in step.in_place),
        )

    def _constant(self, step: Step, constant: Constant) -> Constant:
        """The one constant with these bytes; the first use names it."""
        values = np.ascontiguousarray(constant.values)
        key = values.dtype.str, values.tobytes()
        if key not in self._constants:
            values.setflags(write=False)
            self._constants[key] = Constant(f"{step.name}_{constant.name}", values)
        return self._constants[key]

    def _must_copy(self, output: int) -> bool:
        """Whether an output of the graph is only another name of an input or a constant."""
        root = self._root(output)
        return root in self._graph.inputs or self._graph.tensors[root].data is not None

    def _copy(self, output: int, position: int) -> Step:
        """A step that gives an output memory of its own."""
        tensor: Tensor = self._graph.tensors[output]
        data = self._graph.tensors[self._root(output)].data
        target = len(self._buffers)
        self._buffers.append(Buffer(f"output_{position}", tensor.size_bytes, "output"))
        step = Step(
            name=f"output_{position}_copy",
            kernel="stapes_copy",
            header="stapes/copy.h",
            operands=(),
            reads=(),
            writes=(target,),
            rows=1,
        )
        source: Operand
        if data is None:
            index = self._buffer(output, "")
            source, step = BufferRef(index, c_type(tensor.dtype)), replace(step, reads=(index,))
        else:
            source = self._constant(step, Constant("values", data.reshape(-1)))
        result = BufferRef(target, c_type(tensor.dtype))
        operands: tuple[Operand, ...] = (tensor.size_bytes, source, result)
        return replace(step, operands=operands)
