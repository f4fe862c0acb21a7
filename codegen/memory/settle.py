# SPDX-License-Identifier: Apache-2.0
"""Programs and their plan for the regions of a target, with copies of weights where they pay.

1. Assign regions (place.py), and take every matrix whose copy would pay somewhere.
2. Assign again with all of these copies, or none of some; leave out those that do not pay where
   they came to lie.
3. Repeat until nothing is left out. Copies that do not lower the cycles of all are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from codegen.memory.liveness import peak_bytes
from codegen.memory.place import spread
from codegen.memory.stage import staged, stages, worthwhile
from codegen.memory.timeline import timeline
from codegen.memory_plan import MemoryPlan
from codegen.program import Program
from codegen.target import Target

_ROUNDS = 8


def settle(
    programs: Sequence[Program],
    plan: MemoryPlan,
    target: Target,
    taken: Mapping[str, int],
    runs: Sequence[int],
) -> tuple[tuple[Program, ...], MemoryPlan]:
    """The programs, and their plan over the regions, `taken` bytes of each being others'."""
    best = spread(programs, plan, target, taken, runs)
    given = (tuple(programs), best)
    chosen = stages(programs, best, target, runs) if best.uses and not _over(best) else ()
    for _ in range(_ROUNDS):
        if not chosen:
            return given
        tried = staged(programs, chosen)
        found = spread(tried, _bounded(plan, tried), target, taken, runs)
        kept = worthwhile(chosen, tried, found, target)
        if kept == chosen:
            cheaper = not _over(found) and _cycles(found) < _cycles(best)
            return (tried, replace(found, own_cycles=best.own_cycles)) if cheaper else given
        chosen = kept
    return given


def _bounded(plan: MemoryPlan, programs: Sequence[Program]) -> MemoryPlan:
    """The plan with the lower bound of other programs, of whose orders nothing is known."""
    bound = peak_bytes(timeline(programs).needs)
    return replace(plan, lower_bound_bytes=bound, given_order_bytes=0, any_order_bytes=0)


def _cycles(plan: MemoryPlan) -> int:
    return sum(use.cycles for use in plan.uses)


def _over(plan: MemoryPlan) -> bool:
    return any(use.arena_bytes + use.weights_bytes > use.available_bytes for use in plan.uses)
