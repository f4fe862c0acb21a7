# SPDX-License-Identifier: Apache-2.0
"""Weights that rows read again and again are copied to faster memory in front of their step.

A matrix in slow flash is read once for each row. Copied to a buffer first, in front of the step or
of the group that it runs in, it is read once there, and by the rows from where the buffer lies.
Such a buffer lives as any other: it has a region and an offset, and shares them with others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.memory.traffic import factor_reads
from codegen.memory_plan import MemoryPlan
from codegen.program import Buffer, BufferRef, Constant, Group, Operand, Program, Step, c_type
from codegen.target import Region, Target

_GAIN = 1.1  # the cycles of reading directly, in relation to those with a copy, that are worth one


@dataclass(frozen=True)
class Stage:
    """The constant that is operand `operand` of step `step` of a program has a copy.

    `read_bytes` is what the step reads of it in all runs, `copied_bytes` what its copies take.
    """

    program: int
    step: int
    operand: int
    constant: str
    read_bytes: int
    copied_bytes: int

    def pays(self, slow: Region, fast: Region) -> bool:
        """Whether a copy from the one to the other takes fewer cycles than none."""
        copied = slow.cycles(self.copied_bytes, 0) + fast.cycles(self.read_bytes, self.copied_bytes)
        return slow.cycles(self.read_bytes, 0) > _GAIN * copied


def stages(
    programs: Sequence[Program], plan: MemoryPlan, target: Target, runs: Sequence[int]
) -> tuple[Stage, ...]:
    """Those that would pay in some region that may hold copies."""
    found = []
    for number, program in enumerate(programs):
        for step, operand, constant, read in factor_reads(program):
            again = runs[number]
            each = Stage(
                number, step, operand, constant.name, read * again, constant.size_bytes * again
            )
            slow = _lies(each, plan, target)
            if any(each.pays(slow, fast) for fast in target.holding("copies")):
                found.append(each)
    return tuple(found)


def worthwhile(
    chosen: Sequence[Stage], programs: Sequence[Program], plan: MemoryPlan, target: Target
) -> tuple[Stage, ...]:
    """Those that pay where the plan of the staged programs has their copies."""
    kept = []
    for number, program in enumerate(programs):
        here = [each for each in chosen if each.program == number]
        first = len(program.buffers) - len(here)  # copies have the last buffers, in their order
        for position, each in enumerate(here):
            name = plan.buffer(number, first + position).region
            slow = _lies(each, plan, target)
            if any(each.pays(slow, fast) for fast in target.regions if fast.name == name):
                kept.append(each)
    return tuple(kept)


def staged(programs: Sequence[Program], chosen: Sequence[Stage]) -> tuple[Program, ...]:
    """The programs with a step that copies in front of each of these."""
    return tuple(
        _staged(program, [each for each in chosen if each.program == number])
        for number, program in enumerate(programs)
    )


def _lies(stage: Stage, plan: MemoryPlan, target: Target) -> Region:
    """Where the constant itself lies."""
    return target.region(plan.moved(stage.program).get(stage.constant, target.constants))


def _staged(program: Program, chosen: Sequence[Stage]) -> Program:
    buffers = list(program.buffers)
    copies: dict[int, list[Step]] = {}
    steps = list(program.steps)
    for each in chosen:
        step = steps[each.step]
        constant = step.operands[each.operand]
        assert isinstance(constant, Constant)
        kind = c_type(constant.values.dtype.name)
        made = BufferRef(len(buffers), kind)
        buffers.append(Buffer(f"{constant.name}_copy", constant.size_bytes, "copy"))
        copies.setdefault(_front(program, each.step), []).append(_copy(constant, made))
        steps[each.step] = _reading(step, each.operand, made)
    ordered: list[Step] = []
    moved: dict[int, int] = {}
    for number, step in enumerate(steps):
        ordered += copies.get(number, [])
        moved[number] = len(ordered)
        ordered.append(step)
    groups = tuple(_moved(group, moved) for group in program.groups)
    return replace(program, steps=tuple(ordered), buffers=tuple(buffers), groups=groups)


def _front(program: Program, step: int) -> int:
    """The first step of the group that a step is in, or itself."""
    return next((group.first_step for group in program.groups if step in group), step)


def _copy(constant: Constant, made: BufferRef) -> Step:
    return Step(
        name=f"{constant.name}_copy",
        kernel="stapes_copy",
        header="stapes/copy.h",
        operands=(constant.size_bytes, constant, made),
        reads=(),
        writes=(made.index,),
        rows=1,
    )


def _reading(step: Step, position: int, made: BufferRef) -> Step:
    operands: list[Operand] = list(step.operands)
    operands[position] = made
    return replace(step, operands=tuple(operands), reads=(*step.reads, made.index))


def _moved(group: Group, moved: Mapping[int, int]) -> Group:
    return replace(group, first_step=moved[group.first_step], last_step=moved[group.last_step])
