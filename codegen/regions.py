# SPDX-License-Identifier: Apache-2.0
"""Everything in the regions of a target: a plan and its footprint, or what would make it fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from codegen.emit.speech import CtcDecoder, SpeechInputs
from codegen.footprint.fit import fits
from codegen.footprint.predict import ARENA_SECTION, WEIGHTS_SECTION, greedy_rows, predict
from codegen.footprint.predict import speech_rows as ctc_rows
from codegen.memory.place import place
from codegen.memory.settle import settle
from codegen.memory.validate import validate
from codegen.memory.validate_regions import validate_regions
from codegen.memory.validate_stages import validate_stages
from codegen.memory_plan import Footprint, FootprintRow, MemoryPlan
from codegen.program import Program, same
from codegen.target import Region, Target, load_target, target_names

#: A caller who feeds PCM as it arrives holds 10 ms of it.
BLOCKS_A_SECOND = 100


@dataclass(frozen=True)
class Settled:
    """Programs, where everything lies in the regions of one target, and the bytes this takes."""

    programs: tuple[Program, ...]
    plan: MemoryPlan
    footprint: Footprint


@dataclass(frozen=True)
class Unsettled:
    """Programs and the plan of one arena for them; program n runs `runs[n]` times.

    `extras` are a target's rows of all that is neither arena nor weights of the programs.
    """

    programs: tuple[Program, ...]
    plan: MemoryPlan
    runs: tuple[int, ...]
    extras: Callable[[Target], tuple[FootprintRow, ...]]

    def on(self, target: Target) -> Settled:
        """Everything in the regions of a target, whether it fits or not."""
        extras = self.extras(target)
        others = predict(self.programs, place(self.plan, target), target, extras)
        taken = _taken(others)
        programs, plan = settle(self.programs, self.plan, target, taken, self.runs)
        validate_stages(self.programs, programs)
        validate(programs, plan)
        validate_regions(programs, plan, target)
        return Settled(programs, plan, predict(programs, plan, target, extras))

    def nearest_change(self, target: Target) -> str:
        """What would make it fit: a region that may hold more, a larger one, another target."""
        found = self.on(target)
        parts = [
            *_permission(self, found, target),
            *_growth(found, target),
            *_another(self, target),
        ]
        return ", or ".join(parts)


def _taken(footprint: Footprint) -> dict[str, int]:
    """Bytes of each region that are neither arena nor weights of the programs."""
    taken: dict[str, int] = {}
    for row in footprint.rows:
        weights = row.section == WEIGHTS_SECTION and row.component == "weights"
        if row.section != ARENA_SECTION and not weights:
            taken[row.region] = taken.get(row.region, 0) + row.size_bytes
    return taken


def _over(found: Settled, target: Target) -> list[str]:
    return [each.region for each in fits(found.footprint, target) if each.excess_bytes]


def _permission(unsettled: Unsettled, settled: Settled, target: Target) -> Iterator[str]:
    """The first region that may not hold what does not fit, and would have room for it."""
    full = _over(settled, target)
    ram = any(target.region(name) in target.holding("arena") for name in full)
    wanted = ("arena", "state") if ram else ("weights",)
    for region in target.regions:
        if region.holds or region.name in (*full, target.code) or (ram and not region.writable):
            continue
        opened = replace(region, holds=wanted)
        found = unsettled.on(_with(target, opened))
        if not _over(found, target):
            used = dict(found.plan.arena_bytes).get(region.name, 0)
            used += sum(use.weights_bytes for use in found.plan.uses if use.region == region.name)
            listed = ", ".join(f'"{what}"' for what in wanted)
            yield f"[regions.{region.name}] holds = [{listed}], where {used:,} bytes would go"
            return


def _growth(found: Settled, target: Target) -> Iterator[str]:
    for each in fits(found.footprint, target):
        reserved = target.region(each.region).reserve_bytes
        if each.excess_bytes:
            yield f"a '{each.region}' of {each.required_bytes + reserved:,} bytes"


def _another(unsettled: Unsettled, target: Target) -> Iterator[str]:
    """The known target of this core with the least RAM that has room as it is."""
    alike = [
        other
        for other in (load_target(name).with_speech() for name in target_names())
        if (other.cpu, other.features) == (target.cpu, target.features)
    ]
    for other in sorted(alike, key=lambda each: (_ram(each.regions), each.name)):
        if not _over(unsettled.on(other), other):
            yield f"--target {other.name}"
            return


def _ram(regions: Sequence[Region]) -> int:
    return sum(region.size_bytes for region in regions if region.writable)


def _with(target: Target, changed: Region) -> Target:
    regions = (changed if each.name == changed.name else each for each in target.regions)
    return replace(target, regions=tuple(regions))


def speech_rows(
    target: Target, speech: SpeechInputs, programs: Sequence[Program]
) -> tuple[FootprintRow, ...]:
    """What both ends of a speech model take beside its programs, in the regions of a target."""
    block_bytes = 2 * speech.sample_rate_hz // BLOCKS_A_SECOND
    heard, decoder = (speech.input.struct_bytes, speech.input.tables), speech.decoder
    if isinstance(decoder, CtcDecoder):
        return ctc_rows(target, heard, decoder.words, speech.text_bytes, block_bytes)
    weights = [constant.values for program in programs for constant in program.constants]
    tables = {
        table.name: [
            values for values in table.arrays if not any(same(values, each) for each in weights)
        ]
        for table in decoder.tables
    }
    states = len(decoder.states)
    return greedy_rows(target, heard, tables, decoder.words, states, speech.text_bytes, block_bytes)
