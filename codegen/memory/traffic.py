# SPDX-License-Identifier: Apache-2.0
"""How many bytes of each buffer and constant a program reads and writes.

What counts is what the portable kernels load and store, without caches: a product reads both of
its factors, every row what it takes of an operand, and a row of a result is written once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from codegen.program import BufferRef, Constant, Params, Program, RowAccess, Scratch, Step

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
        rows, macs = _rows(program, number), program.macs_of(number)
        for constant in _constants(step):
            read = _constant_bytes(step, constant, rows, macs)
            _add(found.constants, constant.name, Access(read * runs))
        for position, operand in enumerate(step.operands):
            access = step.by_row[position] if step.by_row else None
            if isinstance(operand, Scratch) and step.scratch_bytes:
                written = rows * step.scratch_bytes
                _add(found.scratch, number, Access(max(written, macs) * runs, written * runs))
            elif isinstance(operand, BufferRef):
                made = _taken(program, operand, access, rows, bool(step.by_row))
                read = max(made, macs * _VALUE_BYTES.get(_values(operand), 4))
                reads, writes = operand.index in step.reads, operand.index in step.writes
                each = Access(read * reads * runs, made * writes * runs)
                _add(found.buffers, operand.index, each)
    for index, buffer in enumerate(program.buffers):
        outside = index in program.inputs or index in program.outputs
        if outside or index not in found.buffers:
            _add(found.buffers, index, Access(buffer.size_bytes * runs, buffer.size_bytes * runs))
    return found


def _add(where: dict[_Key, Access], key: _Key, access: Access) -> None:
    where[key] = where.get(key, Access()) + access


def _rows(program: Program, number: int) -> int:
    """Rows that a step computes in a run, those that stripes make again included."""
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


def _constant_bytes(step: Step, constant: Constant, rows: int, macs: int) -> int:
    """A row reads all of it; where rows are lines of an image, its positions read the filter."""
    whole = rows * constant.size_bytes
    filters = step.edges is not None and constant.size_bytes == max(
        each.size_bytes for each in _constants(step)
    )
    return max(whole, macs) if filters else whole


def _taken(
    program: Program, operand: BufferRef, access: RowAccess | None, rows: int, by_row: bool
) -> int:
    """Bytes of a buffer that so many rows take; all of it once where rows need each other."""
    if access is not None:
        return rows * access.window * access.unit_bytes
    return program.buffers[operand.index].size_bytes * (rows if by_row else 1)


def _values(operand: BufferRef) -> str:
    return operand.c_type.replace("const", "").replace("*", "").strip()
