# SPDX-License-Identifier: Apache-2.0
"""The order of steps: examples by hand, what is said of them, and what happens without a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from codegen.errors import StapesError
from codegen.memory import arrange as arrange_module
from codegen.memory import order as order_module
from codegen.memory.arrange import arrange
from codegen.memory.order import order
from codegen.memory.plan import plan
from codegen.memory.validate import validate, validate_order
from codegen.memory_plan import MemoryPlan
from codegen.program import Buffer, Group, Program, Step
from codegen.report.data import plan_data
from codegen.report.text import plan_line


def step(name: str, reads: tuple[int, ...], writes: tuple[int, ...], **more: Any) -> Step:
    return Step(name, "k", "k.h", (), reads, writes, 1, **more)


def branches(count: int, length: int = 2) -> Program:
    """Branches that widen and narrow, step by step side by side, and are joined at the end.

    Of each branch all steps but the last leave 1,600 bytes, the last leaves 16.
    """
    buffers = [Buffer("in", 16, "input")]
    steps = []
    ends = [0] * count
    for depth in range(length):
        for branch in range(count):
            buffers.append(Buffer(f"b{branch}_{depth}", 16 if depth == length - 1 else 1600))
            at = len(buffers) - 1
            steps.append(step(f"s{branch}_{depth}", (ends[branch],), (at,)))
            ends[branch] = at
    steps.append(step("join", tuple(ends), (len(buffers),)))
    buffers.append(Buffer("out", 16, "output"))
    return Program("p", tuple(steps), tuple(buffers), (), (0,), (len(buffers) - 1,))


def names(some: Sequence[Program]) -> list[str]:
    return [step.name for program in some for step in program.steps]


def test_one_branch_ends_before_the_next_begins() -> None:
    given = branches(3)
    found = order([given])
    assert names(found.programs) == ["s0_0", "s0_1", "s1_0", "s1_1", "s2_0", "s2_1", "join"]
    # Side by side three wide ones live beside a narrow one; else one beside three narrow ones.
    assert (found.given_bytes, found.least_bytes) == (3 * 1600 + 16, 1600 + 3 * 16)
    ordered, memory = arrange([given])
    validate(ordered, memory)
    validate_order([given], ordered)
    assert ordered == found.programs
    assert memory.total_bytes == memory.lower_bound_bytes == memory.any_order_bytes == 1648
    assert "1,648 (+0.0 %), in the file's order 4,816, the least of any order" in str(
        plan_line(memory)
    )
    assert plan_data(memory)["given_order_bytes"] == 4816


def test_an_order_that_is_as_good_is_kept() -> None:
    given = branches(3, 1)
    assert order([given]).programs == (given,)
    _, memory = arrange([given], unmodified_peak_bytes=7)
    assert memory == replace(
        plan([given], unmodified_peak_bytes=7), given_order_bytes=64, any_order_bytes=64
    )


def test_a_program_below_the_peak_of_another_is_left_alone() -> None:
    small, large = branches(2), replace(branches(9), name="q")
    found = order([small, large])
    assert found.programs[0] != small
    wide = (Buffer("wide", 16_000, "input"), *large.buffers[1:])
    found = order([small, replace(large, buffers=wide)])
    assert found.programs[0] == small
    assert found.least_bytes == 16_000 + 1600 + 8 * 16


def test_without_moves_a_beam_is_as_good_here_and_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = branches(6, 3)
    proved = order([given])
    assert proved.least_bytes < proved.given_bytes
    monkeypatch.setattr(order_module, "_MOVES", 20)
    found = order([given])
    assert found.least_bytes < proved.least_bytes
    assert plan(found.programs).lower_bound_bytes == proved.least_bytes
    ordered, memory = arrange([given])
    assert ordered == found.programs
    assert f"another order not ruled out down to {found.least_bytes:,}" in str(plan_line(memory))
    monkeypatch.setattr(order_module, "_BEAM_MOVES", 0)
    assert plan(order([given]).programs).lower_bound_bytes < found.given_bytes


def test_a_plan_that_takes_more_bytes_than_the_given_order_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = branches(3)

    def clumsy(some: Sequence[Program]) -> MemoryPlan:
        found = plan(some)
        return (
            found if names(some) == names([given]) else replace(found, arena_bytes=(("a", 9999),))
        )

    monkeypatch.setattr(arrange_module, "plan", clumsy)
    ordered, memory = arrange([given])
    assert ordered == (given,)
    assert memory.total_bytes == memory.lower_bound_bytes == memory.given_order_bytes == 4816
    assert memory.any_order_bytes == 1648


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, steps=p.steps[::-1]), "another value"),
        (lambda p: replace(p, steps=p.steps[1:]), "another value"),
        (lambda p: replace(p, steps=(p.steps[0], *p.steps)), "another value"),
        (lambda p: replace(p, outputs=()), "another program"),
        (lambda p: replace(p, groups=(Group(1, 2, 8, 2),)), "groups changed"),
    ],
)
def test_an_order_of_something_else_is_refused(change: Any, message: str) -> None:
    given = branches(2)
    with pytest.raises(StapesError, match=message):
        validate_order([given], [change(given)])
