# SPDX-License-Identifier: Apache-2.0
"""Checks that staged programs are the given ones, but for copies of constants.

It shares no code with what made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.errors import StapesError
from codegen.program import BufferRef, Constant, Program, Step


def validate_stages(given: Sequence[Program], staged: Sequence[Program]) -> None:
    """Raise StapesError where a staged program computes anything else."""
    for before, after in zip(given, staged, strict=True):
        problem = _problem(before, after)
        if problem:
            raise StapesError(f"invalid copies in program '{before.name:.60}': {problem}")


def _problem(before: Program, after: Program) -> str:
    """What is wrong, or nothing."""
    known = len(before.buffers)
    if after.buffers[:known] != before.buffers:
        return "a buffer of the given program has changed"
    copied: dict[int, Constant] = {}
    steps: list[Step] = []
    places: list[int] = []
    for number, step in enumerate(after.steps):
        made = [index for index in step.writes if index >= known]
        if not made:
            places.append(number)
            steps.append(step)
            continue
        size, source, target = (*step.operands, None, None, None)[:3]
        if not isinstance(source, Constant) or not isinstance(target, BufferRef):
            return f"step '{step.name}' writes a copy and is none"
        whole = size == source.size_bytes == after.buffers[target.index].size_bytes
        alone = step.kernel == "stapes_copy" and (step.reads, made) == ((), [target.index])
        if not whole or not alone or target.index in copied:
            return f"step '{step.name}' copies something else"
        if any(number in group for group in after.groups):
            return f"step '{step.name}' copies in every stripe"
        copied[target.index] = source
        places.append(-1)
    restored = []
    reached: set[int] = set()
    for number, place in enumerate(places):
        step = after.steps[number]
        if place < 0:
            reached.update(step.writes)
            continue
        used = {index for index in step.reads if index >= known}
        if not used <= reached:
            return f"step '{step.name}' reads a copy before it is made"
        restored.append(_restored(step, copied, known))
    if len(restored) != len(before.steps):
        return f"{len(restored)} steps are left of {len(before.steps)}"
    for one, other in zip(before.steps, restored, strict=True):
        if one != other:
            return f"step '{one.name}' has changed"
    numbers = [number for number, place in enumerate(places) if place >= 0]
    spans = [(group.first_step, group.last_step) for group in after.groups]
    if spans != [(numbers[g.first_step], numbers[g.last_step]) for g in before.groups]:
        return "a group has other steps"
    return ""


def _restored(step: Step, copied: dict[int, Constant], known: int) -> Step:
    """The step with constants in the place of their copies."""
    operands = tuple(
        copied[each.index] if isinstance(each, BufferRef) and each.index in copied else each
        for each in step.operands
    )
    reads = tuple(index for index in step.reads if index < known)
    return replace(step, operands=operands, reads=reads)
