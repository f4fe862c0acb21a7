# SPDX-License-Identifier: Apache-2.0
"""A buffer made again for each of its readers, so that a stripe of it is enough for each."""

from __future__ import annotations

from dataclasses import replace

from codegen.memory.overlay import renumbered
from codegen.program import Buffer, Program, Step

#: Buffers of fewer bytes are no burden.
_SMALL_BYTES = 4096


def recomputed(program: Program, buffer: int) -> Program | None:
    """The program with the steps that make the buffer again in front of each further reader.

    None where rows of these steps hang on each other, or only one step reads the buffer.
    """
    readers = [number for number, step in enumerate(program.steps) if buffer in step.reads]
    chain = [program.steps[number] for number in makers(program, buffer)]
    if not chain or len(readers) < 2:
        return None
    steps: list[Step] = []
    buffers = list(program.buffers)
    for number, step in enumerate(program.steps):
        if number in readers[1:]:
            copies = {index: len(buffers) + at for at, index in enumerate(_written(chain))}
            buffers += [_copy(program.buffers[index], number) for index in copies]
            again = [replace(each, name=f"{each.name}_for_{number}", again=True) for each in chain]
            steps += [renumbered(each, copies) for each in again]
            step = renumbered(step, {buffer: copies[buffer]})
        steps.append(step)
    return _small_first(replace(program, steps=tuple(steps), buffers=tuple(buffers)))


def makers(program: Program, buffer: int) -> list[int]:
    """The steps behind a buffer that nothing else reads from, in their order."""
    chain: list[int] = []
    wanted = buffer
    while program.buffers[wanted].role == "activation":
        steps = [number for number, step in enumerate(program.steps) if wanted in step.writes]
        readers = [number for number, step in enumerate(program.steps) if wanted in step.reads]
        if len(steps) != 1 or (chain and len(readers) > 1):
            break
        step = program.steps[steps[0]]
        if not step.by_row or len(step.writes) > 1:
            break
        chain.insert(0, steps[0])
        if len(set(step.reads)) != 1:
            break
        wanted = step.reads[0]
    return chain


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
