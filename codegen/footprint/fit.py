# SPDX-License-Identifier: Apache-2.0
"""Whether a footprint fits its target, region by region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codegen.errors import UserError
from codegen.memory_plan import Footprint
from codegen.target import Target


@dataclass(frozen=True)
class RegionFit:
    """What a region must hold and what it can."""

    region: str
    required_bytes: int
    available_bytes: int

    @property
    def excess_bytes(self) -> int:
        """Bytes too many, 0 where they fit."""
        return max(0, self.required_bytes - self.available_bytes)


def fits(footprint: Footprint, target: Target) -> tuple[RegionFit, ...]:
    """One entry for each of the target's regions, in its order.

    What a region reserves is for what is known only when linked.
    """
    linked = footprint.origin == "linked"
    return tuple(
        RegionFit(
            region.name,
            footprint.total_bytes(region.name),
            region.size_bytes if linked else region.available_bytes,
        )
        for region in target.regions
    )


def check_fit(
    footprint: Footprint, target: Target, model: str, nearest: Callable[[], str] = str
) -> None:
    """Raise UserError with required, available and excess of each region that overflows.

    `nearest` is asked what would make it fit.
    """
    over = [each for each in fits(footprint, target) if each.excess_bytes]
    if not over:
        return
    parts = []
    for each in over:
        rows = [row for row in footprint.rows if row.region == each.region]
        largest = max(rows, key=lambda row: row.size_bytes)
        parts.append(
            f"region '{each.region}' requires {each.required_bytes:,} bytes, "
            f"{each.available_bytes:,} are available, {each.excess_bytes:,} in excess "
            f"(largest: {largest.component}, {largest.size_bytes:,})"
        )
    change = nearest()
    change = f"With one of these it fits: {change}. " if change else ""
    raise UserError(
        f"model '{model}' does not fit target '{target.name}': {'; '.join(parts)}. "
        f"{change}`stapes targets` lists targets with larger regions; a smaller model or window "
        "needs less."
    )
