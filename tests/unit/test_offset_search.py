# SPDX-License-Identifier: Apache-2.0
"""The search for offsets on problems whose optimum is known because of how they are made."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import planner_cases
from codegen.memory import tighten as tighten_module
from codegen.memory.liveness import Interval, peak_bytes
from codegen.memory.plan import by_size, offsets
from codegen.memory.search import search
from codegen.memory.sections import Block, sections
from codegen.memory.tighten import Arrangement, height, tighten

#: First time, the time after the last one, bytes / 16: five live at most, and yet five don't do.
IMPOSSIBLE = (
    (0, 1, 4),
    (0, 3, 1),
    (1, 2, 3),
    (1, 4, 1),
    (2, 3, 2),
    (2, 7, 1),
    (3, 4, 3),
    (4, 7, 4),
)


def needs_of(rows: Sequence[tuple[int, int, int]], alignment_bytes: int = 16) -> list[Interval]:
    return [
        Interval(i, f"b{i}", 16 * size, alignment_bytes, first, end - 1)
        for i, (first, end, size) in enumerate(rows)
    ]


def cut(seed: int, pieces: int, times: int, size: int) -> list[Interval]:
    """A full rectangle of time and bytes, cut at random: its height is the optimum."""
    chance = random.Random(seed)
    whole = [(0, times, 0, size)]
    while len(whole) < pieces:
        first, end, low, high = whole.pop(chance.randrange(len(whole)))
        if chance.random() < 0.5 and end - first > 1:
            middle = chance.randrange(first + 1, end)
            whole += [(first, middle, low, high), (middle, end, low, high)]
        elif high - low > 1:
            middle = chance.randrange(low + 1, high)
            whole += [(first, end, low, middle), (first, end, middle, high)]
        else:
            whole.append((first, end, low, high))
    return needs_of([(first, end, high - low) for first, end, low, high in whole])


def check(needs: Sequence[Interval], found: Arrangement) -> None:
    """No two that live together overlap, by looking at all pairs; each is aligned."""
    for i, one in enumerate(needs):
        start = found.offsets[i]
        assert start >= 0
        assert start % one.alignment_bytes == 0
        for j, other in enumerate(needs[:i]):
            if one.first_use <= other.last_use and other.first_use <= one.last_use:
                at = found.offsets[j]
                assert start + one.size_bytes <= at or at + other.size_bytes <= start


@pytest.mark.parametrize(
    ("seed", "pieces", "times", "size"),
    [(3, 80, 60, 256), (0, 120, 100, 1024), (2, 200, 200, 4096)],
)
def test_a_cut_rectangle_is_put_together_where_first_fit_fails(
    seed: int, pieces: int, times: int, size: int
) -> None:
    needs = cut(seed, pieces, times, size)
    found = offsets(needs)
    check(needs, found)
    assert height(needs, by_size(needs)) > height(needs, found.offsets) == 16 * size
    assert found.optimal
    assert 0 < found.nodes < 10_000
    assert offsets(needs) == found


def test_what_cannot_reach_the_bound_is_proved() -> None:
    needs = needs_of(IMPOSSIBLE)
    found = offsets(needs)
    check(needs, found)
    assert (peak_bytes(needs), height(needs, found.offsets), found.optimal) == (80, 96, True)
    both = needs_of([*IMPOSSIBLE, *((a + 7, b + 7, size) for a, b, size in IMPOSSIBLE)])
    assert height(both, offsets(both).offsets) == 96
    assert offsets(both).nodes < 200  # each half is solved by itself


def test_an_exhausted_search_says_so_and_so_does_one_that_is_cut_off() -> None:
    blocks = [Block(((first, end - 1, size),)) for first, end, size in IMPOSSIBLE]
    found = search(sections(blocks), 5, 1000)
    assert found.offsets is None
    assert found.exhausted
    short = search(sections(blocks), 5, 3)
    assert (short.offsets, short.exhausted, short.nodes) == (None, False, 3)
    assert search(sections(blocks), 4, 1000).exhausted
    assert search(sections(blocks), 6, 1000).offsets is not None


def test_without_enough_nodes_nothing_is_called_optimal(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = cut(2, 200, 200, 4096)
    first = by_size(needs)
    monkeypatch.setattr(tighten_module, "_NODES", 40)
    found = tighten(needs, first)
    check(needs, found)
    assert not found.optimal
    assert found.nodes <= 40
    assert height(needs, found.offsets) <= height(needs, first)


def test_a_coarse_alignment_is_kept_and_proves_nothing_above_the_bound() -> None:
    needs = needs_of(IMPOSSIBLE, 64)
    found = offsets(needs)
    check(needs, found)
    assert height(needs, found.offsets) > peak_bytes(needs)
    assert not found.optimal


def test_a_block_of_two_sizes_is_one_offset() -> None:
    blocks = [Block(((0, 2, 4), (2, 5, 1))), Block(((3, 5, 3),)), Block(((0, 5, 2),))]
    found = search(sections(blocks), 6, 100)
    assert found.offsets is not None
    shrinks, late, always = found.offsets
    assert sorted([(shrinks, 4), (always, 2)]) in ([(0, 4), (4, 2)], [(0, 2), (2, 4)])
    end = 0
    for start, size in sorted([(shrinks, 1), (late, 3), (always, 2)]):
        assert start == end
        end += size


def test_outputs_cover_inputs_where_only_that_fits() -> None:
    # Nothing else fits at time 1; at time 3 an output may cover its input, and need not.
    needs = [
        Interval(0, "x", 64, 16, 0, 1),
        Interval(1, "y", 64, 16, 1, 3, may_cover=(0,)),
        Interval(2, "side", 32, 16, 0, 2),
        Interval(3, "z", 32, 16, 3, 5, may_cover=(1,)),
    ]
    high = [0, 64, 128, 160]
    found = tighten(needs, high)
    assert peak_bytes(needs) == height(needs, found.offsets) == 96
    assert found.offsets[0] == found.offsets[1]


def test_the_benchmark_prints_a_row_a_case_and_fails_above_the_capacity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{i},{a},{b},{16 * size}" for i, (a, b, size) in enumerate(IMPOSSIBLE)]
    (tmp_path / "eight.csv").write_text("\n".join(["id,lower,upper,size", *rows]))
    for capacity, status in ((96, 0), (95, 1)):
        arguments = ["planner_cases", str(tmp_path), "--capacity", str(capacity)]
        monkeypatch.setattr("sys.argv", arguments)
        assert planner_cases.main() == status
        assert "| eight | 8 | 80 | 96 | 96 | proved |" in capsys.readouterr().out
