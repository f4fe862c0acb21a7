# SPDX-License-Identifier: Apache-2.0
"""How a striped group looks in C."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from codegen.emit.inputs import EmitInputs
from codegen.emit.project import project_files
from codegen.memory.place import place
from codegen.memory.plan import plan
from codegen.program import (
    Buffer,
    BufferRef,
    Constant,
    Group,
    Pace,
    Program,
    Row0,
    RowAccess,
    Rows,
    Step,
)
from codegen.target import load_target

TARGET = load_target("mps3-an547")


def striped() -> EmitInputs:
    """Two steps, 2 of 6 rows at a time in blocks of 3; the second also takes a constant by row."""
    table = Constant("table", np.arange(12, dtype=np.int16))
    x, a, y = BufferRef(0, "int8_t"), BufferRef(1, "int8_t"), BufferRef(2, "int16_t")
    wide, narrow = RowAccess(4), RowAccess(2)
    steps = (
        Step(
            *("a", "stapes_add_s8", "stapes/elementwise.h", (Row0(), Rows(), x, a), (0,), (1,), 7),
            by_row=(None, None, RowAccess(8, stride=2, window=3), wide),
        ),
        Step(
            *(
                "b",
                "stapes_add_s8",
                "stapes/elementwise.h",
                (Row0(), Rows(), a, table, y),
                (1,),
                (2,),
                6,
            ),
            by_row=(None, None, wide, RowAccess(4, share=3), narrow),
        ),
    )
    buffers = (Buffer("x", 120, "input"), Buffer("a", 12), Buffer("y", 12, "output"))
    group = Group(0, 1, 6, 2, 3, (Pace(1, 1), Pace()), (1,))
    program = Program("p", steps, buffers, (table,), (0,), (2,), (group,))
    return EmitInputs("demo", TARGET, (program,), place(plan((program,)), TARGET), "ab" * 32, "p")


def test_a_striped_group_is_a_loop_over_rows() -> None:
    source = project_files(striped())["model/demo.c"].decode()
    start = source.index("    /* 0 to 1")
    assert source[start : source.index("    return STAPES_OK", start)] == (
        "    /* 0 to 1, 2 of 6 rows at a time. */\n"
        "    for (int32_t row = 0, rows; row < 6; row += rows) {\n"
        "        rows = stapes_stripe(row, 2, 3);\n"
        "\n"
        "        /* 0: a */\n"
        "        stapes_add_s8(0, rows + 1, (int8_t *)(arena + DEMO_AT_X + row * 16),\n"
        "                      (int8_t *)(arena + DEMO_AT_A));\n"
        "        if (stapes_stopped(context, 0)) {\n"
        "            return STAPES_ERROR_CANCELLED;\n"
        "        }\n"
        "\n"
        "        /* 1: b */\n"
        "        stapes_add_s8(0, rows, (int8_t *)(arena + DEMO_AT_A), demo_table + row / 3 * 2,\n"
        "                      (int16_t *)(void *)(arena + DEMO_AT_Y + row * 2));\n"
        "        if (stapes_stopped(context, 1)) {\n"
        "            return STAPES_ERROR_CANCELLED;\n"
        "        }\n"
        "    }\n"
    )
    bound = project_files(replace(striped(), weights="bin"))["model/demo.c"].decode()
    assert re.search(r"stapes_bound\(context, \w+ \+ \(uint32_t\)\(row / 3 \* 4\)\)", bound)
