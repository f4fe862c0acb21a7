# SPDX-License-Identifier: Apache-2.0
"""Searches for offsets within a capacity, and can prove that there are none.

The ideas are those of Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-
Accelerated Machine Learning" (ASPLOS 2023): sections of time, solutions from the bottom up only,
floors that show early that a section overflows, parts without a common block solved apart,
several preorders. What is tried next is chosen otherwise:

1. Each section has a floor, below which nothing more is placed, and slack, the bytes that it can
   waste. A niche is a longest run of sections at one floor between higher ones.
2. A block that lies within the niche can stand on its floor; any other must lie at least as high
   as the lower wall. A section that no block within the niche lives in is raised to that wall.
3. Branch on one section of a niche: one of its blocks stands on the floor, or none does and the
   section wastes bytes up to the next height at which something could bear a block. The section
   with the fewest ways goes first, divided by how often it failed (Boussemart et al., "Boosting
   Systematic Search by Weighting Constraints", ECAI 2004).
4. Where no block crosses a border between sections any more, both sides are solved one after
   the other; if one fails, nothing that the other did is tried again.
5. What failed is remembered as the blocks left and their floors, also over restarts.

Tries are limited by nodes, not by time, and choose with a fixed seed: the same input gives the same
offsets.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codegen.memory.sections import Block, Sections

_FAR = 1 << 62  # the walls at the ends of a part
_FIRST_NODES = 2000  # of the first try; each further one has a twentieth more
_NOISE = 1.0  # of the preorder, from the second round on
_REMEMBERED = 30_000_000  # floors in failures (240 MB at most); then all are forgotten
_SUMMED = 4  # blocks of a section that are summed up against its wall

#: One preorder a try, in turn: of a block and its number of sections, the largest goes first.
_PREORDERS: tuple[Callable[[Block, int], int], ...] = (
    lambda block, sections: block.area,
    lambda block, sections: sections,
    lambda block, sections: block.most_bytes,
    lambda block, sections: block.most_bytes * sections,
)

#: Urgency (least first), first and last section, the section to branch on, the blocks that may
#: stand there, the bytes to waste where none does (0 where it can't).
_Niche = tuple[float, int, int, int, int, int]


@dataclass(frozen=True)
class Found:
    """`offsets` of the blocks as they were given to `sections`; None where none were found.

    Then `exhausted` says that there are none; otherwise `nodes` were not enough.
    """

    offsets: tuple[int, ...] | None
    exhausted: bool
    nodes: int


def search(sections: Sections, capacity_bytes: int, nodes: int) -> Found:
    """Offsets so that nothing ends above `capacity_bytes`, looked for in at most `nodes` nodes."""
    if max(sections.loads) > capacity_bytes:
        return Found(None, True, 0)
    state = _Search(sections, capacity_bytes)
    limit = _FIRST_NODES
    used = 0
    while True:
        found = state.descend(min(limit, nodes - used))
        used += found.nodes
        if found.offsets is not None or found.exhausted or used >= nodes:
            return Found(found.offsets, found.exhausted, used)
        limit += limit // 20
        state.restart()


@dataclass(slots=True)
class _Part:
    """Sections `first` to `last`, which no block leaves; made by a choice of frame `maker`."""

    first: int
    last: int
    niches: dict[int, _Niche]
    maker: int


@dataclass(slots=True)
class _State:
    """Floor and slack of each section and the set of blocks that are left."""

    floors: list[int]
    slack: list[int]
    left: int


@dataclass(slots=True)
class _Frame:
    """A state, the parts to solve, and how the first of them may go on.

    A choice is a block, or the negated bytes that the section wastes.
    """

    state: _State
    part: _Part
    waiting: tuple[_Part, ...]
    start: int
    section: int
    choices: list[int]
    chosen: tuple[int, int] = (-1, 0)


def _twins(sections: Sections) -> list[int]:
    """For each block the equal ones before it: they go first."""
    seen: dict[tuple[int, tuple[int, ...]], int] = {}
    twins = []
    for i, key in enumerate(zip(sections.first, sections.heights, strict=True)):
        twins.append(seen.get(key, 0))
        seen[key] = twins[-1] | 1 << i
    return twins


class _Search:
    """What stays over restarts: the weights of sections, and what failed."""

    def __init__(self, sections: Sections, capacity_bytes: int) -> None:
        count = len(sections.alive)
        self.sections = sections
        self.capacity = capacity_bytes
        self.least = [block.least_bytes for block in sections.blocks]
        self.most = [block.most_bytes for block in sections.blocks]
        self.since = [0] * count  # the blocks that begin in this section or later
        self.until = [0] * count  # the blocks that end in this section or earlier
        for i, (first, last) in enumerate(zip(sections.first, sections.last, strict=True)):
            for section in range(first + 1):
                self.since[section] |= 1 << i
            for section in range(last, count):
                self.until[section] |= 1 << i
        alive = sections.alive
        self.crossing = [a & b for a, b in itertools.pairwise(alive)]
        self.twins = _twins(sections)
        self.weights = [1.0] * count
        self.failed: set[tuple[int, tuple[int, ...]]] = set()
        self.remembered = max(1, _REMEMBERED // count)
        self.random = random.Random(0)
        self.tries = 0
        self._set_preorder()

    def restart(self) -> None:
        """Another preorder; what failed before weighs half."""
        self.tries += 1
        self._set_preorder()
        self.weights = [(weight + 1) / 2 for weight in self.weights]

    def _set_preorder(self) -> None:
        rank = _PREORDERS[self.tries % len(_PREORDERS)]
        pairs = zip(self.sections.blocks, self.sections.heights, strict=True)
        self.preorder = [rank(block, len(heights)) for block, heights in pairs]
        self.noise = _NOISE if self.tries >= len(_PREORDERS) else 0.0

    def descend(self, limit: int) -> Found:
        """One try of at most `limit` nodes, depth first."""
        slack = [self.capacity - load for load in self.sections.loads]
        state = _State([0] * len(slack), slack, (1 << len(self.least)) - 1)
        whole = _Part(0, len(slack) - 1, {}, -1)
        parts = self._divided(state, whole, [0], -1)
        if parts is None:
            return Found(None, True, 0)
        stack = [self._frame(state, parts)]
        visited = 0
        while stack:
            frame = stack[-1]
            if not frame.choices:
                if len(self.failed) == self.remembered:
                    self.failed.clear()
                self.failed.add(self._key(frame.state, frame.part))
                del stack[frame.part.maker + 1 :]
                continue
            if visited == limit:
                return Found(None, False, visited)
            visited += 1
            state, parts = self._chosen(frame, len(stack) - 1)
            if not state.left:
                return Found(self._offsets(stack), False, visited)
            if parts is not None:
                stack.append(self._frame(state, (*parts, *frame.waiting)))
        return Found(None, True, visited)

    def _offsets(self, stack: Sequence[_Frame]) -> tuple[int, ...]:
        found = {
            self.sections.given[block]: at
            for block, at in (frame.chosen for frame in stack)
            if block >= 0
        }
        return tuple(found[i] for i in range(len(found)))

    def _frame(self, state: _State, parts: Sequence[_Part]) -> _Frame:
        """Branch on the most urgent niche of the first part."""
        part = parts[0]
        _, start, _, section, blocks, waste = min(part.niches.values())
        choices = []
        while blocks:
            lowest = blocks & -blocks
            if not self.twins[lowest.bit_length() - 1] & state.left:
                choices.append(lowest.bit_length() - 1)
            blocks ^= lowest
        if len(choices) > 1:
            chance, preorder, noise = self.random.random, self.preorder, self.noise
            choices.sort(key=lambda i: preorder[i] * (1 + noise * chance()))
        if waste:
            choices.insert(0, -waste)
        return _Frame(state, part, tuple(parts[1:]), start, section, choices)

    def _chosen(self, frame: _Frame, depth: int) -> tuple[_State, list[_Part] | None]:
        """The state after the frame's next choice and what its part became; None if that fails."""
        choice, section, part = frame.choices.pop(), frame.section, frame.part
        floors, slack, left = frame.state.floors[:], frame.state.slack[:], frame.state.left
        niches = part.niches.copy()
        del niches[frame.start]
        floor = floors[section]
        frame.chosen = (choice, floor)
        apart = False
        if choice < 0:
            floors[section] -= choice
            slack[section] += choice
            begin = end = section
            seeds = [section]
        else:
            left ^= 1 << choice
            begin, end = self.sections.first[choice], self.sections.last[choice]
            heights = self.sections.heights[choice]
            floors[begin : end + 1] = [floor + height for height in heights]
            seeds = [begin]
            if heights[0] != heights[-1]:
                seeds = list(range(begin, end + 1))
            alive, crossing = self.sections.alive, self.crossing[begin:end]
            apart = (
                not left & alive[begin]
                or not left & alive[end]
                or not all(left & blocks for blocks in crossing)
            )
        if begin > part.first:
            seeds.append(begin - 1)
        if end < part.last:
            seeds.append(end + 1)
        state = _State(floors, slack, left)
        after = _Part(part.first, part.last, niches, depth)
        if apart:
            return state, self._divided(state, after, seeds, depth)
        return state, [after] if self._settled(state, after, seeds) else None

    def _divided(
        self, state: _State, part: _Part, seeds: Sequence[int], maker: int
    ) -> list[_Part] | None:
        """The part cut where no block crosses any more, settled, the most urgent first."""
        alive, crossing, left = self.sections.alive, self.crossing, state.left
        found = []
        first = part.first
        for last in range(part.first, part.last + 1):
            if last < part.last and left & crossing[last]:
                continue
            if left & alive[first]:
                ends = (first, last)
                inside = [seed for seed in seeds if first <= seed <= last]
                niches = {
                    start: niche
                    for start, niche in part.niches.items()
                    if first <= start and niche[2] <= last
                }
                piece = _Part(first, last, niches, maker)
                if not self._settled(state, piece, [*inside, *ends]):
                    return None
                found.append(piece)
            first = last + 1
        found.sort(key=lambda each: min(each.niches.values()))
        return found

    def _key(self, state: _State, part: _Part) -> tuple[int, tuple[int, ...]]:
        first, last = part.first, part.last
        left = state.left & self.since[first] & self.until[last]
        return left, tuple(state.floors[first : last + 1])

    def _settled(self, state: _State, part: _Part, seeds: list[int]) -> bool:
        """Raise floors until each niche at the sections `seeds` has a block for every section.

        False where a section would waste more than it can, or where this failed before.
        """
        if self._key(state, part) in self.failed:
            return False
        floors, slack, niches = state.floors, state.slack, part.niches
        first, last = part.first, part.last
        while seeds:
            start = end = seeds.pop()
            floor = floors[start]
            while start > first and floors[start - 1] == floor:
                start -= 1
            while end < last and floors[end + 1] == floor:
                end += 1
            before = floors[start - 1] if start > first else _FAR
            behind = floors[end + 1] if end < last else _FAR
            wall = min(before, behind)
            if wall < floor:
                continue
            within = state.left & self.since[start] & self.until[end]
            empty = [s for s in range(start, end + 1) if not within & self.sections.alive[s]]
            if not empty:
                niche = self._niche(state, start, end, wall, within)
                if niche is None:
                    return False
                niches[start] = niche
                continue
            niches.pop(start, None)
            for section in empty:
                if slack[section] < wall - floor:
                    self.weights[section] += 1
                    return False
                slack[section] -= wall - floor
                floors[section] = wall
            if len(empty) > end - start:
                seeds.append(start)
            else:
                borders = (start - 1, *empty)
                seeds += [s + 1 for s in borders if s < end and floors[s + 1] == floor]
        return True

    def _niche(self, state: _State, start: int, end: int, wall: int, within: int) -> _Niche | None:
        """The section of a niche with the fewest ways to go on; None where one has none."""
        slack, alive, least, most = state.slack, self.sections.alive, self.least, self.most
        weights = self.weights
        room = wall - state.floors[start]
        best: _Niche | None = None
        for section in range(start, end + 1):
            blocks = within & alive[section]
            ways = blocks.bit_count()
            if ways <= _SUMMED and wall < _FAR:
                reach = slack[section]
                rest = blocks
                while rest:
                    lowest = rest & -rest
                    reach += most[lowest.bit_length() - 1]
                    rest ^= lowest
                if reach < room:
                    weights[section] += 1
                    return None
            waste = room
            others = within ^ blocks
            if others:
                waste = min(waste, least[(others & -others).bit_length() - 1])
            if slack[section] < waste:
                waste = 0
                ways -= 1
            urgency = ways / weights[section]
            if best is None or urgency < best[0]:
                best = (urgency, start, end, section, blocks, waste)
        return best
