# SPDX-License-Identifier: Apache-2.0
"""Arenas and weights by region, as the plain values that templates print."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.emit.inputs import EmitInputs
from codegen.emit.values import Arena, Data, Share


def arenas_of(inputs: EmitInputs, upper: str) -> tuple[Arena, ...]:
    """An arena for each region of the plan; a single one has no region in its names."""
    return tuple(
        _arena(inputs, upper, index, region, size_bytes)
        for index, (region, size_bytes) in enumerate(inputs.plan.arena_bytes)
    )


def _arena(inputs: EmitInputs, upper: str, index: int, name: str, size_bytes: int) -> Arena:
    region = inputs.target.region(name)
    if len(inputs.plan.arena_bytes) == 1:
        whole = (0, "arena", f"{upper}_ARENA", size_bytes, name, region.size_bytes)
        return Arena(*whole, alignment_bytes=region.alignment_bytes)
    return Arena(
        index,
        f"arena_{name}",
        f"{upper}_ARENA_{name.upper()}",
        size_bytes,
        name,
        region.size_bytes,
        region.section_name,
        region.alignment_bytes,
    )


def sections_of(inputs: EmitInputs, program: int) -> dict[str, str]:
    """Constants of a program that do not lie with the others -> the section of their region."""
    return {
        name: inputs.target.region(region).section_name
        for name, region in inputs.plan.moved(program).items()
    }


def shares(inputs: EmitInputs, arenas: Sequence[Arena], data: Sequence[Data]) -> tuple[Share, ...]:
    """What each region holds; nothing where the target leaves no choice."""
    found = []
    by_region = {arena.region: arena for arena in arenas}
    for use in inputs.plan.uses:
        region = inputs.target.region(use.region)
        constants = region.name == inputs.target.constants
        section = "" if constants else region.section_name
        found.append(
            Share(
                region.name,
                region.section_name,
                f"{inputs.name.upper()}_{region.name.upper()}",
                by_region.get(region.name),
                _bytes([each for each in data if each.section == section]),
                region.available_bytes,
                region.writable and not constants,
            )
        )
    return tuple(found)


def _bytes(data: Sequence[Data]) -> int:
    end = 0
    for each in data:
        end = -(-end // each.alignment_bytes) * each.alignment_bytes + each.size_bytes
    return end
