# SPDX-License-Identifier: Apache-2.0
"""Which steps of a program must run before which, and what running one takes and leaves live."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codegen.memory.liveness import Interval, overwritable, round_up
from codegen.memory_plan import ALIGNMENT_BYTES, BEFORE, SCRATCH
from codegen.program import Program, Step


@dataclass(frozen=True)
class Unit:
    """Steps that run in a row: one, or those of a group. Bit i of a set of units is units[i].

    `before` must have run; `followers` wait for it. `takes_bytes` are its scratch and the buffers
    that begin to live here, `leaves_bytes` those of them that live on. `ends` are buffers that
    lived already: the units that touch one, of which the last ends it, and its bytes. `covers` are
    outputs that may lie on an input: the bytes, and for each such input the units that touch it,
    which must have run.
    """

    steps: range
    before: int
    followers: tuple[int, ...]
    takes_bytes: int
    leaves_bytes: int
    ends: tuple[tuple[int, int], ...]
    covers: tuple[tuple[int, tuple[int, ...]], ...]

    def during(self, live_bytes: int, ran: int) -> int:
        """The bytes that live in it; `live_bytes` lived before, `ran` includes it."""
        during = live_bytes + self.takes_bytes
        for size, inputs in self.covers:
            if any(not touching & ~ran for touching in inputs):
                during -= size
        return during

    def behind(self, live_bytes: int, ran: int) -> int:
        """The bytes that live when it has run."""
        behind = live_bytes + self.leaves_bytes
        for touching, size in self.ends:
            if not touching & ~ran:
                behind -= size
        return behind


@dataclass(frozen=True)
class Dataflow:
    """A program's units in its order; `live_bytes` live before the first of them.

    No order has a peak below `least_bytes`.
    """

    units: tuple[Unit, ...]
    live_bytes: int
    least_bytes: int


@dataclass(frozen=True)
class _Life:
    """A buffer: whether it lives before the first and behind the last step; who touches it."""

    need: Interval
    at_first: bool
    at_last: bool
    units: tuple[int, ...]

    @property
    def touching(self) -> int:
        return sum(1 << unit for unit in self.units)

    def only_in(self, unit: int) -> bool:
        return self.units == (unit,) and not self.at_first and not self.at_last


def members(units: int) -> Iterator[int]:
    """The numbers in a set of units, from the smallest."""
    while units:
        lowest = units & -units
        yield lowest.bit_length() - 1
        units ^= lowest


def dataflow(program: Program, needs: Sequence[Interval], passing_bytes: int) -> Dataflow:
    """The units of a program of which `needs` are the lifetimes in its order.

    `passing_bytes` live in other programs meanwhile.
    """
    spans = _spans(program)
    unit_of = [unit for unit, steps in enumerate(spans) for _ in steps]
    lives = _lives(program, needs, unit_of)
    before = _before(program, unit_of)
    followers: list[list[int]] = [[] for _ in spans]
    for unit, others in enumerate(before):
        for other in members(others):
            followers[other].append(unit)
    units = tuple(
        _unit(program, steps, unit, before[unit], followers[unit], lives)
        for unit, steps in enumerate(spans)
    )
    every = tuple(lives.values())
    first, last = (
        [life for life in every if life.at_first],
        [life for life in every if life.at_last],
    )
    start = [life for life in first if life.at_last or life.units]
    least = max(_sum(first), _sum(last), _least_bytes(units, every))
    return Dataflow(units, passing_bytes + _sum(start), passing_bytes + least)


def _sum(lives: Sequence[_Life]) -> int:
    return sum(life.need.padded_bytes for life in lives)


def _spans(program: Program) -> list[range]:
    """The steps of each unit, in the program's order."""
    last = {group.first_step: group.last_step for group in program.groups}
    spans: list[range] = []
    while (time := spans[-1].stop if spans else 0) < len(program.steps):
        spans.append(range(time, last.get(time, time) + 1))
    return spans


def _lives(program: Program, needs: Sequence[Interval], unit_of: Sequence[int]) -> dict[int, _Life]:
    """The life of each buffer in use, by its number."""
    units: dict[int, dict[int, None]] = {}
    for time, step in enumerate(program.steps):
        for buffer in (*step.reads, *step.writes):
            units.setdefault(buffer, {})[unit_of[time]] = None
    return {
        need.buffer: _Life(
            need,
            need.first_use == BEFORE,
            need.last_use == len(program.steps),
            tuple(units.get(need.buffer, ())),
        )
        for need in needs
        if need.buffer != SCRATCH
    }


