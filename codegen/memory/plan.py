# SPDX-License-Identifier: Apache-2.0
"""Gives every buffer an offset: first fit in several orders; a search if all miss the bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.memory.liveness import Interval, peak_bytes, round_up
from codegen.memory.tighten import Arrangement, height, tighten
from codegen.memory.timeline import Timeline, timeline
from codegen.memory_plan import ARENA, MemoryPlan, Placement
from codegen.program import Program


def plan(programs: Sequence[Program], *, unmodified_peak_bytes: int = 0) -> MemoryPlan:
    """One arena for all programs, which run one after another in this order.

    Raises StapesError where two programs give one state or shared buffer different sizes.
    """
    time = timeline(programs)
    found = offsets(time.needs)
    at = found.offsets
    return MemoryPlan(
        placements(time, at, (ARENA,) * len(at)),
        ((ARENA, height(time.needs, at)),),
        peak_bytes(time.needs),
        unmodified_peak_bytes,
        found.optimal,
    )


def placements(
    time: Timeline, offsets: Sequence[int], regions: Sequence[str]
) -> tuple[tuple[Placement, ...], ...]:
    """Where each program's needs lie, given an offset and a region for each of the timeline's."""
    return tuple(
        tuple(
            Placement(
                number,
                need.buffer,
                need.name,
                regions[position],
                offsets[position],
                need.size_bytes,
                need.first_use,
                need.last_use,
            )
            for need, position in zip(needs, row, strict=True)
        )
        for number, (needs, row) in enumerate(zip(time.local, time.where, strict=True))
    )


def offsets(needs: Sequence[Interval]) -> Arrangement:
    """An offset for each need, so that no two that live together overlap."""
    if not needs:
        return Arrangement((), True)
    problem = _Problem(needs)
    bound = peak_bytes(needs)
    best: list[int] = []
    for order in _orders(needs):
        found = problem.first_fit(order)
        if not best or height(needs, found) < height(needs, best):
            best = found
        if height(needs, best) == bound:
            return Arrangement(tuple(best), True)
    return tighten(needs, best)


def by_size(needs: Sequence[Interval]) -> list[int]:
    """First fit, the largest first: what most planners do."""
    return _Problem(needs).first_fit(next(_orders(needs)))


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
