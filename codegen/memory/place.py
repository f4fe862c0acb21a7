# SPDX-License-Identifier: Apache-2.0
"""Chooses the target's region for each arena of a plan."""

from __future__ import annotations

from dataclasses import replace

from codegen.memory_plan import ARENA, MemoryPlan
from codegen.target import Target


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
