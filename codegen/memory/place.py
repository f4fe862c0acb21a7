# SPDX-License-Identifier: Apache-2.0
"""Chooses the target's region for each buffer and const array of a plan.

Where a target leaves no choice, the plan's one arena lies in `target.arena`. Otherwise:

1. Count what each buffer and constant is read and written (traffic.py), and the cycles of that in
   each region that may hold it.
2. Assign regions at the least cycles within what each has free (assign.py).
3. Give the buffers of each region offsets of their own (plan.py). Where they take more than is
   free, that is as much less for step 2, and after a few rounds none of them lie there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.memory.assign import Assignment, Item, assign
from codegen.memory.liveness import Interval, peak_bytes, round_up
from codegen.memory.plan import offsets, placements
from codegen.memory.tighten import height
from codegen.memory.timeline import Timeline, timeline
from codegen.memory.traffic import Access, Traffic, traffic
from codegen.memory_plan import ARENA, SCRATCH, MemoryPlan, RegionUse
from codegen.program import Constant, Program, arrays_bytes
from codegen.target import HOLDS, Region, Target

_ROUNDS = 6
_KINDS = {"state": "state", "shared": "state", "copy": "copies"}
#: The region of copies that are better not made: `settle` leaves them out.
NO_COPY = ""

_PADDING_BYTES = 32  # in front of a region's sections of arena and weights


def place(plan: MemoryPlan, target: Target) -> MemoryPlan:
    """The plan with its arena in `target.arena`; whether it fits there is `fit`'s question."""

    def region(name: str) -> str:
        return target.arena if name == ARENA else name

    return replace(
        plan,
        placements=tuple(
            tuple(replace(each, region=region(each.region)) for each in row)
            for row in plan.placements
        ),
        arena_bytes=tuple((region(name), size) for name, size in plan.arena_bytes),
    )


def spread(
    programs: Sequence[Program],
    plan: MemoryPlan,
    target: Target,
    taken: Mapping[str, int],
    runs: Sequence[int],
) -> MemoryPlan:
    """The plan over all regions that may hold a part of it, `taken` bytes of each being others'.

    Program n runs `runs[n]` times. The result may exceed a region; that is `fit`'s question.
    """
    choices = {what: target.holding(what) for what in HOLDS}
    if not any(region.holds for region in target.regions):
        return place(plan, target)
    problem = _Problem(programs, choices, runs)
    rooms = {
        region.name: region.available_bytes
        - taken.get(region.name, 0)
        - (region.alignment_bytes + _PADDING_BYTES)
        for region in target.regions
        if any(region in regions for regions in choices.values())
    }
    left = dict(rooms)
    for number in range(_ROUNDS):
        found = problem.assigned({name: max(0, room) for name, room in left.items()})
        arenas = problem.arenas(found)
        over = {
            name: arenas.get(name, _EMPTY).size_bytes + problem.weights_bytes(found, name) - room
            for name, room in rooms.items()
        }
        full = {name: bytes_ for name, bytes_ in over.items() if bytes_ > 0}
        if found.excess_bytes or not full:
            break
        patient = number < _ROUNDS - 2  # at last such a region is left empty
        left |= {name: left[name] - bytes_ if patient else 0 for name, bytes_ in full.items()}
    return problem.planned(plan, target, found, arenas, rooms)


@dataclass(frozen=True)
class _Arena:
    """Offsets of the needs at `positions`."""

    positions: tuple[int, ...]
    offsets: tuple[int, ...]
    size_bytes: int
    peak_bytes: int


_EMPTY = _Arena((), (), 0, 0)


