# SPDX-License-Identifier: Apache-2.0
"""The needs of programs that run one after another, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codegen.errors import StapesError
from codegen.memory.liveness import Interval, intervals
from codegen.memory_plan import BEFORE, SCRATCH
from codegen.program import Program

_NAMED = ("state", "shared")


@dataclass(frozen=True)
class Timeline:
    """`needs` of all programs, where `Interval.buffer` is a position in `needs` itself.

    `local` are the needs of each program on its own axis; `where` says which of `needs` each is.
    """

    needs: tuple[Interval, ...]
    local: tuple[tuple[Interval, ...], ...]
    where: tuple[tuple[int, ...], ...]


def timeline(programs: Sequence[Program]) -> Timeline:
    """Program after program; state lives always, a shared buffer from its first use to its last.

    Raises StapesError where two programs give one of these different sizes.
    """
    merged: list[Interval] = []
    named: dict[str, int] = {}
    local = _lifetimes(programs)
    where = []
    start = 0
    whole = (BEFORE, sum(len(program.steps) + 2 for program in programs) - 2)
    for program, needs in zip(programs, local, strict=True):
        row: list[int] = []
        for need in needs:
            role = _role(program, need)
            span = whole if role == "state" else (need.first_use + start, need.last_use + start)
            if role in _NAMED and need.name in named:
                row.append(named[need.name])
                merged[row[-1]] = _joined(merged[row[-1]], need, span, program)
                continue
            row.append(len(merged))
            merged.append(replace(need, first_use=span[0], last_use=span[1]))
            if role in _NAMED:
                named[need.name] = row[-1]
        at = {need.buffer: position for need, position in zip(needs, row, strict=True)}
        for need, position in zip(needs, row, strict=True):
            if need.buffer != SCRATCH:
                covers = tuple(at[buffer] for buffer in need.may_cover)
                merged[position] = replace(merged[position], buffer=position, may_cover=covers)
        where.append(tuple(row))
        start += len(program.steps) + 2
    return Timeline(tuple(merged), local, tuple(where))


def _role(program: Program, need: Interval) -> str:
    return "" if need.buffer == SCRATCH else program.buffers[need.buffer].role


def _joined(old: Interval, need: Interval, span: tuple[int, int], program: Program) -> Interval:
    if old.padded_bytes != need.padded_bytes:
        raise StapesError(
            f"state '{need.name}' has {old.padded_bytes} bytes in one program and "
            f"{need.padded_bytes} in program '{program.name}'"
        )
    return replace(
        old,
        alignment_bytes=max(old.alignment_bytes, need.alignment_bytes),
        first_use=min(old.first_use, span[0]),
        last_use=max(old.last_use, span[1]),
    )


def _lifetimes(programs: Sequence[Program]) -> tuple[tuple[Interval, ...], ...]:
    """Each program's needs; what another program or run left or needs lives up to the border."""
    mentions = [{b.name for b in p.buffers if b.role == "shared"} for p in programs]
    found = []
    for number, program in enumerate(programs):
        again = mentions[number] if program.repeats else set()
        before = again.union(*mentions[:number])
        after = again.union(*mentions[number + 1 :])
        needs = []
        for need in intervals(program):
            if _role(program, need) == "shared" and need.name in before:
                need = replace(need, first_use=BEFORE, may_cover=())
            if _role(program, need) == "shared" and need.name in after:
                need = replace(need, last_use=len(program.steps))
            needs.append(need)
        found.append(tuple(needs))
    return tuple(found)
