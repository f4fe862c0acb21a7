# SPDX-License-Identifier: Apache-2.0
"""Which region each item goes to, at the least cost: an integer program, solved by HiGHS.

An item lives from a first to a last point in time and costs something in each region that may hold
it. x[i, r] says whether item i lies in region r; it is 0 or 1:

    minimise    sum of cost[i, r] * x[i, r]
    subject to  sum over r of x[i, r] = 1                        for each item
                sum over the items i alive at t of size[i] * x[i, r] <= room[r]
                                                                 for each region and time
    and, for an output o that may cover an input s where it is made (then both count once):
                z[o, s, r] <= x[o, r], z[o, s, r] <= x[s, r], each o and s once,
                with size[o] * z[o, s, r] taken off the sum at that time

Only times at which something ends are asked about, where something began since the last one: what
lives at others lives there, too. The search is limited by nodes, never by seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_NODES = 500
_GAP = 1e-3
_UNKNOWN = 1.0  # the gap where nothing is known of others
_UNIT = 16  # bytes that rows count in


@dataclass(frozen=True)
class Item:
    """`costs` are by region that may hold it; `covers` are the items that it may lie on."""

    size_bytes: int
    first_use: int
    last_use: int
    costs: Mapping[str, float]
    covers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """A region for each item; another assignment is cheaper by the share `gap` at most.

    `excess_bytes` are those by which it exceeds the rooms, if it had to.
    """

    regions: tuple[str, ...]
    gap: float
    excess_bytes: int = 0


def assign(items: Sequence[Item], rooms: Mapping[str, int]) -> Assignment:
    """The cheapest assignment within the bytes of each room, or the one that exceeds them least."""
    cheapest = tuple(min(item.costs, key=lambda r: (item.costs[r], r)) for item in items)
    if all(peak(items, cheapest, name) <= room for name, room in rooms.items()):
        return Assignment(cheapest, 0.0)
    found = _Problem(items, rooms).solve()
    return found or _Problem(items, rooms, elastic=True).solve() or _first(items, rooms)


def _first(items: Sequence[Item], rooms: Mapping[str, int]) -> Assignment:
    """Each item in the first of its regions, whatever fits there."""
    regions = tuple(next(iter(item.costs)) for item in items)
    over = (peak(items, regions, name) - room for name, room in rooms.items())
    return Assignment(regions, _UNKNOWN, sum(max(0, each) for each in over))


def peak(items: Sequence[Item], regions: Sequence[str], name: str) -> int:
    """The most bytes of a region that live at any time, covered ones included."""
    changes: dict[int, int] = {}
    for item, region in zip(items, regions, strict=True):
        if region == name:
            changes[item.first_use] = changes.get(item.first_use, 0) + item.size_bytes
            changes[item.last_use + 1] = changes.get(item.last_use + 1, 0) - item.size_bytes
    live = most = 0
    for time in sorted(changes):
        live += changes[time]
        most = max(most, live)
    return most


class _Problem:
    """Variables and rows of the integer program; an elastic one may exceed rooms, at a cost."""

    def __init__(
        self, items: Sequence[Item], rooms: Mapping[str, int], *, elastic: bool = False
    ) -> None:
        self.items, self.elastic = items, elastic
        self.span = min(i.first_use for i in items), max(i.last_use for i in items)
        self.costs: list[float] = []
        self.upper: list[float] = []
        self.rows: list[tuple[list[tuple[int, float]], float, float]] = []
        self.x = {
            (index, region): self._variable(0.0 if elastic else cost)
            for index, item in enumerate(items)
            for region, cost in item.costs.items()
        }
        self.whole = len(self.costs)
        self.z = {
            (index, source, region): self._variable(0.0)
            for index, item in enumerate(items)
            for source in item.covers
            for region in item.costs
            if region in items[source].costs
        }
        self.excess: dict[str, int] = {}
        for index, item in enumerate(items):
            self._row([(self.x[index, region], 1.0) for region in item.costs], 1.0, 1.0)
        self._covering()
        for region, room in sorted(rooms.items()):
            self._capacity(region, room)

    def solve(self) -> Assignment | None:
        """The cheapest that a bounded search finds; None where it finds none."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        entries = [
            (row, column, value)
            for row, (terms, _, _) in enumerate(self.rows)
            for column, value in terms
        ]
        rows, columns, values = zip(*entries, strict=True)
        matrix = coo_array((values, (rows, columns)), shape=(len(self.rows), len(self.costs)))
        lower, upper = ([row[side] for row in self.rows] for side in (1, 2))
        found = milp(
            np.array(self.costs) / max(*self.costs, 1e-9),
            integrality=[1] * self.whole + [0] * (len(self.costs) - self.whole),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(matrix.tocsr(), lower, upper),
            options={"node_limit": _NODES, "mip_rel_gap": _GAP},
        )
        if found.x is None:
            return None
        chosen = tuple(self._chosen(index, found.x) for index in range(len(self.items)))
        excess = math.ceil(sum(found.x[column] for column in self.excess.values()) - 1e-6) * _UNIT
        gap = _UNKNOWN if self.elastic else min(_UNKNOWN, max(0.0, float(found.mip_gap or 0.0)))
        return Assignment(chosen, gap, excess)

    def _chosen(self, index: int, x: np.ndarray) -> str:
        return max(self.items[index].costs, key=lambda region: x[self.x[index, region]])

    def _variable(self, cost: float, most: float = 1.0) -> int:
        self.costs.append(cost)
        self.upper.append(most)
        return len(self.costs) - 1

    def _row(self, terms: list[tuple[int, float]], lower: float, upper: float) -> None:
        self.rows.append((terms, lower, upper))

    def _covering(self) -> None:
        once: dict[tuple[str, int], list[tuple[int, float]]] = {}
        for (output, source, region), z in self.z.items():
            for each in (output, source):
                self._row([(z, 1.0), (self.x[each, region], -1.0)], -math.inf, 0.0)
            once.setdefault(("output", output), []).append((z, 1.0))
            once.setdefault(("source", source), []).append((z, 1.0))
        for terms in once.values():
            if len(terms) > 1:
                self._row(terms, -math.inf, 1.0)

    def _capacity(self, region: str, room: int) -> None:
        able = [index for index, item in enumerate(self.items) if region in item.costs]
        if sum(self.items[index].size_bytes for index in able) <= room:
            return
        always = self._always(region, able)
        if self.elastic:
            self.excess[region] = self._variable(1.0, math.inf)
        for time in moments([self.items[index] for index in able]):
            terms = [(always, 1.0)]
            terms += [
                (self.x[index, region], self.items[index].size_bytes / _UNIT)
                for index in able
                if self.items[index].first_use <= time <= self.items[index].last_use
                and not self._lasting(index)
            ]
            terms += [
                (z, -self.items[output].size_bytes / _UNIT)
                for (output, _, place), z in self.z.items()
                if place == region and self.items[output].first_use == time
            ]
            terms += [(column, -1.0) for name, column in self.excess.items() if name == region]
            self._row(terms, -math.inf, room / _UNIT)

    def _always(self, region: str, able: Sequence[int]) -> int:
        """A variable that is the size of what lies in a region all the time."""
        total = self._variable(0.0, math.inf)
        terms = [
            (self.x[index, region], self.items[index].size_bytes / _UNIT)
            for index in able
            if self._lasting(index)
        ]
        self._row([*terms, (total, -1.0)], 0.0, 0.0)
        return total

    def _lasting(self, index: int) -> bool:
        """Whether an item lives at every time that is asked about."""
        first, last = self.span
        return self.items[index].first_use <= first and last <= self.items[index].last_use


def moments(items: Sequence[Item]) -> Iterator[int]:
    """The times at which what lives is not only part of what lives at another one."""
    starts = {item.first_use for item in items}
    ends = {item.last_use for item in items}
    began = False
    for time in sorted(starts | ends):
        began = began or time in starts
        if began and time in ends:
            yield time
            began = False
