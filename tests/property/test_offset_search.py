# SPDX-License-Identifier: Apache-2.0
"""Searched offsets: sound, no worse than what was there, and as good as trying everything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.memory import tighten as tighten_module
from codegen.memory.liveness import Interval, peak_bytes
from codegen.memory.search import search
from codegen.memory.sections import Block, sections
from codegen.memory.tighten import height, tighten


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    first = draw(st.integers(0, 5))
    middle = draw(st.integers(first, min(6, first + 3)))
    size = draw(st.integers(1, 6))
    pieces = [(first, middle, size)]
    if draw(st.integers(0, 3)) == 0:
        pieces.append((middle, draw(st.integers(middle, 6)), draw(st.integers(1, size))))
    return Block(tuple(pieces))


def _conflict(one: Block, at: int, other: Block, there: int) -> int | None:
    """The first byte behind `other` that is free for `one`; None where they don't meet."""
    for time in range(max(one.first, other.first), min(one.last, other.last) + 1):
        end = there + other.bytes_at(time)
        if at < end and there < at + one.bytes_at(time):
            return end
    return None


def _optimum(some: Sequence[Block]) -> int:
    """The height of the best first fit over all orders, one of which is an optimal plan's."""
    best = sum(block.most_bytes for block in some)
    for order in permutations(some):
        placed: list[tuple[Block, int]] = []
        for block in order:
            at = 0
            while ends := [e for p in placed if (e := _conflict(block, at, *p)) is not None]:
                at = max(ends)
            placed.append((block, at))
        best = min(best, max(at + block.most_bytes for block, at in placed))
    return best


@settings(max_examples=150, deadline=None)
@given(st.lists(blocks(), min_size=1, max_size=5))
def test_the_search_finds_the_optimum_and_rules_out_less(some: list[Block]) -> None:
    optimum = _optimum(some)
    found = search(sections(some), optimum, 10_000)
    assert found.offsets is not None
    for i, (block, at) in enumerate(zip(some, found.offsets, strict=True)):
        assert at + block.most_bytes <= optimum
        for j in range(i):
            assert _conflict(block, at, some[j], found.offsets[j]) is None
    less = search(sections(some), optimum - 1, 10_000)
    assert less.offsets is None
    assert less.exhausted


@st.composite
def problems(draw: st.DrawFn) -> list[Interval]:
    """Up to sixteen needs; some may cover an input that ends where they begin."""
    needs: list[Interval] = []
    for i in range(draw(st.integers(1, 16))):
        first, size = draw(st.integers(0, 9)), draw(st.integers(1, 200))
        covers = [n.buffer for n in needs if n.last_use == first and n.size_bytes >= size]
        may = tuple(covers) if draw(st.booleans()) else ()
        last = draw(st.integers(first + bool(may), 10))
        alignment = draw(st.sampled_from((16, 16, 16, 64)))
        needs.append(Interval(i, f"b{i}", size, alignment, first, last, may))
    return needs


@settings(deadline=None)
@given(problems())
def test_tightened_offsets_are_sound_and_not_above_the_given_ones(needs: list[Interval]) -> None:
    piled = [0]
    for need in needs[:-1]:
        piled.append(-(-(piled[-1] + need.size_bytes) // 64) * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tighten_module, "_NODES", 2000)
        found = tighten(needs, piled)
        assert tighten(needs, piled) == found
    assert peak_bytes(needs) <= height(needs, found.offsets) <= height(needs, piled)
    covering: list[int] = []
    for i, (one, at) in enumerate(zip(needs, found.offsets, strict=True)):
        assert at % one.alignment_bytes == 0
        for other, there in zip(needs[:i], found.offsets, strict=False):
            together = one.first_use <= other.last_use and other.first_use <= one.last_use
            if together and at < there + other.size_bytes and there < at + one.size_bytes:
                assert other.buffer in one.may_cover
                assert at == there
                covering.append(other.buffer)
    assert len(covering) == len(set(covering))  # no input is covered by two outputs
