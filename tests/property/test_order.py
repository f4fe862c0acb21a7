# SPDX-License-Identifier: Apache-2.0
"""Orders of random programs: as good as trying all, never worse than the given one, and sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.errors import StapesError
from codegen.memory import order as order_module
from codegen.memory.arrange import arrange
from codegen.memory.liveness import peak_bytes
from codegen.memory.order import order
from codegen.memory.timeline import timeline
from codegen.memory.validate import validate, validate_order
from codegen.program import Buffer, Group, Program, Step

SIZES = st.sampled_from((10, 16, 30, 48, 100, 160, 333))


@st.composite
def programs(draw: st.DrawFn, most_steps: int) -> Program:
    """Random steps with branches, two outputs, in-place steps, state written in parts, a group."""
    buffers = [Buffer("in", draw(SIZES), "input"), Buffer("kept", 64, "shared")]
    buffers += [Buffer("held", draw(SIZES), "front_end"), Buffer("cache", 128, "state")]
    readable = [0, 1, 3]
    steps = []
    count = draw(st.integers(1, most_steps))
    for time in range(count):
        recent = st.sampled_from([*readable, *readable[-2:]])
        reads = tuple(draw(st.lists(recent, min_size=1, max_size=3)))
        new = len(buffers)
        buffers.append(Buffer(f"b{time}", draw(SIZES)))
        writes: tuple[int, ...] = (new,) if time else (new, 1)
        if draw(st.integers(0, 3)) == 0:
            buffers.append(Buffer(f"c{time}", draw(SIZES)))
            writes = (*writes, new + 1)
        readable += writes
        if draw(st.integers(0, 4)) == 0:
            writes = (*writes, draw(st.sampled_from(readable[1:])))  # some of it, or again
        pairs = tuple((r, new) for r in dict.fromkeys(reads)) if draw(st.booleans()) else ()
        scratch = draw(st.sampled_from((0, 0, 40, 200)))
        steps.append(
            Step(f"s{time}", "k", "k.h", (), reads, tuple(dict.fromkeys(writes)), 1, scratch, pairs)
        )
    outputs = tuple(dict.fromkeys(draw(st.lists(st.sampled_from(readable), max_size=2))))
    groups: tuple[Group, ...] = ()
    if count > 2 and draw(st.integers(0, 2)) == 0:
        first = draw(st.integers(0, count - 2))
        groups = (Group(first, first + 1, 8, 2),)
    return Program("p", tuple(steps), tuple(buffers), (), (0,), outputs, groups)


def peak(some: Sequence[Program]) -> int:
    return peak_bytes(timeline(some).needs)


def values(program: Program) -> tuple[dict[str, object], object]:
    """What each step reads and what is left, as the whole history of a value."""
    memory: dict[int, object] = {}
    read: dict[str, object] = {}
    for step in program.steps:
        read[step.name] = repr([memory.get(buffer) for buffer in (*step.reads, *step.writes)])
        for buffer in step.writes:
            memory[buffer] = (step.name, hash(read[step.name]))
    return read, memory


def orders(program: Program) -> Iterator[Program]:
    """Every order that computes the same, the steps of a group together."""
    expected = values(program)
    for numbers in permutations(range(len(program.steps))):
        groups = []
        for group in program.groups:
            first = numbers.index(group.first_step)
            length = group.last_step - group.first_step + 1
            if numbers[first : first + length] == tuple(
                range(group.first_step, group.last_step + 1)
            ):
                groups.append(replace(group, first_step=first, last_step=first + length - 1))
        moved = replace(
            program, steps=tuple(program.steps[i] for i in numbers), groups=tuple(groups)
        )
        if len(groups) == len(program.groups) and values(moved) == expected:
            yield moved


@settings(max_examples=100, deadline=None)
@given(programs(6))
def test_the_peak_is_the_least_of_all_orders(program: Program) -> None:
    least = min(peak([each]) for each in orders(program))
    found = order([program])
    assert peak(found.programs) == found.least_bytes == least
    assert found.given_bytes == peak([program])
    if least == found.given_bytes:
        assert found.programs == (program,)


@settings(max_examples=30, deadline=None)
@given(programs(4), programs(4))
def test_the_peak_over_two_programs_is_the_least_of_all_orders(one: Program, two: Program) -> None:
    two = replace(two, repeats=True)
    least = min(map(peak, product(orders(one), orders(two))))
    found = order([one, two])
    assert peak(found.programs) == found.least_bytes == least


@settings(deadline=None)
@given(st.lists(programs(14), min_size=1, max_size=2), st.sampled_from((0, 10, 10_000)))
def test_an_order_is_sound_and_never_worse(some: list[Program], moves: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_module, "_MOVES", moves)
        found = order(some)
        assert order(some) == found
    before = peak(some)
    assert found.least_bytes <= peak(found.programs) <= before == found.given_bytes
    for program, moved in zip(some, found.programs, strict=True):
        assert values(moved) == values(program)
        assert {step.name: step for step in moved.steps} == {s.name: s for s in program.steps}
    assert found.least_bytes <= order(some).least_bytes
    validate_order(some, found.programs)
    arranged, memory = arrange(some)
    validate(arranged, memory)
    assert memory.any_order_bytes <= memory.lower_bound_bytes <= memory.given_order_bytes


@settings(max_examples=200, deadline=None)
@given(programs(8), st.data())
def test_a_wrong_order_is_caught_exactly_when_it_computes_something_else(
    program: Program, data: st.DataObject
) -> None:
    program = replace(program, groups=())
    numbers = data.draw(st.permutations(range(len(program.steps))))
    moved = replace(program, steps=tuple(program.steps[i] for i in numbers))
    if values(moved) == values(program):
        validate_order([program], [moved])
    else:
        with pytest.raises(StapesError, match="another value"):
            validate_order([program], [moved])
