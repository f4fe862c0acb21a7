# SPDX-License-Identifier: Apache-2.0
"""RAM and constant data by region, from the plan alone: no compiler has run yet.

Structs are those of firmware/include/stapes/stapes.h on a 32-bit core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from codegen.memory_plan import Footprint, FootprintRow, MemoryPlan
from codegen.program import Params, Program
from codegen.target import Target

ARENA_SECTION = ".stapes_arena"
WEIGHTS_SECTION = ".stapes_weights"
STACK_SECTION = ".stack"
CONSTANTS_SECTION = ".rodata"
VARIABLES_SECTION = ".bss"

#: Each array of weights starts at a multiple of this, or of its type's size.
WEIGHTS_ALIGNMENT_BYTES = 4

_WORD = 4
_CONTEXT_BYTES = 2 * 4 * _WORD + 2 * _WORD + 2 * _WORD  # 2 x STAPES_MAX_ARENAS, hook, counters
_TENSOR_BYTES = 3 * _WORD
_GRAPH_BYTES = 5 * _WORD
_MODEL_BYTES = 5 * _WORD


def predict(
    programs: Sequence[Program],
    plan: MemoryPlan,
    target: Target,
    extras: Sequence[FootprintRow] = (),
) -> Footprint:
    """Everything live while transcribing, and the constants, with `extras` (front-end tables,
    vocabulary, the caller's PCM) as the rooms that own them count them; code is not in it."""
    constant = partial(FootprintRow, region=target.constants, kind="constant")
    rows = [
        *(
            FootprintRow("activations and scratch", ARENA_SECTION, region, size, "ram")
            for region, size in plan.arena_bytes
        ),
        FootprintRow("context", VARIABLES_SECTION, target.stack, _CONTEXT_BYTES, "ram"),
        FootprintRow("stack", STACK_SECTION, target.stack, target.stack_bytes, "ram"),
        constant("weights", WEIGHTS_SECTION, size_bytes=weights_bytes(programs)),
        constant("kernel parameters", CONSTANTS_SECTION, size_bytes=params_bytes(programs)),
        constant(
            "model description",
            CONSTANTS_SECTION,
            size_bytes=description_bytes(programs, len(plan.arena_bytes)),
        ),
        *extras,
    ]
    return Footprint(tuple(row for row in rows if row.size_bytes > 0))


def weights_bytes(programs: Sequence[Program]) -> int:
    """Bytes of all constant arrays, each from an aligned address."""
    end = 0
    for program in programs:
        for constant in program.constants:
            alignment = max(WEIGHTS_ALIGNMENT_BYTES, constant.values.itemsize)
            end = -(-end // alignment) * alignment + constant.size_bytes
    return end


def params_bytes(programs: Sequence[Program]) -> int:
    """Bytes of all kernels' parameter structs."""
    return sum(
        operand.size_bytes
        for program in programs
        for step in program.steps
        for operand in step.operands
        if isinstance(operand, Params)
    )


def description_bytes(programs: Sequence[Program], arenas: int) -> int:
    """Bytes of stapes_model with its graphs, tensors and arena sizes."""
    tensors = sum(len(program.inputs) + len(program.outputs) for program in programs)
    return _MODEL_BYTES + len(programs) * _GRAPH_BYTES + tensors * _TENSOR_BYTES + arenas * _WORD