class _Problem:
    """Needs and constants with what they cost in each region that may hold them."""

    def __init__(
        self,
        programs: Sequence[Program],
        choices: Mapping[str, Sequence[Region]],
        runs: Sequence[int],
    ) -> None:
        self.time, self.choices = timeline(programs), choices
        found = [traffic(program, n) for program, n in zip(programs, runs, strict=True)]
        self.accesses = _need_accesses(self.time, found)
        self.constants: list[tuple[int, Constant]] = []
        needs, whole = self.time.needs, _span(self.time.needs)
        kinds = _kinds(programs, self.time)
        self.items = [
            Item(
                need.padded_bytes,
                need.first_use,
                need.last_use,
                self._costs(kinds[position], access),
                need.may_cover,
            )
            for position, (need, access) in enumerate(zip(needs, self.accesses, strict=True))
        ]
        for number, program in enumerate(programs):
            for constant in program.constants:
                access = found[number].constants.get(constant.name, Access())
                self.constants.append((number, constant))
                self.accesses.append(access)
                size = round_up(constant.size_bytes, 8)  # wherever arrays of 8 bytes stand
                self.items.append(Item(size, *whole, self._costs("weights", access)))

    def _costs(self, kind: str, access: Access) -> dict[str, float]:
        """Cycles by region; what a copy saves may be less than its bytes are worth."""
        read, written = access.read_bytes, access.written_bytes
        costs = {region.name: region.cycles(read, written) for region in self.choices[kind]}
        if kind == "copies":
            costs[NO_COPY] = self.choices["weights"][0].cycles(read, 0)
        return costs

    def assigned(self, rooms: Mapping[str, int]) -> Assignment:
        """Regions for all items."""
        return assign(self.items, rooms)

    def arenas(self, found: Assignment) -> dict[str, _Arena]:
        """The arena of each region that holds any of the needs."""
        needs, arenas = self.time.needs, {}
        for name in dict.fromkeys(found.regions[: len(needs)]):
            positions = tuple(i for i in range(len(needs)) if found.regions[i] == name)
            here = [_within(needs[i], set(positions)) for i in positions]
            at = offsets(here).offsets
            arenas[name] = _Arena(positions, at, height(here, at), peak_bytes(here))
        return arenas

    def weights_bytes(self, found: Assignment, name: str) -> int:
        """Bytes of the constants in a region."""
        regions = found.regions[len(self.time.needs) :]
        there = zip(self.constants, regions, strict=True)
        return arrays_bytes(constant for (_, constant), region in there if region == name)

    def planned(
        self,
        plan: MemoryPlan,
        target: Target,
        found: Assignment,
        arenas: Mapping[str, _Arena],
        rooms: Mapping[str, int],
    ) -> MemoryPlan:
        """The plan with these regions and offsets."""
        needs = self.time.needs
        at = [0] * len(needs)
        for arena in arenas.values():
            for position, offset in zip(arena.positions, arena.offsets, strict=True):
                at[position] = offset
        moved: list[list[tuple[str, str]]] = [[] for _ in self.time.local]
        places = zip(self.constants, found.regions[len(needs) :], strict=True)
        for (number, constant), name in places:
            if name != target.constants:
                moved[number].append((constant.name, name))
        order = [*(r.name for r in target.regions), NO_COPY]
        sizes = sorted(
            ((name, arena.size_bytes) for name, arena in arenas.items()),
            key=lambda each: order.index(each[0]),
        )
        return replace(
            plan,
            placements=placements(self.time, at, found.regions),
            arena_bytes=tuple(sizes),
            optimal=all(arena.size_bytes == arena.peak_bytes for arena in arenas.values()),
            uses=tuple(
                self._use(target.region(name), found, arenas.get(name, _EMPTY), rooms[name])
                for name in order
                if name in found.regions and name != NO_COPY
            ),
            weights=tuple(map(tuple, moved)),
            assignment_gap=found.gap,
            own_cycles=math.ceil(sum(next(iter(item.costs.values())) for item in self.items)),
        )

    def _use(self, region: Region, found: Assignment, arena: _Arena, room: int) -> RegionUse:
        total = Access()
        for access, name in zip(self.accesses, found.regions, strict=True):
            total += access if name == region.name else Access()
        return RegionUse(
            region.name,
            arena.size_bytes,
            arena.peak_bytes,
            self.weights_bytes(found, region.name),
            max(0, room),
            total.read_bytes,
            total.written_bytes,
            math.ceil(region.cycles(total.read_bytes, total.written_bytes)),
        )


def _within(need: Interval, here: set[int]) -> Interval:
    """A need among those of its region only."""
    return replace(need, may_cover=tuple(source for source in need.may_cover if source in here))


def _need_accesses(time: Timeline, found: Sequence[Traffic]) -> list[Access]:
    """What each need is read and written, by all programs that have it."""
    accesses = [Access() for _ in time.needs]
    for each, needs, where in zip(found, time.local, time.where, strict=True):
        for need, position in zip(needs, where, strict=True):
            scratch = need.buffer == SCRATCH
            of = each.scratch.get(need.first_use) if scratch else each.buffers.get(need.buffer)
            accesses[position] += of or Access()
    return accesses


def _kinds(programs: Sequence[Program], time: Timeline) -> list[str]:
    """Which of HOLDS each need is."""
    kinds = ["arena"] * len(time.needs)
    for program, needs, where in zip(programs, time.local, time.where, strict=True):
        for need, position in zip(needs, where, strict=True):
            if need.buffer != SCRATCH:
                kinds[position] = _KINDS.get(program.buffers[need.buffer].role, "arena")
    return kinds


def _span(needs: Sequence[Interval]) -> tuple[int, int]:
    first = min((need.first_use for need in needs), default=0)
    return first, max((need.last_use for need in needs), default=0)
