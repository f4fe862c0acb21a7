# SPDX-License-Identifier: Apache-2.0
"""What each region of a target holds, and what reaching it costs, as text and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from codegen.memory_plan import MemoryPlan
from codegen.program import Program

#: A row of the table of regions: bytes, and cycles of accessing them.
HEADINGS = ("region", ">arena", ">weights", ">free", ">accessed", ">cycles")


def regions_data(programs: Sequence[Program], plan: MemoryPlan) -> dict[str, Any]:
    """The regions in use and where each moved constant lies; empty where there was no choice."""
    if not plan.uses:
        return {}
    return {
        "regions": [asdict(use) for use in plan.uses],
        "assignment_gap": plan.assignment_gap,
        "own_cycles": plan.own_cycles,
        "weights": [
            {"program": program.name, "regions": plan.moved(number)}
            for number, program in enumerate(programs)
        ],
    }


def region_rows(plan: MemoryPlan) -> list[tuple[str, ...]]:
    """A row for each region in use."""
    return [
        (
            use.region,
            f"{use.arena_bytes:,}",
            f"{use.weights_bytes:,}",
            f"{use.available_bytes - use.arena_bytes - use.weights_bytes:,}",
            f"{use.read_bytes + use.written_bytes:,}",
            f"{use.cycles:,}",
        )
        for use in plan.uses
    ]


def region_lines(programs: Sequence[Program], plan: MemoryPlan) -> list[str]:
    """Where arrays lie, and what the assignment gains."""
    lines = []
    for number, program in enumerate(programs):
        several = f"{program.name:.60}: " if len(programs) > 1 else ""
        sizes = {constant.name: constant.size_bytes for constant in program.constants}
        moved = plan.moved(number)
        for region in dict.fromkeys(moved.values()):
            there = [sizes[name] for name, place in moved.items() if place == region]
            lines.append(
                f"{several}{len(there)} of {len(sizes)} arrays, {sum(there):,} bytes, in {region}"
            )
        copied = [buffer.size_bytes for buffer in program.buffers if buffer.role == "copy"]
        if copied:
            lines.append(
                f"{several}{len(copied)} arrays, {sum(copied):,} bytes, are copied in front of the"
                " steps that multiply by them"
            )
    if plan.uses:
        cycles = sum(use.cycles for use in plan.uses)
        lines.append(
            f"memory takes {cycles:,} cycles, {plan.own_cycles:,} in the target's first regions;"
            f" another assignment saves {100 * plan.assignment_gap:.2f} % at most"
        )
    return lines
