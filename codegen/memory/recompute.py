# SPDX-License-Identifier: Apache-2.0
"""A buffer made again for each of its readers, so that a stripe of it is enough for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.memory.overlay import renumbered
from codegen.memory.rows import Span, grouped, touched
from codegen.program import Buffer, Program, Step

#: Buffers of fewer bytes are no burden.
_SMALL_BYTES = 4096


def alike(program: Program, buffer: int) -> list[int]:
    """The buffers of its size that as many copies would serve, itself included; none where one
    serves all readers, or rows of the steps behind it hang on each other."""
    spans = touched(program)
    size, copies = program.buffers[buffer].size_bytes, len(_runs(program, spans, buffer))
    return [
        index
        for index, each in enumerate(program.buffers)
        if copies > 1
        and each.size_bytes == size
        and len(_runs(program, spans, index)) == copies
        and makers(program, index)
    ]


def recomputed(program: Program, buffer: int) -> Program:
    """The program with the steps that make the buffer again in front of its further readers.

    Readers that can run together a stripe at a time share one copy.
    """
    starts = _runs(program, touched(program), buffer)[1:]
    chain = [program.steps[number] for number in makers(program, buffer)]
    steps: list[Step] = []
    buffers = list(program.buffers)
    copies: dict[int, int] = {}
    for number, step in enumerate(program.steps):
        if number in starts:
            copies = {index: len(buffers) + at for at, index in enumerate(_written(chain))}
            buffers += [_copy(program.buffers[index], number) for index in copies]
            again = [replace(each, name=f"{each.name}_for_{number}", again=True) for each in chain]
            steps += [renumbered(each, copies) for each in again]
        if buffer in step.reads and copies:
            step = renumbered(step, {buffer: copies[buffer]})
        steps.append(step)
    return _small_first(replace(program, steps=tuple(steps), buffers=tuple(buffers)))


def makers(program: Program, buffer: int) -> list[int]:
    """The steps behind a buffer that nothing else reads from, in their order."""
    writers: dict[int, list[int]] = {}
    readers: dict[int, list[int]] = {}
    for number, step in enumerate(program.steps):
        for index in step.writes:
            writers.setdefault(index, []).append(number)
        for index in step.reads:
            readers.setdefault(index, []).append(number)
    chain: set[int] = set()
    for number in reversed(range(max(writers.get(buffer, [-1])) + 1)):
        step = program.steps[number]
        index = step.writes[0]
        alone = index == buffer or (index in readers and chain.issuperset(readers[index]))
        plain = len(step.writes) == 1 and len(writers[index]) == 1 and bool(step.by_row)
        if alone and plain and program.buffers[index].role == "activation":
            chain.add(number)
    return sorted(chain)


def _runs(program: Program, spans: Mapping[int, Span], buffer: int) -> list[int]:
    """The first of each run of a buffer's readers; a run can be made a stripe at a time."""
    starts: list[int] = []
    first, last = spans.get(buffer, (0, -1))
    for number in range(first, last + 1):
        mine = buffer in program.steps[number].reads
        if mine and not (starts and grouped(program, spans, starts[-1], number)):
            starts.append(number)
    return starts


def _written(chain: list[Step]) -> list[int]:
    return [index for step in chain for index in step.writes]


def _copy(buffer: Buffer, number: int) -> Buffer:
    return replace(buffer, name=f"{buffer.name}_for_{number}")


def _small_first(program: Program) -> Program:
    """The program with steps of one small row moved up to the last step that they need."""
    steps: list[Step] = []
    for step in program.steps:
        size_bytes = sum(program.buffers[index].size_bytes for index in step.writes)
        place = len(steps)
        if step.rows == 1 and size_bytes <= _SMALL_BYTES:
            while place and not set(steps[place - 1].writes) & set(step.reads):
                place -= 1
        steps.insert(place, step)
    return replace(program, steps=tuple(steps))
