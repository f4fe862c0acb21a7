# SPDX-License-Identifier: Apache-2.0
"""The order of a program's steps with the smallest peak of live bytes, found or proved.

What lives behind some units (dataflow.py) depends on their set, not on their order. So an order is
a path through sets, each a unit larger than the one before, and its peak is the most that a unit on
the way needs:

1. Sets are visited from the one with the smallest peak so far, as by Dijkstra (1959) with the
   larger of two bytes in the place of their sum. The first path that holds every unit is optimal,
   and the peak so far of the set visited is proved to be the least of all orders.
2. A unit that needs no more than the peak so far and leaves no more than lived before it goes
   next, and nothing else is tried: in any order behind this set it can be moved to the front, for
   its outputs have their size and it ends more of its inputs the later it runs.
3. Where there are too many sets, a beam keeps the best of each size (Lowerre, 1976).

A try is limited by the moves it looks at, not by time: the same programs get the same order.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from codegen.memory.dataflow import Dataflow, dataflow, members
from codegen.memory.timeline import timeline
from codegen.program import Program

_MOVES = 200_000  # of the exact search, some seconds at most
_BEAM_MOVES = 400_000  # which narrow the beam; a single set goes on to the end
_WIDTH = 64  # sets of each size that the beam keeps


@dataclass(frozen=True)
class Ordered:
    """Programs with their steps in the order to run them in.

    The peak of live bytes over all of them is `given_bytes` as they were, and no order has one
    below `least_bytes`.
    """

    programs: tuple[Program, ...]
    given_bytes: int
    least_bytes: int


@dataclass(frozen=True)
class Found:
    """Units in an order with a peak below what was asked for; None where none was found.

    No order has a peak below `least_bytes`.
    """

    units: tuple[int, ...] | None
    least_bytes: int


def order(programs: Sequence[Program]) -> Ordered:
    """The programs, which run one after another, so that the peak over all is the least found.

    A program keeps its order where no other makes that peak smaller.
    """
    flows = _flows(programs)
    given = [peak(flow, range(len(flow.units))) for flow in flows]
    least = reached = max((flow.least_bytes for flow in flows), default=0)
    orders: list[Sequence[int]] = []
    for flow, most in zip(flows, given, strict=True):
        found = find(flow, reached, most)
        orders.append(found.units or range(len(flow.units)))
        least = max(least, found.least_bytes)
        reached = max(reached, peak(flow, orders[-1]))
    return Ordered(
        tuple(
            program if most <= reached else _in_order(program, flow, units)
            for program, flow, units, most in zip(programs, flows, orders, given, strict=True)
        ),
        max(given, default=0),
        least,
    )


def peak(flow: Dataflow, units: Sequence[int]) -> int:
    """The peak of live bytes of a program whose units run in this order."""
    live, ran, most = flow.live_bytes, 0, flow.least_bytes
    for number in units:
        ran |= 1 << number
        most = max(most, flow.units[number].during(live, ran))
        live = flow.units[number].behind(live, ran)
    return most


def find(flow: Dataflow, enough_bytes: int, limit_bytes: int) -> Found:
    """The order with the least peak that is found below `limit_bytes`.

    A peak of `enough_bytes` is as good as a smaller one.
    """
    found = search(flow, enough_bytes, limit_bytes)
    if found.units is None and max(found.least_bytes, enough_bytes) < limit_bytes:
        return replace(found, units=beam(flow, enough_bytes, limit_bytes))
    return found


def search(flow: Dataflow, enough_bytes: int, limit_bytes: int) -> Found:
    """The order with the least peak, if that is below `limit_bytes` and moves suffice."""
    start = _start(flow, enough_bytes)
    if start.peak_bytes >= limit_bytes:
        return Found(None, flow.least_bytes)
    moves = _MOVES
    heap = [start]
    way = {start.ran: (start.peak_bytes, -1)}
    visited: set[int] = set()
    while heap:
        state = heapq.heappop(heap)
        proved = state.peak_bytes if state.peak_bytes > start.peak_bytes else flow.least_bytes
        if state.left == 0:
            return Found(_path(way, state.ran), proved)
        if moves < 0:
            return Found(None, proved)
        if state.ran in visited:
            continue
        visited.add(state.ran)
        moves -= state.ready.bit_count()
        for unit, after in _moves(flow, state):
            if after.peak_bytes < min(limit_bytes, way.get(after.ran, (limit_bytes, -1))[0]):
                way[after.ran] = after.peak_bytes, unit
                heapq.heappush(heap, after)
    return Found(None, limit_bytes)


def beam(flow: Dataflow, enough_bytes: int, limit_bytes: int) -> tuple[int, ...] | None:
    """An order with a peak below `limit_bytes`, perhaps not the least; None if none was found."""
    states = [_start(flow, enough_bytes)]
    way = {states[0].ran: (states[0].peak_bytes, -1)}
    moves = _BEAM_MOVES
    while states and states[0].left:
        found: dict[int, _State] = {}
        for state in states:
            moves -= state.ready.bit_count()
            for unit, after in _moves(flow, state):
                if after.peak_bytes < limit_bytes and after < found.get(after.ran, _WORST):
                    found[after.ran] = after
                    way[after.ran] = after.peak_bytes, unit
        states = heapq.nsmallest(_WIDTH, found.values())
        needed = sum(state.left * state.ready.bit_count() for state in states)
        if needed > moves >= 0:  # as many as can go on to the end with what is left
            states = states[: max(1, len(states) * moves // needed)]
        elif moves < 0:
            states = states[:1]
    return _path(way, states[0].ran) if states else None


class _State(NamedTuple):
    """Units that ran, with the peak so far; the least of several is tried first."""

    peak_bytes: int
    left: int
    live_bytes: int
    ran: int
    ready: int


_WORST = _State(1 << 62, 0, 0, 0, 0)


def _start(flow: Dataflow, enough_bytes: int) -> _State:
    ready = sum(1 << number for number, unit in enumerate(flow.units) if not unit.before)
    most = max(flow.least_bytes, enough_bytes)
    return _State(most, len(flow.units), flow.live_bytes, 0, ready)


def _moves(flow: Dataflow, state: _State) -> list[tuple[int, _State]]:
    """The units that may run next, each with what comes of it; one alone where it costs nothing."""
    found = []
    for number in members(state.ready):
        unit, ran = flow.units[number], state.ran | 1 << number
        most = max(state.peak_bytes, unit.during(state.live_bytes, ran))
        live = unit.behind(state.live_bytes, ran)
        ready = state.ready ^ 1 << number
        for follower in unit.followers:
            if not flow.units[follower].before & ~ran:
                ready |= 1 << follower
        found.append((number, _State(most, state.left - 1, live, ran, ready)))
        if most == state.peak_bytes and live <= state.live_bytes:
            return found[-1:]
    return found


def _path(way: dict[int, tuple[int, int]], ran: int) -> tuple[int, ...]:
    units = []
    while ran:
        units.append(way[ran][1])
        ran ^= 1 << units[-1]
    return tuple(reversed(units))


def _flows(programs: Sequence[Program]) -> list[Dataflow]:
    """The dataflow of each program, and what lives in others meanwhile."""
    time = timeline(programs)
    flows = []
    start = 0
    for program, needs, where in zip(programs, time.local, time.where, strict=True):
        own = set(where)
        passing = sum(
            need.padded_bytes
            for position, need in enumerate(time.needs)
            if position not in own and need.first_use <= start <= need.last_use
        )
        flows.append(dataflow(program, needs, passing))
        start += len(program.steps) + 2
    return flows


def _in_order(program: Program, flow: Dataflow, units: Sequence[int]) -> Program:
    """The program with its steps and groups moved."""
    steps = [time for number in units for time in flow.units[number].steps]
    now = {time: position for position, time in enumerate(steps)}
    groups = sorted(
        (
            replace(each, first_step=now[each.first_step], last_step=now[each.last_step])
            for each in program.groups
        ),
        key=lambda group: group.first_step,
    )
    return replace(
        program, steps=tuple(program.steps[time] for time in steps), groups=tuple(groups)
    )
