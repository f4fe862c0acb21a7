# SPDX-License-Identifier: Apache-2.0
"""Which rows of each step of a run go with the rows of its last step: the run as a Group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from codegen.program import BufferRef, Group, Pace, Program, RowAccess


class _MismatchError(Exception):
    """The steps cannot run a stripe at a time."""


#: The first and the last step that touch a buffer.
Span = tuple[int, int]


def touched(program: Program) -> dict[int, Span]:
    """The span of each buffer of the program that a step touches."""
    spans: dict[int, Span] = {}
    for number, step in enumerate(program.steps):
        for buffer in (*step.reads, *step.writes):
            spans[buffer] = (spans.get(buffer, (number, number))[0], number)
    return spans


def grouped(
    program: Program, spans: Mapping[int, Span], first_step: int, last_step: int
) -> Group | None:
    """The steps from first to last, one row at a time; None where they cannot run so.

    Rows are those of the last step. What is read outside of the run is made at their pace.
    """
    try:
        return _Run(program, spans, first_step, last_step).group()
    except _MismatchError:
        return None


def held_bytes(program: Program, group: Group) -> dict[int, int]:
    """Bytes of each buffer that the group holds a stripe, or a block, of."""
    sizes = {}
    for number in range(group.first_step, group.last_step + 1):
        pace, access = group.pace(number), output_access(program, number)
        rows = pace.each if pace.once_a_block else pace.wanted(0, group.stripe_rows)[1]
        rows = min(rows, program.steps[number].rows)
        for buffer in program.steps[number].writes:
            if buffer in group.held:
                sizes[buffer] = rows * access.unit_bytes
    return sizes


def output_access(program: Program, number: int) -> RowAccess:
    """What a row of a step writes."""
    step = program.steps[number]
    for operand, access in zip(step.operands, step.by_row, strict=True):
        if isinstance(operand, BufferRef) and operand.index in step.writes and access:
            return access
    raise _MismatchError


def reads_of(program: Program, number: int) -> list[tuple[int, RowAccess | None]]:
    """The buffers that a step reads, and what a row takes of each."""
    step = program.steps[number]
    return [
        (operand.index, access)
        for operand, access in zip(step.operands, step.by_row, strict=True)
        if isinstance(operand, BufferRef) and operand.index not in step.writes
    ]


class _Run:
    """Steps in a row, and what they need of each other."""

    def __init__(
        self, program: Program, spans: Mapping[int, Span], first_step: int, last_step: int
    ) -> None:
        self.program = program
        self.spans = spans
        self.numbers = range(first_step, last_step + 1)
        steps = [program.steps[number] for number in self.numbers]
        self.rows = steps[-1].rows
        _require(all(step.by_row and len(step.writes) == 1 for step in steps))
        self.writers = {step.writes[0]: n for n, step in zip(self.numbers, steps, strict=True)}
        _require(len(self.writers) == len(steps))
        self.reads = {number: reads_of(program, number) for number in self.numbers}
        self.readers: dict[int, list[tuple[int, RowAccess | None]]] = {}
        for number, accesses in self.reads.items():
            for buffer, access in accesses:
                self.readers.setdefault(buffer, []).append((number, access))
        self.block = self._block()

    def group(self) -> Group:
        """The run as a group of one row a stripe; raises _MismatchError where that is wrong."""
        outside = self._read_outside()
        paces: dict[int, Pace] = {}
        for number in reversed(self.numbers):
            buffer = self.program.steps[number].writes[0]
            needed = self._needed(number, buffer, paces)
            if buffer in outside:
                needed.append(Pace())
            pace = _union(needed)
            self._check(number, pace, buffer in outside)
            paces[number] = pace
        return Group(
            self.numbers[0],
            self.numbers[-1],
            self.rows,
            1,
            self.block,
            tuple(paces[number] for number in self.numbers),
            tuple(sorted(set(self.writers) - outside)),
        )

    def _block(self) -> int:
        """Rows that share a unit of what some step reads; all rows where none do."""
        shares = {
            access.share
            for accesses in self.reads.values()
            for _, access in accesses
            if access is not None and access.share > 1
        }
        _require(len(shares) <= 1)
        block = shares.pop() if shares else self.rows
        _require(self.rows % block == 0)
        return block

    def _read_outside(self) -> set[int]:
        """Buffers of the run that are more than a passing value in it."""
        program = self.program
        kept = {*program.outputs, *program.inputs, *program.steps[self.numbers[-1]].writes}
        return {
            buffer
            for buffer in self.writers
            if buffer in kept
            or program.buffers[buffer].role != "activation"
            or any(number not in self.numbers for number in self.spans[buffer])
        }

    def _needed(self, number: int, buffer: int, paces: dict[int, Pace]) -> list[Pace]:
        """What each later step of the run needs of a step's output."""
        unit = output_access(self.program, number).unit_bytes
        found = []
        for reader, access in self.readers.get(buffer, ()):
            _require(reader > number and access is not None)
            assert access is not None
            pace = self._ahead(access, unit, paces[reader])
            self._check_edges(number, reader, access, pace)
            found.append(pace)
        return found

    def _check_edges(self, number: int, reader: int, access: RowAccess, pace: Pace) -> None:
        """Where the maker lacks rows that the reader wants, the reader lacks them too, or can."""
        maker, user = self.program.steps[number], self.program.steps[reader]
        same = access == output_access(self.program, number) and maker.rows == user.rows
        inside = pace.once_a_block or pace.inside(self.rows, maker.rows)
        _require(inside or same or user.edges is not None)

    def _ahead(self, access: RowAccess, unit_bytes: int, pace: Pace) -> Pace:
        """The pace of a step whose rows of `unit_bytes` are read so by a step of that pace."""
        _require(access.unit_bytes % unit_bytes == 0)
        units = access.unit_bytes // unit_bytes
        plain = (access.stride, access.window, access.first) == (1, 1, 0)
        if access.share > 1:
            _require(plain and pace == Pace())
            return Pace(units, once_a_block=True)
        if pace.once_a_block:
            _require(plain)
            return Pace(pace.each * units, once_a_block=True)
        return Pace(
            pace.each * access.stride * units,
            ((pace.more - 1) * access.stride + access.window) * units,
            (pace.first * access.stride + access.first) * units,
        )

    def _check(self, number: int, pace: Pace, outside: bool) -> None:
        """The step has the rows that its pace asks for; what is read outside is made once."""
        rows = self.program.steps[number].rows
        shared = any(a is not None and a.share > 1 for _, a in self.reads[number])
        _require(not (outside or shared) or pace == Pace())
        if pace.once_a_block:
            _require(rows == self.rows // self.block * pace.each)
        else:
            _require(not outside or rows == self.rows)


def _union(needed: Sequence[Pace]) -> Pace:
    """The rows that serve all, who start at one."""
    _require(len({replace(pace, more=0) for pace in needed}) == 1)
    return replace(needed[0], more=max(pace.more for pace in needed))


def _require(condition: bool) -> None:
    if not condition:
        raise _MismatchError
