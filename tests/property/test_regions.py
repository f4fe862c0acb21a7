# SPDX-License-Identifier: Apache-2.0
"""Random programs over several regions: sound, and within the room of each."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.memory.place import spread
from codegen.memory.plan import plan
from codegen.memory.validate import validate
from codegen.memory.validate_regions import validate_regions
from codegen.program import Program
from codegen.target import load_target
from tests.property.test_memory_plan import programs
from tests.unit.test_regions import with_region

TCM = load_target("mps3-an547-tcm")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(programs(), min_size=1, max_size=2),
    st.integers(0, 2500),
    st.integers(0, 2500),
    st.lists(st.sampled_from(("arena", "state")), min_size=1, unique=True),
)
def test_plans_over_regions_are_sound(
    several: list[Program], near_bytes: int, next_bytes: int, holds: list[str]
) -> None:
    several = [replace(program, groups=()) for program in several]  # theirs have no paces
    target = with_region(TCM, "dtcm", reserve_bytes=0x80000 - near_bytes - 48, holds=tuple(holds))
    target = with_region(target, "sram", reserve_bytes=0x200000 - next_bytes - 48)
    runs = (1,) * len(several)
    found = spread(several, plan(several), target, {}, runs)
    validate(several, found)
    validate_regions(several, found, target)
    for use in found.uses:
        assert use.arena_bytes <= use.available_bytes, use.region
    assert found == spread(several, plan(several), target, {}, runs)
