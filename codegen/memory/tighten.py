# SPDX-License-Identifier: Apache-2.0
"""Fewer bytes than given offsets take: a search at the lower bound, then between both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from codegen.memory.liveness import Interval, peak_bytes, round_up
from codegen.memory.search import Found, search
from codegen.memory.sections import Block, sections
from codegen.memory_plan import ALIGNMENT_BYTES

_NODES = 600_000  # of all searches together: some ten seconds
_NEEDS = 400  # with more of them a node takes longer, and there are fewer


@dataclass(frozen=True)
class Arrangement:
    """An offset for each need; `optimal` where it is proved that none take fewer bytes.

    `nodes` is what was looked at to find them, 0 where no search was needed.
    """

    offsets: tuple[int, ...]
    optimal: bool
    nodes: int = 0


def height(needs: Sequence[Interval], offsets: Sequence[int]) -> int:
    """The bytes that needs take at these offsets."""
    ends = (at + need.padded_bytes for at, need in zip(offsets, needs, strict=True))
    return max(ends, default=0)


def tighten(needs: Sequence[Interval], offsets: Sequence[int]) -> Arrangement:
    """Offsets that take no more bytes than the given ones, and whether fewer are impossible.

    An output that may cover an input either shares its offset or is kept apart. Sizes are rounded
    up to the largest alignment. So an exhausted search proves something only where neither matters.
    """
    bound = peak_bytes(needs)
    unit = max(need.alignment_bytes for need in needs)
    rounded = [replace(need, size_bytes=round_up(need.size_bytes, unit)) for need in needs]
    step = math.gcd(unit if unit > ALIGNMENT_BYTES else 0, *(n.padded_bytes for n in rounded))
    exact = unit <= ALIGNMENT_BYTES and not any(need.may_cover for need in needs)
    best = tuple(offsets)
    least = guess = bound  # what is proved, and what is hoped for
    nodes = _NODES * _NEEDS // max(_NEEDS, len(needs))
    used, share, capacity = 0, nodes // 2, bound
    while guess < height(needs, best) and used < nodes:
        found = _within(rounded, capacity, share)
        used += found.nodes
        if found.offsets is not None:
            best = found.offsets
        else:
            guess = capacity + step
            least = guess if exact and found.exhausted else least
        share = nodes // 16
        capacity = guess + (height(needs, best) - guess) // 2 // step * step
    return Arrangement(best, height(needs, best) <= least, used)


def _within(needs: Sequence[Interval], capacity_bytes: int, nodes: int) -> Found:
    """Offsets of the needs: outputs cover inputs wherever they may, or only where they have to."""
    ways = list(dict.fromkeys((_covers(needs, 0), _covers(needs, capacity_bytes))))
    used, exhausted = 0, True
    for covers in ways:
        chains = _chains(len(needs), dict(covers))
        blocks = [
            Block(
                tuple((needs[i].first_use, needs[i].last_use, needs[i].padded_bytes) for i in row)
            )
            for row in chains
        ]
        found = search(sections(blocks), capacity_bytes, nodes // len(ways))
        used, exhausted = used + found.nodes, exhausted and found.exhausted
        if found.offsets is not None:
            at = {i: offset for row, offset in zip(chains, found.offsets, strict=True) for i in row}
            return Found(tuple(at[i] for i in range(len(needs))), False, used)
    return Found(None, exhausted, used)


def _covers(needs: Sequence[Interval], most_bytes: int) -> tuple[tuple[int, int], ...]:
    """Pairs of an input and the output that covers it, at times when more than this lives."""
    at = {need.buffer: i for i, need in enumerate(needs) if need.buffer >= 0}
    pairs: dict[int, int] = {}
    for output in sorted(range(len(needs)), key=lambda i: needs[i].first_use):
        time, size = needs[output].first_use, needs[output].padded_bytes
        sources = [
            i
            for i in (at[buffer] for buffer in needs[output].may_cover if buffer in at)
            if i not in pairs and needs[i].last_use == time and needs[i].padded_bytes >= size
        ]
        if not sources:
            continue
        live = sum(n.padded_bytes for n in needs if n.first_use <= time <= n.last_use)
        if live > most_bytes:
            pairs[max(sources, key=lambda i: needs[i].padded_bytes)] = output
    return tuple(pairs.items())


def _chains(count: int, covers: dict[int, int]) -> list[list[int]]:
    """Each need with the one that covers it, and the one that covers that."""
    chains = []
    for head in sorted(set(range(count)) - set(covers.values())):
        chain = [head]
        while chain[-1] in covers:
            chain.append(covers[chain[-1]])
        chains.append(chain)
    return chains
