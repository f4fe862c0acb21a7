# SPDX-License-Identifier: Apache-2.0
"""Buffers that several programs share: an encoder, what it hands on, and a step that repeats."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from codegen.errors import StapesError
from codegen.memory.liveness import intervals
from codegen.memory.plan import plan
from codegen.memory.validate import validate, violations
from codegen.memory_plan import BEFORE, MemoryPlan
from codegen.program import Buffer, Program, Step


def program(name: str, *buffers: Buffer, repeats: bool = False, big: int = 0) -> Program:
    """One step from what the first buffers hold to the last; `big` bytes of scratch."""
    count = len(buffers)
    step = Step("s", "k", "k.h", (), tuple(range(count - 1)), (count - 1,), 1, big)
    inputs = tuple(i for i in range(count - 1))
    return Program(name, (step,), buffers, (), inputs, (count - 1,), repeats=repeats)


PROGRAMS = (
    program("encoder", Buffer("pcm", 320, "input"), Buffer("encoded", 64, "shared"), big=512),
    program("cross", Buffer("encoded", 64, "shared"), Buffer("crossed", 128, "shared")),
    program(
        "decoder",
        Buffer("row", 32, "input"),
        Buffer("crossed", 128, "shared"),
        Buffer("cache", 96, "shared"),
        Buffer("logits", 48, "output"),
        repeats=True,
    ),
)


def test_what_is_handed_on_lives_from_its_writer_to_its_last_reader() -> None:
    found = plan(PROGRAMS)
    validate(PROGRAMS, found)
    assert found.buffer(0, 1).offset_bytes == found.buffer(1, 0).offset_bytes
    assert found.buffer(1, 1).offset_bytes == found.buffer(2, 1).offset_bytes
    lives = {(p.program, p.name): (p.first_use, p.last_use) for r in found.placements for p in r}
    assert lives[0, "encoded"] == (0, 1)
    assert lives[1, "encoded"] == (BEFORE, 0)
    assert lives[1, "crossed"] == (0, 1)
    assert lives[2, "crossed"] == lives[2, "cache"] == (BEFORE, 1)
    assert lives[2, "row"] == (BEFORE, 0)


def test_a_program_that_repeats_keeps_what_it_shares() -> None:
    """By itself, too, as the search for stripes sees it."""
    again, once = PROGRAMS[2], replace(PROGRAMS[2], repeats=False)
    lives = [
        {need.name: (need.first_use, need.last_use) for need in intervals(each)}
        for each in (again, once)
    ]
    assert [each["crossed"] for each in lives] == [(BEFORE, 1), (BEFORE, 0)]
    assert [each["row"] for each in lives] == [(BEFORE, 0), (BEFORE, 0)]


def test_the_phases_take_turns_in_the_arena() -> None:
    found = plan(PROGRAMS)
    assert found.lower_bound_bytes == 320 + 64 + 512  # the encoder's: caches are not there yet
    assert found.total_bytes == found.lower_bound_bytes


def test_a_program_in_between_leaves_alone_what_passes_it() -> None:
    between = program("between", Buffer("a", 256, "input"), Buffer("b", 16, "output"))
    several = (PROGRAMS[0], between, PROGRAMS[1])
    found = plan(several)
    validate(several, found)
    assert found.lower_bound_bytes == 320 + 64 + 512
    row = tuple(
        replace(p, offset_bytes=found.buffer(0, 1).offset_bytes) if p.name == "a" else p
        for p in found.placements[1]
    )
    broken = replace(found, placements=(found.placements[0], row, found.placements[2]))
    assert any("destroys the state 'encoded'" in each for each in violations(several, broken))


def test_one_name_has_one_size() -> None:
    other = replace(PROGRAMS[1], buffers=(Buffer("encoded", 80, "shared"), PROGRAMS[1].buffers[1]))
    with pytest.raises(StapesError, match=r"encoded.*64.*80"):
        plan((PROGRAMS[0], other))


def _corrupts(found: MemoryPlan) -> bool:
    """Run encoder, cross and three steps on bytes that remember who wrote them."""
    memory: list[object] = [None] * 2048
    held: set[str] = set()

    def span(number: int, buffer: int) -> slice:
        place = found.buffer(number, buffer)
        return slice(place.offset_bytes, place.end_bytes)

    def write(number: int, buffer: int) -> None:
        name = PROGRAMS[number].buffers[buffer].name
        where = span(number, buffer)
        memory[where] = [name] * (where.stop - where.start)

    def whole(number: int, buffer: int) -> bool:
        return set(memory[span(number, buffer)]) == {PROGRAMS[number].buffers[buffer].name}

    for number in (0, 1, 2, 2, 2):
        each = PROGRAMS[number]
        for index in each.inputs:
            if each.buffers[index].name not in held:
                write(number, index)
                held |= {each.buffers[index].name} & {"cache"}
        if not all(map(whole, itertools.repeat(number), each.inputs)):
            return True
        held |= {b.name for b in each.buffers if b.role == "shared"}
        scratch = found.scratch(number, 0)
        (output,) = each.outputs
        write(number, output)
        if scratch is not None:
            memory[scratch.offset_bytes : scratch.end_bytes] = ["scratch"] * scratch.size_bytes
        if not all(whole(number, index) for index in (*each.inputs, output)):
            return True
    return False


@pytest.mark.parametrize("victim", range(9))
def test_a_move_is_caught_exactly_when_it_destroys_a_value(victim: int) -> None:
    found = plan(PROGRAMS)
    assert not _corrupts(found)
    places = [p for row in found.placements for p in row]
    old = places[victim % len(places)]
    caught = 0
    for offset in range(0, found.total_bytes - old.size_bytes + 1, 16):
        rows = tuple(
            tuple(
                replace(p, offset_bytes=offset)
                if p is old or (p.name == old.name and old.name in ("encoded", "crossed"))
                else p
                for p in row
            )
            for row in found.placements
        )
        moved = replace(found, placements=rows)
        broken = violations(PROGRAMS, moved)
        assert bool(broken) == _corrupts(moved), (offset, broken)
        caught += bool(broken)
    assert caught or old.program == 1
