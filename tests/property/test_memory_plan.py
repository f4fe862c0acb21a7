# SPDX-License-Identifier: Apache-2.0
"""Plans of random programs: sound by the validator, never below the bound, and fragile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.errors import StapesError
from codegen.memory.plan import plan
from codegen.memory.validate import validate, violations
from codegen.memory_plan import SCRATCH, MemoryPlan, Placement
from codegen.program import Buffer, Group, Program, Step

SIZES = st.integers(1, 700)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random steps over random buffers: branches, dead ends, in-place, groups, late reads."""
    buffers = [Buffer("in", draw(SIZES), "input")]
    if draw(st.booleans()):
        buffers.append(Buffer("held", draw(SIZES), "front_end", draw(st.sampled_from((16, 32)))))
    if draw(st.booleans()):
        buffers.append(Buffer("cache", 128, "state"))
    readable = [i for i, b in enumerate(buffers) if b.role != "front_end"]
    steps = []
    count = draw(st.integers(1, 12))
    for time in range(count):
        reads = tuple(draw(st.lists(st.sampled_from(readable), min_size=1, max_size=3)))
        new = len(buffers)
        same = draw(st.booleans())
        size = buffers[reads[0]].size_bytes if same else draw(SIZES)
        buffers.append(Buffer(f"b{time}", size, alignment_bytes=draw(st.sampled_from((4, 16, 64)))))
        pairs = tuple((r, new) for r in dict.fromkeys(reads)) if draw(st.booleans()) else ()
        writes: tuple[int, ...] = (new,)
        if draw(st.integers(0, 4)) == 0:
            buffers.append(Buffer(f"c{time}", draw(SIZES)))
            writes = (new, new + 1)
        scratch = draw(st.sampled_from((0, 0, 40, 500)))
        steps.append(Step(f"s{time}", "k", "k.h", (), reads, writes, 1, scratch, pairs))
        readable += writes
    outputs = tuple(dict.fromkeys(draw(st.lists(st.sampled_from(readable[1:] or [0]), max_size=2))))
    groups: tuple[Group, ...] = ()
    if count > 3 and draw(st.booleans()):
        groups = (Group(1, 2, 8, 2),)
    return Program("p", tuple(steps), tuple(buffers), (), (0,), outputs, groups)


@settings(deadline=None)
@given(st.lists(programs(), min_size=1, max_size=2))
def test_a_plan_is_sound_and_not_below_the_bound(several: list[Program]) -> None:
    found = plan(several)
    validate(several, found)
    assert found.total_bytes >= found.lower_bound_bytes


@settings(deadline=None)
@given(programs())
def test_the_same_program_gets_the_same_plan(program: Program) -> None:
    assert plan([program]) == plan([program])


@settings(deadline=None)
@given(programs(), st.data())
def test_any_single_change_of_size_time_or_presence_is_caught(
    program: Program, data: st.DataObject
) -> None:
    found = plan([program])
    row = list(found.placements[0])
    victim = data.draw(st.integers(0, len(row) - 1))
    change = data.draw(
        st.sampled_from(("drop", "twice", "grow", "skew", "later", "sooner", "high"))
    )
    if change == "drop":
        del row[victim]
    elif change == "twice":
        row.append(row[victim])
    else:
        old = row[victim]
        row[victim] = {
            "grow": replace(old, size_bytes=old.size_bytes + 1),
            "skew": replace(old, offset_bytes=old.offset_bytes + 8),
            "later": replace(old, last_use=old.last_use + 1),
            "sooner": replace(old, first_use=old.first_use - 1),
            "high": replace(old, offset_bytes=found.total_bytes),
        }[change]
    broken = MemoryPlan((tuple(row),), found.arena_bytes, found.lower_bound_bytes)
    with pytest.raises(StapesError, match="not sound"):
        validate([program], broken)


def _corrupts(program: Program, plan_: MemoryPlan) -> bool:
    """Run the program on bytes: every byte of memory remembers who wrote it last, and when."""
    row = {p.buffer: p for p in plan_.placements[0] if p.buffer != SCRATCH}
    scratch = {p.first_use: p for p in plan_.placements[0] if p.buffer == SCRATCH}
    memory: list[object] = [None] * plan_.total_bytes

    def write(p: Placement, mark: object) -> None:
        memory[p.offset_bytes : p.end_bytes] = [mark] * p.size_bytes

    def whole(p: Placement, mark: object) -> bool:
        return memory[p.offset_bytes : p.end_bytes] == [mark] * p.size_bytes

    before = [i for i, b in enumerate(program.buffers) if b.role in ("input", "front_end", "state")]
    for index in before:
        write(row[index], index)
    if not all(whole(row[index], index) for index in before):
        return True
    for time, step in enumerate(program.steps):
        if not all(whole(row[index], index) for index in step.reads):
            return True
        for index in step.writes:
            write(row[index], ("new", index))
        if time in scratch:
            write(scratch[time], "scratch")
        if not all(whole(row[index], ("new", index)) for index in step.writes):
            return True
        allowed = {
            index: [output for source, output in step.in_place if source == index]
            for index in step.reads
        }
        for index in step.reads:
            place = row[index]
            for position in range(place.offset_bytes, place.end_bytes):
                mark = memory[position]
                fine = mark == index or (
                    isinstance(mark, tuple)
                    and mark[1] in allowed[index]
                    and row[mark[1]].offset_bytes == place.offset_bytes
                    and row[mark[1]].size_bytes <= place.size_bytes
                    and step.reads.count(index) == 1
                )
                if not fine:
                    return True
        for index in step.writes:
            write(row[index], index)
    last = {i for i, b in enumerate(program.buffers) if b.role == "state"} | set(program.outputs)
    return not all(whole(row[index], index) for index in last)


@settings(max_examples=200, deadline=None)
@given(programs(), st.data())
def test_moving_a_buffer_is_caught_exactly_when_it_destroys_a_value(
    program: Program, data: st.DataObject
) -> None:
    program = replace(program, groups=())
    found = plan([program])
    assert not _corrupts(program, found)
    row = list(found.placements[0])
    victim = data.draw(st.integers(0, len(row) - 1))
    old = row[victim]
    steps_up = (found.total_bytes - old.size_bytes) // 64
    row[victim] = replace(old, offset_bytes=64 * data.draw(st.integers(0, max(0, steps_up))))
    moved = MemoryPlan((tuple(row),), found.arena_bytes, found.lower_bound_bytes)
    overlaps = [each for each in violations([program], moved) if each.startswith("overlap")]
    assert bool(overlaps) == _corrupts(program, moved), overlaps