def _unit(
    program: Program,
    steps: range,
    number: int,
    before: int,
    followers: Sequence[int],
    lives: dict[int, _Life],
) -> Unit:
    touched = (b for t in steps for b in (*program.steps[t].reads, *program.steps[t].writes))
    mine = {buffer: lives[buffer] for buffer in touched}
    grouped = any(group.first_step == steps.start for group in program.groups)
    inside = {b: life.need for b, life in mine.items() if grouped and life.only_in(number)}
    takes, leaves = _inside(program, steps, inside.values()), 0
    ends, covers = [], []
    for buffer, life in mine.items():
        size = life.need.padded_bytes
        if not life.at_first and life.units[0] == number:
            takes += 0 if buffer in inside else size
            leaves += 0 if life.only_in(number) else size
            inputs = () if grouped else _inputs(program, program.steps[steps.start], buffer, lives)
            covers += [(size, inputs)] if inputs else []
        elif not life.at_last:
            ends.append((life.touching, size))
    return Unit(steps, before, tuple(followers), takes, leaves, tuple(ends), tuple(covers))


def _inside(program: Program, steps: range, needs: Collection[Interval]) -> int:
    """The most bytes of scratch and of what lives in these steps only."""
    most = 0
    for time in steps:
        live = round_up(program.steps[time].scratch_bytes, ALIGNMENT_BYTES)
        for need in needs:
            if need.first_use <= time <= need.last_use:
                shared = need.first_use == time and need.may_cover
                live += 0 if shared else need.padded_bytes
        most = max(most, live)
    return most


def _inputs(program: Program, step: Step, output: int, lives: dict[int, _Life]) -> tuple[int, ...]:
    """The units that touch each input that `output` may be written over where it begins."""
    return tuple(
        lives[source].touching
        for source, target in step.in_place
        if target == output
        and overwritable(program, step, source, output)
        and not lives[source].at_last
    )


def _before(program: Program, unit_of: Sequence[int]) -> list[int]:
    """The units that each waits for: of two that touch a buffer, one writing, the first."""
    before = [0] * (unit_of[-1] + 1 if unit_of else 0)
    written: dict[int, int] = {}
    readers: dict[int, int] = {}  # since it was written last
    for unit, step in zip(unit_of, program.steps, strict=True):
        for buffer in step.reads:
            before[unit] |= written.get(buffer, 0)
            readers[buffer] = readers.get(buffer, 0) | 1 << unit
        for buffer in step.writes:
            before[unit] |= written.get(buffer, 0) | readers.pop(buffer, 0)
            written[buffer] = 1 << unit
    return [units & ~(1 << unit) for unit, units in enumerate(before)]


def _least_bytes(units: Sequence[Unit], lives: Sequence[_Life]) -> int:
    """The most that a unit meets in any order: what begins before it and is touched behind it."""
    if not units:
        return 0
    since = [1 << unit for unit in range(len(units))]  # itself and what waits for it
    until = since[:]  # itself and what it waits for
    for unit, each in enumerate(units):
        for other in members(each.before):
            until[unit] |= until[other]
    for unit in reversed(range(len(units))):
        for other in members(units[unit].before):
            since[other] |= since[unit]
    least = np.array([each.takes_bytes for each in units], np.int64)
    everything = (1 << len(units)) - 1
    for life in lives:
        begun = everything if life.at_first else 0
        wanted = everything if life.at_last else 0
        for unit in life.units[:1]:
            begun |= since[unit] ^ 1 << unit
        for unit in life.units:
            wanted |= until[unit]
        least += life.need.padded_bytes * _bits(begun & wanted, len(units))
    for unit, each in enumerate(units):
        behind = since[unit] ^ 1 << unit
        for size, inputs in each.covers:
            if any(not touching & behind for touching in inputs):
                least[unit] -= size
    return int(least.max())


def _bits(units: int, count: int) -> np.ndarray:
    """The set as an array of zeros and ones."""
    packed = np.frombuffer(units.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.int64)
