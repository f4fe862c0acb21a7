# SPDX-License-Identifier: Apache-2.0
"""Checks that every buffer and constant lies in a region that may hold it.

It shares no code with what assigned them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.errors import StapesError
from codegen.memory_plan import MemoryPlan
from codegen.program import Program
from codegen.target import Target


def validate_regions(programs: Sequence[Program], plan: MemoryPlan, target: Target) -> None:
    """Raise StapesError where something lies in a region that may not hold it, or in none."""
    broken = [*_buffers(programs, plan, target), *_weights(programs, plan, target)]
    if broken:
        raise StapesError(f"invalid assignment of regions: {'; '.join(broken[:8])}")


def _buffers(programs: Sequence[Program], plan: MemoryPlan, target: Target) -> Iterator[str]:
    kinds = {region.name: region.kind for region in target.regions}
    holds = {region.name: set(region.holds) for region in target.regions}
    holds[target.arena] |= {"arena", "state"}
    for program, row in zip(programs, plan.placements, strict=True):
        for each in row:
            role = "" if each.buffer < 0 else program.buffers[each.buffer].role
            what = "state" if role in ("state", "shared") else "arena"
            what = "copies" if role == "copy" else what
            if each.region not in kinds:
                yield f"'{each.name}' lies in '{each.region}', which there is not"
            elif what not in holds[each.region] or kinds[each.region] in ("flash", "mram"):
                yield f"'{each.name}' lies in '{each.region}', which may not hold {what}"


def _weights(programs: Sequence[Program], plan: MemoryPlan, target: Target) -> Iterator[str]:
    if plan.weights and len(plan.weights) != len(programs):
        yield f"weights of {len(plan.weights)} programs are placed, there are {len(programs)}"
        return
    able = {region.name for region in target.regions if "weights" in region.holds}
    for program, row in zip(programs, plan.weights, strict=False):
        names = [constant.name for constant in program.constants]
        for name, region in row:
            if names.count(name) != 1 or [each for each, _ in row].count(name) != 1:
                yield f"constant '{name}' of program '{program.name}' is not placed once"
            if region not in able:
                yield f"constant '{name}' lies in '{region}', which may not hold weights"
