# SPDX-License-Identifier: Apache-2.0
"""Checks striped programs: the values of the given one, and loops that find what they read.

It shares no code with the search for groups: it knows only what the emitted loop does.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.errors import StapesError
from codegen.program import BufferRef, Group, Pace, Program, RowAccess, Step

#: From a buffer's first byte on: where something starts, and the first byte behind it.
Range = tuple[int, int]


def validate_values(given: Sequence[Program], striped: Sequence[Program]) -> None:
    """Raise StapesError unless the striped programs compute what the given ones do, step by step.

    That their loops do so as well, stripe by stripe, is for `violations` to see.
    """
    for before, after in zip(given, striped, strict=True):
        known: dict[object, int] = {}
        if _outputs(before, known) != _outputs(after, known):
            raise StapesError(
                f"the stripes of '{before.name}' are not sound: other values come out"
            )


def _outputs(program: Program, known: dict[object, int]) -> list[int]:
    """A number for each output; equal ones come from equal calls on equal values."""
    values = {index: -1 - position for position, index in enumerate(program.inputs)}
    for step in program.steps:
        results = _results(step)
        operands = tuple(
            ("value", None if at in results else values.get(each.index))
            if isinstance(each, BufferRef)
            else each
            for at, each in enumerate(step.operands)
        )
        for position, index in enumerate(step.writes):
            call = step.kernel, step.rows, operands, position
            values[index] = known.setdefault(call, len(known))
    return [values[index] for index in program.outputs]


def _results(step: Step) -> set[int]:
    """The places of the operands that a step writes, which stand behind those that it reads."""
    places = {o.index: at for at, o in enumerate(step.operands) if isinstance(o, BufferRef)}
    return {places[index] for index in step.writes if index in places}


def violations(program: Program) -> list[str]:
    """Each rule that the program's groups break, as "stripes: what"."""
    broken = [text for group in program.groups for text in _outside(program, group)]
    for group in program.groups:
        if group.paces and not broken:
            broken += _Loop(program, group).run()
    return [f"stripes: {text}" for text in broken]


def _outside(program: Program, group: Group) -> list[str]:
    """What is held for a stripe has no reader elsewhere."""
    broken = []
    for index in group.held:
        name = program.buffers[index].name
        ports = index in program.inputs or index in program.outputs
        if ports or program.buffers[index].role != "activation":
            broken.append(f"'{name}' is held and outlives its group")
        for number, step in enumerate(program.steps):
            inside = group.first_step <= number <= group.last_step
            if not inside and (index in step.reads or index in step.writes):
                broken.append(f"'{name}' is held in a group, step '{step.name}' touches it too")
    return broken


class _Loop:
    """The loop of one group: `here` are the bytes of held buffers, `done` those of others."""

    def __init__(self, program: Program, group: Group) -> None:
        self.program, self.group = program, group
        self.here: dict[int, Range] = {}
        self.done: dict[int, int] = {}
        before = program.steps[: group.first_step]
        self.older = {*program.inputs, *(index for step in before for index in step.writes)}
        #: All that the steps could make of held buffers.
        self.whole: dict[int, int] = {}
        self.broken: list[str] = []

    def run(self) -> list[str]:
        """What breaks first, or that an output was not finished."""
        group = self.group
        numbers = range(group.first_step, group.last_step + 1)
        self.done = {
            index: 0
            for number in numbers
            for index in self.program.steps[number].writes
            if index not in group.held
        }
        row = 0
        while row < group.rows and not self.broken:
            rows = min(group.stripe_rows, group.block_rows - row % group.block_rows)
            for number in numbers:
                pace = group.paces[number - group.first_step]
                if not pace.once_a_block or row % group.block_rows == 0:
                    step = self.program.steps[number]
                    self._step(step, _taken(group, pace, step, row, rows))
            row += rows
        for index, end in self.done.items():
            buffer = self.program.buffers[index]
            if not self.broken and end != buffer.size_bytes and index not in self.older:
                self.broken.append(f"{end} of the {buffer.size_bytes} bytes of '{buffer.name}'")
        return self.broken

    def _step(self, step: Step, taken: Range) -> None:
        """Rows from the first of `taken` to that before the last."""
        if len(step.by_row) != len(step.operands) or not taken[0] < taken[1] <= step.rows:
            self.broken.append(f"step '{step.name}' has no rows {taken[0]} to {taken[1]}")
            return
        results = _results(step)
        pairs = [
            (at in results, o.index, access)
            for at, (o, access) in enumerate(zip(step.operands, step.by_row, strict=True))
            if isinstance(o, BufferRef)
        ]
        for written, index, access in sorted(pairs, key=lambda pair: pair[0]):
            (self._write if written else self._read)(step, index, access, taken)

    def _read(self, step: Step, index: int, access: RowAccess | None, taken: Range) -> None:
        buffer = self.program.buffers[index]
        wanted = (0, buffer.size_bytes) if access is None else _bytes(access, taken)
        if step.edges is not None:  # the kernel does without what is not in the operand
            there = self.whole.get(index, buffer.size_bytes)
            wanted = max(0, wanted[0]), min(there, wanted[1])
        if index in self.group.held:
            start, end = self.here.get(index, (0, 0))
            fine = access is not None and wanted[0] == start and wanted[1] <= end
        elif index in self.done and index in self.older:  # a row is read, then written over
            inside = wanted[0] >= self.done[index] and wanted[1] <= buffer.size_bytes
            fine = inside and (index not in step.writes or (index, index) in step.in_place)
        else:
            fine = wanted[0] >= 0 and wanted[1] <= self.done.get(index, buffer.size_bytes)
        if not fine:
            self.broken.append(
                f"step '{step.name}' reads bytes {wanted[0]} to {wanted[1]} of '{buffer.name}', "
                "which are not there"
            )

    def _write(self, step: Step, index: int, access: RowAccess | None, taken: Range) -> None:
        buffer = self.program.buffers[index]
        if access is None:
            self.broken.append(f"step '{step.name}' writes all of '{buffer.name}' again")
            return
        start, end = _bytes(access, taken)
        if end > buffer.size_bytes and index not in self.group.held:
            self.broken.append(f"'{buffer.name}' has no byte {end - 1}")
        if index in self.group.held:
            self.here[index] = (start, end)
            self.whole[index] = step.rows * access.unit_bytes
            if end - start > buffer.size_bytes:
                self.broken.append(f"'{buffer.name}' has no room for {end - start} bytes")
        elif start != self.done[index]:
            self.broken.append(f"'{buffer.name}' is written from byte {start}, not in turn")
        else:
            self.done[index] = end


def _taken(group: Group, pace: Pace, step: Step, row: int, rows: int) -> Range:
    """The rows that a step computes in the stripe of these rows, as far as it has them."""
    if pace.once_a_block:
        first = row // group.block_rows * pace.each
        return first, first + pace.each
    first = row * pace.each + pace.first
    last = first + rows * pace.each + pace.more
    return max(0, first), min(step.rows, last)


def _bytes(access: RowAccess, taken: Range) -> Range:
    """What rows of a step take of an operand, which starts with the first row's first unit."""
    first = taken[0] // access.share * access.stride + access.first
    last = (taken[1] - 1) // access.share * access.stride + access.first + access.window
    return first * access.unit_bytes, last * access.unit_bytes
