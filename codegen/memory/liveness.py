# SPDX-License-Identifier: Apache-2.0
"""From when to when each buffer of a program is needed, with its steps as points in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codegen.graph import Graph
from codegen.memory_plan import ALIGNMENT_BYTES, BEFORE, SCRATCH
from codegen.program import Program, Step


@dataclass(frozen=True)
class Interval:
    """A need for `size_bytes` from `first_use` to `last_use`, both included.

    `may_cover` lists the buffers (positions in Program.buffers) whose last reader writes this one
    in place: it may lie exactly where one of them lies, though both live in that step.
    """

    buffer: int
    name: str
    size_bytes: int
    alignment_bytes: int
    first_use: int
    last_use: int
    may_cover: tuple[int, ...] = ()

    @property
    def padded_bytes(self) -> int:
        """The size rounded up to ALIGNMENT_BYTES: what it takes in any plan."""
        return round_up(self.size_bytes, ALIGNMENT_BYTES)


def round_up(size_bytes: int, alignment_bytes: int) -> int:
    """The least multiple of `alignment_bytes` that is not below `size_bytes`."""
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def intervals(program: Program) -> tuple[Interval, ...]:
    """The needs of a program: its used buffers in their order, then scratch by step."""
    starts, ends = _step_times(program)
    first, last = _uses(program, starts, ends)
    writers: dict[int, int] = {}
    for time, step in enumerate(program.steps):
        for index in step.writes:
            writers.setdefault(index, time)
    brief = passing(program)
    alone = {i: time for i, time in writers.items() if i in brief or not _grouped(program, time)}
    needs = []
    for index, buffer in enumerate(program.buffers):
        if index in first:
            covers = _coverable(program, index, alone.get(index), first, last)
            needs.append(
                Interval(
                    index,
                    buffer.name,
                    buffer.size_bytes,
                    max(buffer.alignment_bytes, ALIGNMENT_BYTES),
                    first[index],
                    last[index],
                    covers,
                )
            )
    for time, step in enumerate(program.steps):
        if step.scratch_bytes > 0:
            needs.append(
                Interval(
                    SCRATCH,
                    f"{step.name} scratch",
                    step.scratch_bytes,
                    ALIGNMENT_BYTES,
                    time,
                    time,
                )
            )
    return tuple(needs)


def peak_bytes(needs: Sequence[Interval]) -> int:
    """The peak of live bytes, each size rounded up to ALIGNMENT_BYTES: no plan needs fewer.

    Where an output may cover an input, the smaller of both counts once in that step.
    """
    changes: dict[int, int] = {}
    for need in needs:
        size = need.padded_bytes
        changes[need.first_use] = changes.get(need.first_use, 0) + size
        changes[need.last_use + 1] = changes.get(need.last_use + 1, 0) - size
        if need.may_cover:
            shared = size
            changes[need.first_use] = changes.get(need.first_use, 0) - shared
            changes[need.first_use + 1] = changes.get(need.first_use + 1, 0) + shared
    live = peak = 0
    for time in sorted(changes):
        live += changes[time]
        peak = max(peak, live)
    return peak


def graph_peak_bytes(graph: Graph) -> int:
    """The peak of live bytes of a graph as its file orders it: no sharing, no scratch."""
    first: dict[int, int] = dict.fromkeys(graph.inputs, BEFORE)
    last: dict[int, int] = dict(first)
    for time, operator in enumerate(graph.operators):
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and graph.tensors[index].data is None:
                first.setdefault(index, time)
                last[index] = time
    for index in graph.outputs:
        if index in first:
            last[index] = len(graph.operators)
    return peak_bytes(
        [
            Interval(
                index,
                graph.tensors[index].name,
                graph.tensors[index].size_bytes,
                ALIGNMENT_BYTES,
                first[index],
                last[index],
            )
            for index in sorted(first)
        ]
    )


def passing(program: Program) -> frozenset[int]:
    """The buffers that a stripe writes anew before it reads them: they live from step to step."""
    return frozenset(
        buffer
        for group in program.groups
        for step in range(group.first_step, group.last_step + 1)
        for buffer in program.steps[step].writes
        if buffer in group.held and not group.pace(step).once_a_block
    )


def _step_times(program: Program) -> tuple[list[int], list[int]]:
    """When each step starts and ends: the steps of a group run interleaved, stripe by stripe."""
    starts = list(range(len(program.steps)))
    ends = list(starts)
    for group in program.groups:
        for step in range(group.first_step, group.last_step + 1):
            starts[step], ends[step] = group.first_step, group.last_step
    return starts, ends


def _uses(
    program: Program, starts: Sequence[int], ends: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]]:
    first: dict[int, int] = {}
    last: dict[int, int] = {}

    def use(indices: Iterable[int], start: int, end: int) -> None:
        for index in indices:
            first[index] = min(first.get(index, start), start)
            last[index] = max(last.get(index, end), end)

    roles: dict[str, list[int]] = {}
    for index, buffer in enumerate(program.buffers):
        roles.setdefault(buffer.role, []).append(index)
    after = len(program.steps)
    use((*roles.get("input", ()), *roles.get("front_end", ()), *program.inputs), BEFORE, BEFORE)
    use(roles.get("state", ()), BEFORE, after)
    use(roles.get("shared", ()) if program.repeats else (), BEFORE, after)
    written: set[int] = set(first)
    brief = passing(program)
    for time, step in enumerate(program.steps):
        use((index for index in step.reads if index not in written), BEFORE, BEFORE)
        touched = (*step.reads, *step.writes)
        use((index for index in touched if index in brief), time, time)
        use((index for index in touched if index not in brief), starts[time], ends[time])
        written.update(step.writes)
    use((*roles.get("output", ()), *program.outputs), after, after)
    own = [index for index in roles.get("shared", ()) if index not in first]
    use(own, BEFORE, after)  # no step touches them: the runtime does, at any time
    return first, last


def _grouped(program: Program, step: int) -> bool:
    return any(step in group for group in program.groups)


def _coverable(
    program: Program, output: int, time: int | None, first: dict[int, int], last: dict[int, int]
) -> tuple[int, ...]:
    """The inputs that buffer `output` may be written over, by the step at `time` that first writes
    it; None where it is written stripe by stripe."""
    if time is None or first[output] != time:
        return ()
    step = program.steps[time]
    return tuple(
        source
        for source, target in step.in_place
        if target == output and last[source] == time and overwritable(program, step, source, output)
    )


def overwritable(program: Program, step: Step, source: int, output: int) -> bool:
    """Whether a step that may write `output` in place of `source` can, if it touches that last."""
    return (
        output not in (source, *step.reads)
        and source not in step.writes
        and step.reads.count(source) == 1
        and program.buffers[source].role not in ("state", "shared")
        and program.buffers[output].size_bytes <= program.buffers[source].size_bytes
    )
