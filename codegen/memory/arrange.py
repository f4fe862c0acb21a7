# SPDX-License-Identifier: Apache-2.0
"""Order and offsets together: the order with the smaller peak, unless its plan takes more bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.memory.order import order
from codegen.memory.plan import plan
from codegen.memory_plan import MemoryPlan
from codegen.program import Program


def arrange(
    programs: Sequence[Program], *, unmodified_peak_bytes: int = 0
) -> tuple[tuple[Program, ...], MemoryPlan]:
    """Programs, which run one after another, with steps in the order to run them in, planned.

    Raises StapesError where two programs give one state or shared buffer different sizes.
    """
    found = order(programs)
    ordered, best = found.programs, plan(found.programs)
    if best.lower_bound_bytes < found.given_bytes < best.total_bytes:
        given = plan(programs)
        if given.total_bytes <= best.total_bytes:
            ordered, best = tuple(programs), given
    return ordered, replace(
        best,
        unmodified_peak_bytes=unmodified_peak_bytes,
        given_order_bytes=found.given_bytes,
        any_order_bytes=found.least_bytes,
    )
