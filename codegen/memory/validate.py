# SPDX-License-Identifier: Apache-2.0
"""Checks an order of steps and a memory plan, by following who writes over whom.

It shares no code with the planner and has no notion of liveness intervals: a value must be
whole, byte for byte, from the moment it is written to its last reader. Every pair of a value and
a write is looked at, so it is quadratic, on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codegen.errors import StapesError
from codegen.memory_plan import MemoryPlan, Placement
from codegen.program import Group, Program, Step


@dataclass(frozen=True)
class _Event:
    """Something touches the bytes of `placement` between two points in time; `step` or None."""

    placement: Placement
    start: int
    end: int
    writes: bool
    step: int | None


def validate(programs: Sequence[Program], plan: MemoryPlan) -> None:
    """Raise StapesError, naming the rules that broke, unless the plan is sound."""
    broken = violations(programs, plan)
    if broken:
        more = f" (and {len(broken) - 5} more)" if len(broken) > 5 else ""
        raise StapesError("the memory plan is not sound: " + "; ".join(broken[:5]) + more)


def validate_order(given: Sequence[Program], ordered: Sequence[Program]) -> None:
    """Raise StapesError unless each step finds in `ordered` what it finds in `given`."""
    for before, after in zip(given, ordered, strict=True):
        if replace(before, steps=(), groups=()) != replace(after, steps=(), groups=()):
            raise StapesError(f"the order of '{before.name}' is not sound: it is another program")
        if _grouped(before) != _grouped(after):
            raise StapesError(f"the order of '{before.name}' is not sound: its groups changed")
        expected, found = _seen(before), _seen(after)
        if expected != found:
            wrong = sorted(k for k in {**expected, **found} if expected.get(k) != found.get(k))
            raise StapesError(
                f"the order of '{before.name}' is not sound: {', '.join(wrong[:5])}"
                " would read or leave another value"
            )


def _grouped(program: Program) -> list[tuple[Group | Step, ...]]:
    """Each group with its steps, wherever they stand."""
    groups = sorted(program.groups, key=lambda group: program.steps[group.first_step].name)
    return [
        (replace(g, first_step=0, last_step=0), *program.steps[g.first_step : g.last_step + 1])
        for g in groups
    ]


def _seen(program: Program) -> dict[str, object]:
    """What each step finds in its buffers, and what is left: who wrote it, as the how-manieth."""
    written: dict[int, tuple[str, int]] = {}
    seen: dict[str, object] = {}
    for time, step in enumerate(program.steps):
        found = tuple(written.get(buffer) for buffer in (*step.reads, *step.writes))
        seen[step.name if step.name not in seen else f"{step.name} ({time})"] = (step, found)
        for buffer in step.writes:
            written[buffer] = (step.name, written.get(buffer, ("", 0))[1] + 1)
    return {**seen, "the end": written}


def violations(programs: Sequence[Program], plan: MemoryPlan) -> tuple[str, ...]:
    """Each rule that the plan breaks, as "rule: where"; none for a sound plan."""
    if len(programs) != len(plan.placements):
        return (f"missing program: {len(programs)} programs, {len(plan.placements)} planned",)
    broken = _arenas(plan)
    for number, program in enumerate(programs):
        found = _complete(number, program, plan.placements[number])
        broken += found
        if not found:
            broken += _aligned(program, plan.placements[number])
            events = _events(program, plan.placements[number], *_carried(programs, number))
            broken += _times(program, plan.placements[number], events)
            broken += _kept(program, plan.placements[number], events)
    return tuple(broken + _state(programs, plan))


def _arenas(plan: MemoryPlan) -> list[str]:
    sizes = dict(plan.arena_bytes)
    broken = []
    if len(sizes) != len(plan.arena_bytes):
        broken.append("arena: one region has two arenas")
    for region, size in plan.arena_bytes:
        if size % 16 != 0:
            broken.append(f"arena: {size} bytes of '{region}' are no multiple of 16")
    for row in plan.placements:
        for each in row:
            if each.region not in sizes:
                broken.append(f"out of arena: '{each.name}' is in '{each.region}', which has none")
            elif each.offset_bytes < 0 or each.end_bytes > sizes[each.region]:
                broken.append(
                    f"out of arena: '{each.name}' takes bytes {each.offset_bytes} to "
                    f"{each.end_bytes} of {sizes[each.region]} in '{each.region}'"
                )
    if sum(sizes.values()) < plan.lower_bound_bytes:
        broken.append(f"lower bound: {plan.lower_bound_bytes} bytes are more than the arenas have")
    return broken


def _complete(number: int, program: Program, row: Sequence[Placement]) -> list[str]:
    """Everything that a step, a role or scratch needs is there once, with its size."""
    broken = []
    for each in row:
        if each.program != number:
            broken.append(f"wrong program: '{each.name}' says {each.program}, stands in {number}")
        if each.buffer < -1 or each.buffer >= len(program.buffers):
            broken.append(f"unknown buffer: '{each.name}' is buffer {each.buffer}")
    for index, buffer in enumerate(program.buffers):
        touched = any(index in step.reads or index in step.writes for step in program.steps)
        outside = index in program.inputs or index in program.outputs
        found = [each for each in row if each.buffer == index]
        if len(found) > 1:
            broken.append(f"duplicate: buffer '{buffer.name}' is placed {len(found)} times")
        elif not found and (touched or outside or buffer.role != "activation"):
            broken.append(f"missing buffer: '{buffer.name}' has no place")
        elif found and found[0].size_bytes != buffer.size_bytes:
            broken.append(
                f"wrong size: '{buffer.name}' has {buffer.size_bytes} bytes, "
                f"its place {found[0].size_bytes}"
            )
    for time, step in enumerate(program.steps):
        found = [each for each in row if each.buffer == -1 and each.first_use == time]
        sizes = [each.size_bytes for each in found]
        if sizes != ([step.scratch_bytes] if step.scratch_bytes else []):
            broken.append(
                f"missing scratch: step '{step.name}' needs {step.scratch_bytes} bytes, has {sizes}"
            )
    return broken


def _aligned(program: Program, row: Sequence[Placement]) -> list[str]:
    broken = []
    for each in row:
        wanted = program.buffers[each.buffer].alignment_bytes if each.buffer >= 0 else 16
        for alignment in (16, wanted):
            if each.offset_bytes % alignment != 0:
                broken.append(
                    f"misaligned: '{each.name}' lies at {each.offset_bytes}, "
                    f"no multiple of {alignment}"
                )
                break
    return broken


def _carried(programs: Sequence[Program], number: int) -> tuple[list[str], list[str]]:
    """The shared buffers whose value a program finds, and those whose value it must leave."""
    finds, leaves = [], []
    for buffer in programs[number].buffers:
        having = [
            each
            for each, program in enumerate(programs)
            if any(b.role == "shared" and b.name == buffer.name for b in program.buffers)
        ]
        if buffer.role == "shared":
            finds += [buffer.name] * (having[0] < number or programs[number].repeats)
            leaves += [buffer.name] * (having[-1] > number or programs[number].repeats)
    return finds, leaves


def _events(
    program: Program, row: Sequence[Placement], finds: Sequence[str], leaves: Sequence[str]
) -> list[_Event]:
    """Every touch of every placement, in the order of the steps."""
    after = len(program.steps)
    events = []
    for each in row:
        if each.buffer < 0:
            events.append(_Event(each, each.first_use, each.first_use, True, each.first_use))
            continue
        role = program.buffers[each.buffer].role
        found = role == "shared" and program.buffers[each.buffer].name in finds
        left = role == "shared" and program.buffers[each.buffer].name in leaves
        if role in ("input", "front_end", "state") or each.buffer in program.inputs or found:
            events.append(_Event(each, -1, -1, True, None))
        written = bool(events) and events[-1].placement is each
        for time, step in enumerate(program.steps):
            start = end = time
            for group in program.groups:
                if group.first_step <= time <= group.last_step:
                    start, end = group.first_step, group.last_step
            if each.buffer in step.reads:
                if not written:  # it reads what was there before the first step
                    events.append(_Event(each, -1, -1, True, None))
                    written = True
                events.append(_Event(each, start, end, False, time))
            if each.buffer in step.writes:
                written = True
                events.append(_Event(each, start, end, True, time))
        if role in ("output", "state") or each.buffer in program.outputs or left:
            events.append(_Event(each, after, after, False, None))
    return events


def _times(program: Program, row: Sequence[Placement], events: Sequence[_Event]) -> list[str]:
    """The first and last use that the plan states are those of the steps."""
    broken = []
    for each in row:
        mine = [event for event in events if event.placement is each]
        if not mine:
            continue  # nothing touches it
        first = min(event.start for event in mine)
        last = max(event.end for event in mine)
        if (each.first_use, each.last_use) != (first, last):
            broken.append(
                f"wrong lifetime: '{each.name}' is used {first} to {last}, "
                f"planned {each.first_use} to {each.last_use}"
            )
    return broken


def _kept(program: Program, row: Sequence[Placement], events: Sequence[_Event]) -> list[str]:
    """No write falls on bytes whose value is still to be read."""
    broken = []
    for each in row:
        mine = [event for event in events if event.placement is each]
        if not mine:
            continue
        first = min(event.start for event in mine)
        last = max(event.end for event in mine)
        for event in events:
            other = event.placement
            if other is each or not event.writes or other.region != each.region:
                continue
            apart = other.offset_bytes >= each.end_bytes or each.offset_bytes >= other.end_bytes
            if apart or event.start > last or event.end < first:
                continue
            if not _permitted(program, each, event, last):
                broken.append(
                    f"overlap: '{other.name}', written at step {event.start}, "
                    f"destroys '{each.name}', needed from {first} to {last}"
                )
    return broken


def _permitted(program: Program, source: Placement, event: _Event, last: int) -> bool:
    """Whether a step may write its output over `source`, which it is the last to read."""
    output = event.placement
    if event.step is None or event.step != last or source.buffer < 0 or output.buffer < 0:
        return False
    step = program.steps[event.step]
    return (
        event.start == event.end
        and (source.buffer, output.buffer) in step.in_place
        and source.offset_bytes == output.offset_bytes
        and source.size_bytes >= output.size_bytes
        and list(step.reads).count(source.buffer) == 1
        and output.buffer not in step.reads
    )


def _state(programs: Sequence[Program], plan: MemoryPlan) -> list[str]:
    """What programs have in common lies at one place, and nothing in between falls on it."""
    broken = []
    common = [
        (number, each, programs[number].buffers[each.buffer].role)
        for number in range(len(programs))
        for each in plan.placements[number]
        if 0 <= each.buffer < len(programs[number].buffers)
        and programs[number].buffers[each.buffer].role in ("state", "shared")
    ]
    for number, state, role in common:
        having = [n for n, each, _ in common if each.name == state.name]
        for other_number, row in enumerate(plan.placements):
            if other_number == number:
                continue
            for other in row:
                same = other.name == state.name and any(
                    each is other for n, each, _ in common if n == other_number
                )
                place = (other.region, other.offset_bytes, other.size_bytes)
                if same and place != (state.region, state.offset_bytes, state.size_bytes):
                    broken.append(f"state moves: '{state.name}' lies at two places")
                passing = role == "shared" and (
                    other_number in having or not having[0] < other_number < having[-1]
                )
                apart = (
                    other.region != state.region
                    or other.offset_bytes >= state.end_bytes
                    or state.offset_bytes >= other.end_bytes
                )
                if not (same or passing or apart):
                    broken.append(f"overlap: '{other.name}' destroys the state '{state.name}'")
    return broken
