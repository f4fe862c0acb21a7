# SPDX-License-Identifier: Apache-2.0
"""Blocks of bytes and the sections of time that decide whether they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Block:
    """Bytes that share one offset: pieces (first time, last time, bytes), both times included.

    A piece begins where the one before it ends or later, and is no larger.
    """

    pieces: tuple[tuple[int, int, int], ...]

    @property
    def first(self) -> int:
        """When it begins to live."""
        return self.pieces[0][0]

    @property
    def last(self) -> int:
        """When it lives for the last time."""
        return self.pieces[-1][1]

    @property
    def least_bytes(self) -> int:
        """The bytes of its smallest piece."""
        return self.pieces[-1][2]

    @property
    def most_bytes(self) -> int:
        """The bytes of its largest piece."""
        return self.pieces[0][2]

    @property
    def area(self) -> int:
        """Bytes times the time that they live."""
        return sum((last - first + 1) * size for first, last, size in self.pieces)

    def bytes_at(self, time: int) -> int:
        """The bytes that it takes at a time at which it lives."""
        return next(size for _, last, size in self.pieces if time <= last)


@dataclass(frozen=True)
class Sections:
    """The times at which sets of blocks meet that no other time's set contains, in order.

    `blocks` are sorted by their least bytes, so that the lowest bit of a set of them (bit i is
    blocks[i]) is the smallest; `given[i]` is where it stood before. `heights[i]` are the bytes
    of blocks[i] in each of its sections, from section `first[i]` to section `last[i]`.
    """

    blocks: tuple[Block, ...]
    given: tuple[int, ...]
    alive: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    heights: tuple[tuple[int, ...], ...]

    @cached_property
    def loads(self) -> tuple[int, ...]:
        """The bytes that live in each section."""
        loads = [0] * len(self.alive)
        for first, heights in zip(self.first, self.heights, strict=True):
            for section, height in enumerate(heights, first):
                loads[section] += height
        return tuple(loads)


def sections(blocks: Sequence[Block]) -> Sections:
    """The sections of blocks, of which there is one at least."""
    given = sorted(range(len(blocks)), key=lambda i: (blocks[i].least_bytes, blocks[i].pieces))
    blocks = [blocks[i] for i in given]
    by_start = sorted(range(len(blocks)), key=lambda i: blocks[i].first)
    found: list[dict[int, int]] = []
    live: list[int] = []
    begun = 0
    # Between two of these times blocks only end.
    for time in sorted({piece[0] for block in blocks for piece in block.pieces}):
        while begun < len(blocks) and blocks[by_start[begun]].first <= time:
            live.append(by_start[begun])
            begun += 1
        live = [i for i in live if blocks[i].last >= time]
        section = {i: blocks[i].bytes_at(time) for i in live}
        while found and _within(found[-1], section):
            found.pop()
        if not (found and _within(section, found[-1])):
            found.append(section)
    heights: list[list[int]] = [[] for _ in blocks]
    first = [0] * len(blocks)
    for number, section in enumerate(found):
        for i, height in section.items():
            if not heights[i]:
                first[i] = number
            heights[i].append(height)
    return Sections(
        tuple(blocks),
        tuple(given),
        tuple(sum(1 << i for i in section) for section in found),
        tuple(first),
        tuple(start + len(each) - 1 for start, each in zip(first, heights, strict=True)),
        tuple(map(tuple, heights)),
    )


def _within(small: dict[int, int], large: dict[int, int]) -> bool:
    return len(small) <= len(large) and all(large.get(i, 0) >= size for i, size in small.items())
