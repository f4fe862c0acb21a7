# SPDX-License-Identifier: Apache-2.0
"""Gives every buffer an offset: first fit in several orders, then a short search, best taken.

First fit in the order of an optimal plan's offsets gives a plan as good, so the search is over
orders alone: what lies on top moves forward (Joslin and Clements, "Squeaky Wheel Optimization",
1999). The seed is fixed and the number of tries depends on the input alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from codegen.memory.liveness import Interval, peak_bytes, round_up
from codegen.memory.timeline import timeline
from codegen.memory_plan import ALIGNMENT_BYTES, ARENA, MemoryPlan, Placement
from codegen.program import Program

_SEARCH_STEPS = 200_000  # placements tried beyond the fixed orders: about a second


def plan(programs: Sequence[Program], *, unmodified_peak_bytes: int = 0) -> MemoryPlan:
    """One arena for all programs, which run one after another in this order.

    Raises StapesError where two programs give one state or shared buffer different sizes.
    """
    time = timeline(programs)
    at = offsets(time.needs)
    end = max((at[i] + need.size_bytes for i, need in enumerate(time.needs)), default=0)
    placements = tuple(
        tuple(
            Placement(
                number,
                need.buffer,
                need.name,
                ARENA,
                at[position],
                need.size_bytes,
                need.first_use,
                need.last_use,
            )
            for need, position in zip(needs, row, strict=True)
        )
        for number, (needs, row) in enumerate(zip(time.local, time.where, strict=True))
    )
    arena = round_up(end, ALIGNMENT_BYTES)
    return MemoryPlan(placements, ((ARENA, arena),), peak_bytes(time.needs), unmodified_peak_bytes)


def offsets(needs: Sequence[Interval]) -> tuple[int, ...]:
    """An offset for each need, so that no two that live together overlap."""
    if not needs:
        return ()
    problem = _Problem(needs)
    bound = peak_bytes(needs)
    best: list[int] = []
    best_order: list[int] = []
    best_height = -1
    for order in _orders(needs):
        found = problem.first_fit(order)
        height = problem.height(found)
        if best_height < 0 or height < best_height:
            best, best_order, best_height = found, order, height
        if best_height == bound:
            return tuple(best)
    return tuple(_search(problem, best_order, best, bound))


class _Problem:
    """The needs with, for each, those that live at the same time."""

    def __init__(self, needs: Sequence[Interval]) -> None:
        self.sizes = [need.padded_bytes for need in needs]
        self.alignments = [need.alignment_bytes for need in needs]
        self.together: list[list[int]] = [[] for _ in needs]
        self.partners: list[set[int]] = [set() for _ in needs]
        live: list[int] = []
        for new in sorted(range(len(needs)), key=lambda i: needs[i].first_use):
            live = [old for old in live if needs[old].last_use >= needs[new].first_use]
            for old in live:
                self.together[new].append(old)
                self.together[old].append(new)
            live.append(new)
        where = {need.buffer: i for i, need in enumerate(needs) if need.buffer >= 0}
        for output, need in enumerate(needs):
            for source in need.may_cover:
                if source in where:
                    self.partners[output].add(where[source])
                    self.partners[where[source]].add(output)

    def first_fit(self, order: Sequence[int]) -> list[int]:
        """Place each need of `order` as low as those before it let it."""
        found = [-1] * len(self.sizes)
        for item in order:
            busy = sorted(
                (found[other], found[other] + self.sizes[other], other)
                for other in self.together[item]
                if found[other] >= 0
            )
            found[item] = self._lowest(item, busy)
        return found

    def _lowest(self, item: int, busy: list[tuple[int, int, int]]) -> int:
        size, alignment = self.sizes[item], self.alignments[item]
        offset = 0
        for start, end, _ in busy:
            if start >= offset + size:
                break
            offset = max(offset, round_up(end, alignment))
        for start, _, other in busy:
            if (
                other in self.partners[item]
                and start < offset
                and start % alignment == 0
                and not any(s < start + size and start < e for s, e, o in busy if o != other)
            ):
                return start
        return offset

    def height(self, found: Sequence[int]) -> int:
        """The bytes that the offsets take."""
        return max(offset + size for offset, size in zip(found, self.sizes, strict=True))


def _orders(needs: Sequence[Interval]) -> Iterator[list[int]]:
    """Orders that are known to serve well, the usual winner first."""
    indices = range(len(needs))

    def length(i: int) -> int:
        return needs[i].last_use - needs[i].first_use + 1

    def size(i: int) -> int:
        return needs[i].padded_bytes

    yield sorted(indices, key=lambda i: (-size(i), needs[i].first_use))
    yield sorted(indices, key=lambda i: (-size(i) * length(i), needs[i].first_use))
    yield sorted(indices, key=lambda i: (-length(i), -size(i)))
    yield sorted(indices, key=lambda i: (needs[i].first_use, -size(i)))
    yield sorted(indices, key=lambda i: (-needs[i].last_use, -size(i)))
    changes: dict[int, int] = {}
    for need in needs:
        changes[need.first_use] = changes.get(need.first_use, 0) + need.padded_bytes
        changes[need.last_use + 1] = changes.get(need.last_use + 1, 0) - need.padded_bytes
    pressure: list[tuple[int, int]] = []
    live = 0
    for time in sorted(changes):
        live += changes[time]
        pressure.append((-live, time))
    order: dict[int, None] = {}
    for _, time in sorted(pressure)[:64]:
        alive = [i for i in indices if needs[i].first_use <= time <= needs[i].last_use]
        order.update(dict.fromkeys(sorted(alive, key=lambda i: -size(i))))
    yield [*order, *(i for i in indices if i not in order)]


def _search(problem: _Problem, order: list[int], best: list[int], bound: int) -> list[int]:
    """Move what lies on top forward in the order, keeping what is no worse."""
    chance = random.Random(0)
    order = list(order)
    height = problem.height(best)
    neighbours = sum(map(len, problem.together)) + len(order)
    for _ in range(min(2000, _SEARCH_STEPS // neighbours)):
        tops = [i for i in order if best[i] + problem.sizes[i] == height]
        item = chance.choice(tops) if chance.random() < 0.8 else chance.choice(order)
        place = order.index(item)
        trial = order[:place] + order[place + 1 :]
        trial.insert(chance.randint(0, place), item)
        found = problem.first_fit(trial)
        if problem.height(found) <= height:
            order, best, height = trial, found, problem.height(found)
        if height == bound:
            break
    return best
