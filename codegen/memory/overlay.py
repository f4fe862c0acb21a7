# SPDX-License-Identifier: Apache-2.0
"""Groups that write a row where they have read it: the output takes the input's buffer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.memory.rows import Span, output_access, reads_of
from codegen.program import BufferRef, Group, Operand, Pace, Program, RowAccess, Step


def overlays(program: Program, spans: Mapping[int, Span], group: Group) -> dict[int, int]:
    """Outputs of a group, and the input of the same size whose rows each may take the place of.

    The group is the last to read that input, row by row, and each time before it writes the row.
    """
    found: dict[int, int] = {}
    for number in range(group.first_step, group.last_step + 1):
        (output,) = program.steps[number].writes
        if output in group.held or group.pace(number) != Pace():
            continue
        for earlier in range(group.first_step, number + 1):
            for source, _ in reads_of(program, earlier):
                free = output not in found and source not in found.values()
                if free and _may(program, spans, group, number, (source, output)):
                    found[output] = source
    return found


def overlaid(program: Program, pairs: Mapping[int, int]) -> Program:
    """The program with each output in the buffer of its input."""
    if not pairs:
        return program
    steps = (
        renumbered(step, pairs) if pairs.keys() & {*step.reads, *step.writes} else step
        for step in program.steps
    )
    return replace(program, steps=tuple(steps))


def renumbered(step: Step, numbers: Mapping[int, int]) -> Step:
    """The step on other buffers."""

    def operand(item: Operand) -> Operand:
        if isinstance(item, BufferRef):
            return replace(item, index=numbers.get(item.index, item.index))
        return item

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(numbers.get(index, index) for index in indices)

    return replace(
        step,
        operands=tuple(operand(item) for item in step.operands),
        reads=moved(step.reads),
        writes=moved(step.writes),
        in_place=tuple((numbers.get(a, a), numbers.get(b, b)) for a, b in step.in_place),
    )


def _may(
    program: Program,
    spans: Mapping[int, Span],
    group: Group,
    writer: int,
    pair: tuple[int, int],
) -> bool:
    """Whether step `writer` of the group may write the output of the pair over its source."""
    source, output = pair
    one, other = program.buffers[source], program.buffers[output]
    row = RowAccess(output_access(program, writer).unit_bytes)
    last_reads = program.steps[writer].reads.count(source)
    first, last = spans[source]
    return (
        one.role == other.role == "activation"
        and one.size_bytes == other.size_bytes
        and one.alignment_bytes >= other.alignment_bytes
        and not {source, output} & {*program.inputs, *program.outputs}
        and first < group.first_step
        and last <= writer
        and spans[output][0] == writer
        and all(
            access == row and group.pace(number) == Pace()
            for number in range(group.first_step, writer + 1)
            for read, access in reads_of(program, number)
            if read == source
        )
        and not any(
            source in program.steps[number].writes
            for number in range(group.first_step, group.last_step + 1)
        )
        and (not last_reads or (last_reads == 1 and pair in program.steps[writer].in_place))
    )
