# SPDX-License-Identifier: Apache-2.0
"""RAM and constant data by region, from the plan alone: no compiler has run yet.

Structs are those of firmware/include/stapes/stapes.h on a 32-bit core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from codegen.memory_plan import Footprint, FootprintRow, MemoryPlan
from codegen.program import Constant, Params, Program, arrays_bytes
from codegen.target import Target

ARENA_SECTION = ".stapes_arena"
WEIGHTS_SECTION = ".stapes_weights"
STACK_SECTION = ".stack"
CONSTANTS_SECTION = ".rodata"
VARIABLES_SECTION = ".bss"
#: The component of first values of what start-up copies to RAM.
STORED = "initial values"
#: The component of stapes_model and what it points to.
DESCRIPTION = "model description"
#: That of rows that stand for a file of weights, which no linker sees.
WEIGHTS_FILE_SECTION = "[weights file]"
#: The section's name of rows that stand for the caller's memory, wherever it may be.
CALLERS_SECTION = "[caller]"

_WORD = 4
_TENSOR_BYTES = 3 * _WORD
_GRAPH_BYTES = 5 * _WORD
_MODEL_BYTES = 6 * _WORD
_SPEECH_BYTES = 20  # struct stapes_speech
_CTC_BYTES = 32  # the structs that it points to, beside the front end's
_GREEDY_BYTES, _ROW_TABLE_BYTES, _ROW_STATE_BYTES = 148, 60, 40
_WEIGHTS_BYTES = 20  # struct stapes_weights

#: A front end: the bytes of its struct, and its tables.
Heard = tuple[int, Mapping[str, np.ndarray]]


def predict(
    programs: Sequence[Program],
    plan: MemoryPlan,
    target: Target,
    extras: Sequence[FootprintRow] = (),
) -> Footprint:
    """Everything live while transcribing, and the constants; code is not in it.

    The context lies on the caller's stack. `extras` are rows of other owners, as `speech_rows`.
    """
    constant = partial(FootprintRow, region=target.constants, kind="constant")
    rows = [
        *_arena_rows(programs, plan, target),
        FootprintRow("stack", STACK_SECTION, target.stack, target.stack_bytes, "ram"),
        *_weights_rows(programs, plan, target),
        constant("kernel parameters", CONSTANTS_SECTION, size_bytes=params_bytes(programs)),
        constant(
            DESCRIPTION,
            CONSTANTS_SECTION,
            size_bytes=description_bytes(programs, len(plan.arena_bytes)),
        ),
        *extras,
    ]
    return Footprint(tuple(row for row in rows if row.size_bytes > 0))


def _arena_rows(
    programs: Sequence[Program], plan: MemoryPlan, target: Target
) -> list[FootprintRow]:
    """The arenas, and apart from the rest what lives while a program repeats."""
    rows: list[FootprintRow] = []
    for region, size in plan.arena_bytes:
        several = len(plan.arena_bytes) > 1
        section = region_section(ARENA_SECTION, target, region if several else "")
        kept = _kept_bytes(programs, plan, region)
        arena = {"arena": size - sum(kept.values()), **kept}
        rows += [FootprintRow(name, section, region, part, "ram") for name, part in arena.items()]
    return rows


def region_section(section: str, target: Target, region: str) -> str:
    """The output section of what lies in a region, which "" stands for where it is the only one."""
    return f"{section}_{target.region(region).section_name}" if region else section


def _weights_rows(
    programs: Sequence[Program], plan: MemoryPlan, target: Target
) -> list[FootprintRow]:
    """Const arrays by region; those in RAM are stored among the constants, too."""
    places: dict[str, list[Constant]] = {"": []}
    for number, program in enumerate(programs):
        moved = plan.moved(number)
        for constant in program.constants:
            places.setdefault(moved.get(constant.name, ""), []).append(constant)
    rows: list[FootprintRow] = []
    for region, constants in places.items():
        section, size = region_section(WEIGHTS_SECTION, target, region), arrays_bytes(constants)
        copied = region != "" and target.region(region).writable
        kind = "ram" if copied else "constant"
        rows.append(FootprintRow("weights", section, region or target.constants, size, kind))
        if copied:
            rows.append(FootprintRow(STORED, section, target.constants, size, "constant"))
    return rows


def _kept_bytes(programs: Sequence[Program], plan: MemoryPlan, region: str) -> dict[str, int]:
    """Bytes of a region that a repeating program keeps: its own cache, and what it was handed."""
    kept: dict[str, int] = {}
    for number, program in enumerate(programs):
        others = {b.name for p in programs if p is not program for b in p.buffers}
        for place in plan.placements[number] if program.repeats else ():
            buffer = program.buffers[place.buffer] if place.buffer >= 0 else None
            if buffer is None or buffer.role != "shared" or place.region != region:
                continue
            own = "tokens" if buffer.name.startswith("[") else "KV cache"
            component = "cross keys and values" if buffer.name in others else own
            kept[component] = kept.get(component, 0) + place.size_bytes
    return kept


def greedy_rows(
    target: Target,
    heard: Heard,
    tables: Mapping[str, Sequence[np.ndarray]],
    words: Sequence[bytes],
    states: int,
    text_bytes: int,
    pcm_bytes: int = 0,
) -> tuple[FootprintRow, ...]:
    """What a front end and greedy decoding add: tables, the vocabulary, text, the caller's PCM.

    `tables` are the arrays of each that the programs do not have already, `states` the number of
    state buffers, which lie in the arena.
    """
    stored = partial(
        FootprintRow, section=WEIGHTS_SECTION, region=target.constants, kind="constant"
    )
    description = _SPEECH_BYTES + heard[0] + _GREEDY_BYTES
    description += len(tables) * _ROW_TABLE_BYTES + states * _ROW_STATE_BYTES
    rows = [
        *(
            stored(f"table {name}", size_bytes=sum(each.nbytes for each in arrays))
            for name, arrays in tables.items()
        ),
        stored("vocabulary", size_bytes=sum(map(len, words)) + 4 * len(words)),
        _front_end_row(target, heard),
        FootprintRow(
            "speech description", CONSTANTS_SECTION, target.constants, description, "constant"
        ),
        FootprintRow("transcript", VARIABLES_SECTION, target.stack, text_bytes, "ram"),
        FootprintRow("caller's PCM", CALLERS_SECTION, target.stack, pcm_bytes, "caller"),
    ]
    return tuple(row for row in rows if row.size_bytes > 0)


def _front_end_row(target: Target, heard: Heard) -> FootprintRow:
    size = sum(-(-table.nbytes // _WORD) * _WORD for table in heard[1].values())
    return FootprintRow("front-end tables", CONSTANTS_SECTION, target.constants, size, "constant")


def speech_rows(
    target: Target,
    heard: Heard,
    words: Sequence[str],
    text_bytes: int,
    pcm_bytes: int = 0,
) -> tuple[FootprintRow, ...]:
    """What a speech model adds: the front end's tables, the vocabulary, text, the caller's PCM.

    Memory of the front end is part of the arena. `pcm_bytes` is what the caller holds at once.
    """
    constant = partial(FootprintRow, section=CONSTANTS_SECTION, region=target.constants)
    ends_bytes = 2 * len(words)
    vocabulary = sum(len(word.encode()) for word in words) + 1 + ends_bytes
    description = _SPEECH_BYTES + heard[0] + _CTC_BYTES
    rows = [
        _front_end_row(target, heard),
        constant("vocabulary", size_bytes=vocabulary, kind="constant"),
        constant("speech description", size_bytes=description, kind="constant"),
        FootprintRow("transcript", VARIABLES_SECTION, target.stack, text_bytes, "ram"),
        FootprintRow("caller's PCM", CALLERS_SECTION, target.stack, pcm_bytes, "caller"),
    ]
    return tuple(row for row in rows if row.size_bytes > 0)


def with_weights_file(footprint: Footprint, target: Target, file_bytes: int) -> Footprint:
    """The footprint of a firmware that binds a file of so many bytes in place of its weights.

    What the file holds has its rows in the file's region; its header and padding are a row too.
    """
    there = partial(replace, section=WEIGHTS_FILE_SECTION, region=target.weights_region)
    stored = [row for row in footprint.rows if row.section.startswith(WEIGHTS_SECTION)]
    held = [there(row, kind="constant") for row in stored if row.component != STORED]
    kept = [
        replace(row, size_bytes=row.size_bytes + _WEIGHTS_BYTES * (row.component == DESCRIPTION))
        for row in footprint.rows
        if row not in stored
    ]
    rest = file_bytes - sum(row.size_bytes for row in held)
    header = FootprintRow("weights' header and padding", "", "", rest, "constant")
    return replace(footprint, rows=(*kept, *held, there(header)))


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
