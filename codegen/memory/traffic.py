# SPDX-License-Identifier: Apache-2.0
"""How many bytes of each buffer and constant a program reads and writes.

What counts is what the portable kernels load and store, without caches: a product reads both of
its factors, every row what it takes of an operand, and a row of a result is written once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from codegen.program import BufferRef, Constant, Params, Program, Scratch, Step

_Key = TypeVar("_Key", int, str)
_VALUE_BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int64_t": 8}


@dataclass(frozen=True)
class Access:
    """Bytes read and written."""

    read_bytes: int = 0
    written_bytes: int = 0

    def __add__(self, other: Access) -> Access:
        """Those of both."""
        return Access(self.read_bytes + other.read_bytes, self.written_bytes + other.written_bytes)


@dataclass(frozen=True)
class Traffic:
    """Accesses of a program's buffers by position, scratch by step, and constants by name."""

    buffers: dict[int, Access] = field(default_factory=dict)
    scratch: dict[int, Access] = field(default_factory=dict)
    constants: dict[str, Access] = field(default_factory=dict)


def traffic(program: Program, runs: int = 1) -> Traffic:
    """All accesses of so many runs; what no step touches is written and read once a run."""
    found = Traffic()
    for number, step in enumerate(program.steps):
        reach = _Reach(program, number)
        for constant in _constants(step):
            read = reach.whole(constant.size_bytes)
            _add(found.constants, constant.name, Access(read * runs))
        for position, operand in enumerate(step.operands):
            if position == reach.factor and isinstance(operand, Constant):
                more = reach.factor_bytes() - reach.whole(operand.size_bytes)
                _add(found.constants, operand.name, Access(more * runs))
            elif isinstance(operand, Scratch) and step.scratch_bytes:
                written = reach.rows * step.scratch_bytes
                each = Access(max(written, reach.macs) * runs, written * runs)
                _add(found.scratch, number, each)
            elif isinstance(operand, BufferRef):
                reads, writes = operand.index in step.reads, operand.index in step.writes
                read, written = reach.read(position, operand), reach.taken(position, operand)
                each = Access(read * reads * runs, written * writes * runs)
                _add(found.buffers, operand.index, each)
    for index, buffer in enumerate(program.buffers):
        outside = index in program.inputs or index in program.outputs
        if outside or index not in found.buffers:
            _add(found.buffers, index, Access(buffer.size_bytes * runs, buffer.size_bytes * runs))
    return found


def factor_reads(program: Program) -> Iterator[tuple[int, int, Constant, int]]:
    """Step, operand and constant where every row multiplies by all of it, with the bytes read in a
    run."""
    for number, step in enumerate(program.steps):
        reach = _Reach(program, number)
        if reach.factor is not None:
            constant = step.operands[reach.factor]
            if isinstance(constant, Constant):
                yield number, reach.factor, constant, reach.factor_bytes()


class _Reach:
    """What the rows of a step reach of its operands, those that stripes make again included.

    `factor` is the largest operand that every row multiplies by, if there is one.
    """

    def __init__(self, program: Program, number: int) -> None:
        self.program, self.step = program, program.steps[number]
        self.rows, self.macs = _rows(program, number), program.macs_of(number)
        shared = [
            position
            for position, access in enumerate(self.step.by_row)
            if access is None and self._size(position) and self.macs
        ]
        self.factor = max(shared, key=self._size, default=None)

    def whole(self, size_bytes: int) -> int:
        """Each row reads all of so many bytes."""
        return self.rows * size_bytes

    def factor_bytes(self) -> int:
        """The rows of a matrix read the other one; of an image, each position reads the filter."""
        assert self.factor is not None
        read = self.whole(self._size(self.factor))
        return max(read, self.macs) if self.step.edges is not None else read

    def read(self, position: int, operand: BufferRef) -> int:
        """A product reads both of its factors."""
        if position == self.factor:
            return self.factor_bytes()
        return max(self.taken(position, operand), self.macs * _value_bytes(operand))

    def taken(self, position: int, operand: BufferRef) -> int:
        """What rows take; all of it once where rows need each other."""
        access = self.step.by_row[position] if self.step.by_row else None
        if access is not None:
            return self.rows * access.window * access.unit_bytes
        size = self.program.buffers[operand.index].size_bytes
        return self.whole(size) if self.step.by_row else size

    def _size(self, position: int) -> int:
        operand = self.step.operands[position]
        if isinstance(operand, Constant):
            return operand.size_bytes
        if isinstance(operand, BufferRef) and operand.index in self.step.reads:
            return self.program.buffers[operand.index].size_bytes
        return 0


def _add(where: dict[_Key, Access], key: _Key, access: Access) -> None:
    where[key] = where.get(key, Access()) + access


def _rows(program: Program, number: int) -> int:
    step = program.steps[number]
    for group in program.groups:
        if number in group:
            return sum(group.taken(number, step.rows, *each)[1] for each in group.stripes())
    return step.rows


def _constants(step: Step) -> Iterator[Constant]:
    for operand in step.operands:
        if isinstance(operand, Constant):
            yield operand
        elif isinstance(operand, Params):
            yield from (value for _, value in operand.fields if isinstance(value, Constant))


def _value_bytes(operand: BufferRef) -> int:
    return _VALUE_BYTES.get(operand.c_type.replace("const", "").replace("*", "").strip(), 4)
