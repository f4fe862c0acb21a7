# SPDX-License-Identifier: Apache-2.0
"""Striped groups as text and data: how many rows at a time, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen.program import Program


def stripes_data(program: Program) -> list[dict[str, Any]]:
    """Each group of a program: its steps, the most rows a stripe, and how often its loop runs."""
    return [
        {
            "first_step": group.first_step,
            "last_step": group.last_step,
            "rows": group.rows,
            "stripe_rows": group.stripe_rows,
            "stripes": sum(1 for _ in group.stripes()),
        }
        for group in program.groups
    ]


def stripe_lines(programs: Sequence[Program]) -> list[str]:
    """A line for each group, and one for the multiplications that a program does again."""
    lines = []
    for program in programs:
        several = f"{program.name:.60}: " if len(programs) > 1 else ""
        for row in stripes_data(program):
            lines.append(
                f"{several}steps {row['first_step']}-{row['last_step']}: {row['stripe_rows']} of"
                f" {row['rows']} rows at a time"
            )
        if program.groups:
            share = 100 * program.macs_again / max(1, program.macs - program.macs_again)
            lines.append(
                f"{several}stripes do {program.macs_again:,} multiplications again, {share:.1f} %"
            )
    return lines
