# SPDX-License-Identifier: Apache-2.0
"""Regions of buffers and weights: what is counted, what is cheapest, and what is said of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import project_files
from codegen.errors import StapesError, UserError
from codegen.memory.assign import Item, assign, peak
from codegen.memory.place import place, spread
from codegen.memory.plan import plan
from codegen.memory.stage import staged, stages
from codegen.memory.traffic import Access, traffic
from codegen.memory.validate import validate
from codegen.memory.validate_regions import validate_regions
from codegen.memory.validate_stages import validate_stages
from codegen.memory_plan import MemoryPlan
from codegen.program import Buffer, BufferRef, Constant, Params, Program, RowAccess, Scratch, Step
from codegen.report.data import plan_report_data
from codegen.report.memory_map import memory_maps_svg
from codegen.report.text import plan_view, to_text
from codegen.target import Target, load_target, read_target
from tests.e2e._models import MICRO_SPEECH, PERSON_DETECT
from tests.unit.test_target import GOOD

TCM = load_target("mps3-an547-tcm")


def with_region(target: Target, name: str, **fields: Any) -> Target:
    """The target with other fields of one region."""
    regions = tuple(replace(r, **fields) if r.name == name else r for r in target.regions)
    return replace(target, regions=regions)


def with_room(dtcm_bytes: int, target: Target = TCM) -> Target:
    """The target with so many bytes in its DTCM, and no weights in its ITCM."""
    size = target.region("dtcm").size_bytes
    target = with_region(target, "itcm", holds=(), reserve_bytes=0)
    return with_region(target, "dtcm", reserve_bytes=size - dtcm_bytes)


def matrix(rows: int = 5) -> Program:
    """A product of 7 x 3 weights with rows of 7 bytes."""
    weights, bias = Constant("weights", np.zeros(21, np.int8)), Constant("bias", np.ones(3, "<i4"))
    params = Params("stapes_fully_connected_params", (("depth", 7), ("bias", bias)))
    operands = (
        params,
        BufferRef(0, "int8_t"),
        weights,
        Scratch(),
        BufferRef(1, "int8_t"),
    )
    accesses = (None, RowAccess(7), None, None, RowAccess(3))
    step = Step("s", "k", "h", operands, (0,), (1,), rows, 14, macs=21 * rows, by_row=accesses)
    buffers = (Buffer("x", 7 * rows, "input"), Buffer("y", 3 * rows, "output"))
    return Program("p", (step,), buffers, (weights, bias), (0,), (1,))


def test_accesses_are_those_of_products_and_rows() -> None:
    found = traffic(matrix(), runs=10)
    assert found.constants == {"weights": Access(21 * 5 * 10), "bias": Access(12 * 5 * 10)}
    assert found.scratch == {0: Access(21 * 5 * 10, 14 * 5 * 10)}
    given, asked = 7 * 5 * 10, 3 * 5 * 10  # by who feeds the program, and who reads its output
    assert found.buffers == {0: Access(21 * 5 * 10 + given, given), 1: Access(asked, 2 * asked)}


def cheapest(items: Sequence[Item], rooms: Mapping[str, int]) -> float | None:
    """The least cost of all assignments, tried one by one."""
    found = [
        sum(item.costs[region] for item, region in zip(items, regions, strict=True))
        for regions in itertools.product(*(item.costs for item in items))
        if all(peak(items, regions, name) <= room for name, room in rooms.items())
    ]
    return min(found, default=None)


@pytest.mark.parametrize("seed", range(12))
def test_no_assignment_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(7):
        first = int(rng.integers(6))
        last = first + int(rng.integers(1, 4))
        costs = {"a": float(rng.integers(1, 9)), "b": 10.0, "c": float(rng.integers(20, 60))}
        items.append(Item(16 * int(rng.integers(1, 9)), first, last, costs))
    rooms = {"a": 16 * 8, "b": 16 * 10, "c": 16 * 100}
    found = assign(items, rooms)
    cost = sum(item.costs[r] for item, r in zip(items, found.regions, strict=True))
    least = cheapest(items, rooms)
    assert least is not None
    assert least <= cost <= least * 1.001
    assert all(peak(items, found.regions, name) <= room for name, room in rooms.items())
    assert found == assign(items, rooms)


def test_what_fits_nowhere_exceeds_least() -> None:
    items = [Item(160, 0, 9, {"a": 1.0, "b": 2.0}), Item(320, 0, 9, {"a": 1.0, "b": 2.0})]
    found = assign(items, {"a": 304, "b": 128})
    assert found.excess_bytes == 48  # 16 of the larger one in a, 32 of the other in b
    assert found.regions == ("b", "a")


def test_an_output_may_lie_on_its_input() -> None:
    """Both in a room of one, where the second costs nothing more."""
    costs = {"fast": 1.0, "slow": 9.0}
    items = [Item(64, 0, 1, costs), Item(64, 1, 2, costs, covers=(0,))]
    assert assign(items, {"fast": 64, "slow": 1000}).regions == ("fast", "fast")
    apart = [items[0], replace(items[1], covers=())]
    assert sorted(assign(apart, {"fast": 64, "slow": 1000}).regions) == ["fast", "slow"]


def compiled(source: Path, target: Target) -> pipeline.Compiled:
    return pipeline.compile_model(pipeline.open_model(source), target)


def test_one_region_is_as_before() -> None:
    target = load_target("mps3-an547")
    programs = compiled(MICRO_SPEECH, target).programs
    given = plan(programs)
    assert spread(programs, given, target, {}, (1,)) == place(given, target)
    assert place(given, target).uses == ()


def test_what_fits_into_the_fastest_region_lies_there_alone() -> None:
    found = compiled(MICRO_SPEECH, with_room(100_000))
    assert [name for name, _ in found.plan.arena_bytes] == ["dtcm"]
    assert found.plan.total_bytes == found.plan.lower_bound_bytes
    assert {region for _, region in found.plan.weights[0]} == {"dtcm"}
    assert found.plan.assignment_gap == 0


def test_two_regions_hold_what_one_cannot() -> None:
    target = with_room(12_000)
    found = compiled(PERSON_DETECT, target)
    arenas = dict(found.plan.arena_bytes)
    assert set(arenas) == {"dtcm", "sram"}
    assert found.plan.moved(0)
    uses = {use.region: use for use in found.plan.uses}
    assert 0.9 * 12_000 < uses["dtcm"].arena_bytes + uses["dtcm"].weights_bytes <= 12_000
    assert sum(use.cycles for use in found.plan.uses) < 0.8 * found.plan.own_cycles
    assert found.plan == compiled(PERSON_DETECT, target).plan
    cheaper = compiled(PERSON_DETECT, with_room(60_000)).plan
    assert sum(u.cycles for u in cheaper.uses) < sum(u.cycles for u in found.plan.uses)


def test_a_region_for_state_holds_nothing_else() -> None:
    programs = compiled(PERSON_DETECT, load_target("mps3-an547")).programs
    kept = Buffer("cache", 4096, "state")
    changed = (replace(programs[0], buffers=(*programs[0].buffers, kept)),)
    target = with_region(with_room(100_000), "dtcm", holds=("state",))
    found = spread(changed, plan(changed), target, {}, (1,))
    there = {p.name for p in found.placements[0] if p.region == "dtcm"}
    assert there == {"cache"}
    validate(changed, found)
    validate_regions(changed, found, target)


def test_the_checks_notice_a_wrong_region() -> None:
    target = with_room(12_000)
    found = compiled(PERSON_DETECT, target)
    validate_regions(found.programs, found.plan, target)
    only_state = with_region(target, "dtcm", holds=("state", "weights"))
    with pytest.raises(StapesError, match="in 'dtcm', which may not hold arena"):
        validate_regions(found.programs, found.plan, only_state)
    no_weights = with_region(target, "dtcm", holds=("arena", "state"))
    with pytest.raises(StapesError, match="in 'dtcm', which may not hold weights"):
        validate_regions(found.programs, found.plan, no_weights)
    twice = replace(found.plan, weights=((*found.plan.weights[0], found.plan.weights[0][0]),))
    with pytest.raises(StapesError, match="is not placed once"):
        validate_regions(found.programs, twice, target)


def test_what_would_make_it_fit_is_computed() -> None:
    small = with_region(load_target("mps3-an547"), "sram", size_bytes=0x4000)
    found = compiled(PERSON_DETECT, small)
    with pytest.raises(UserError) as caught:
        pipeline.emit_inputs(found)
    message = str(caught.value)
    assert "'sram' requires 26,496 bytes, 16,384 are available, 10,112 in excess" in message
    assert '[regions.dtcm] holds = ["arena", "state"], where 26,496 bytes would go' in message
    assert "a 'sram' of 26,496 bytes" in message
    assert "--target alif-e1c" in message
    opened = with_region(small, "dtcm", holds=("arena", "state"))
    assert pipeline.emit_inputs(compiled(PERSON_DETECT, opened))
    larger = with_region(load_target("mps3-an547"), "sram", size_bytes=26_496)
    assert pipeline.emit_inputs(compiled(PERSON_DETECT, larger))


def test_several_regions_may_be_too_small_together() -> None:
    target = with_region(with_room(9_000), "sram", size_bytes=0x2000)
    target = with_region(target, "ddr", holds=())
    found = compiled(PERSON_DETECT, target)
    with pytest.raises(UserError, match=r"in excess .* --target "):
        pipeline.emit_inputs(found)


def test_weights_are_copied_where_that_pays() -> None:
    """Lines of images multiply by a filter many times, the only row of a matrix once."""
    without = with_region(with_room(12_000), "sram", holds=())
    without = with_region(without, "dtcm", holds=("arena", "state", "weights"))
    with_copies = compiled(PERSON_DETECT, with_room(12_000))
    direct = compiled(PERSON_DETECT, without)
    (program,), (given,) = with_copies.programs, direct.programs
    copied = [step for step in program.steps if step.kernel == "stapes_copy"]
    assert len(copied) > 5
    assert len(program.steps) == len(given.steps) + len(copied)
    assert sum(u.cycles for u in with_copies.plan.uses) < sum(u.cycles for u in direct.plan.uses)
    one_row = stages((matrix(1),), MemoryPlan((), (), 0), with_room(12_000), (10,))
    many_rows = stages((matrix(9),), MemoryPlan((), (), 0), with_room(12_000), (10,))
    assert (len(one_row), len(many_rows)) == (0, 1)
    assert many_rows[0].read_bytes == 9 * many_rows[0].copied_bytes == 9 * 21 * 10


def test_a_region_may_hold_copies_alone() -> None:
    target = with_region(with_room(12_000), "dtcm", holds=("copies",))
    found = compiled(PERSON_DETECT, with_region(target, "sram", holds=()))
    kinds = {
        found.programs[0].buffers[each.buffer].role
        for each in found.plan.placements[0]
        if each.region == "dtcm" and each.buffer >= 0
    }
    assert kinds == {"copy"}
    assert found.plan.moved(0) == {}
    assert sum(use.cycles for use in found.plan.uses) < found.plan.own_cycles


def test_groups_have_their_copies_in_front() -> None:
    found = compiled(PERSON_DETECT, with_room(12_000))
    (program,), given = found.programs, found.unsettled.programs
    assert program.groups
    for group, before in zip(program.groups, given[0].groups, strict=True):
        assert group.paces == before.paces
        steps = program.steps[group.first_step : group.last_step + 1]
        assert "stapes_copy" not in [step.kernel for step in steps]
    validate_stages(given, found.programs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda steps: steps[1:], "reads a copy before it is made"),
        (lambda steps: [steps[1], steps[0], *steps[2:]], "reads a copy before it is made"),
        (lambda steps: [replace(steps[0], kernel="stapes_add_s8"), *steps[1:]], "something else"),
        (lambda steps: [*steps[:-1]], "steps are left of"),
        (lambda steps: [*steps[:-1], replace(steps[-1], rows=2)], "has changed"),
        (
            lambda steps: [
                replace(steps[0], operands=(20, *steps[0].operands[1:])),
                *steps[1:],
            ],
            "something else",
        ),
    ],
)
def test_the_check_of_copies_notices(
    change: Callable[[Sequence[Step]], Sequence[Step]], message: str
) -> None:
    given = (matrix(9),)
    target = with_room(12_000)
    found = staged(given, stages(given, MemoryPlan((), (), 0), target, (10,)))
    validate_stages(given, found)
    wrong = replace(found[0], steps=tuple(change(found[0].steps)))
    with pytest.raises(StapesError, match=message):
        validate_stages(given, (wrong,))


def test_the_plan_is_told_by_region() -> None:
    found = compiled(PERSON_DETECT, with_room(12_000))
    text = to_text(plan_view(found.programs, found.plan), 120)
    for words in ("dtcm: ", "sram: ", "2 arenas, ", "of 113 arrays", "are copied", "memory takes "):
        assert words in text
    data = json.loads(json.dumps(plan_report_data(found.programs, found.plan)))
    assert [each["region"] for each in data["regions"]] == ["dtcm", "sram", "ddr"]
    assert set(data["weights"][0]["regions"].values()) == {"dtcm"}
    svg = memory_maps_svg(found.programs, found.plan, "x")
    assert svg.count('<g class="map"') == 2


def test_each_region_has_a_macro_and_a_section() -> None:
    target = with_region(with_room(12_000), "dtcm", section="near", alignment_bytes=32)
    files = project_files(pipeline.emit_inputs(compiled(PERSON_DETECT, target)))
    arena = files["model/person_detect_arena.h"].decode()
    script = files["board/board.ld"].decode()
    assert "#define PERSON_DETECT_DTCM_BYTES (PERSON_DETECT_ARENA_DTCM_BYTES + " in arena
    assert "#if PERSON_DETECT_DTCM_BYTES > PERSON_DETECT_DTCM_REGION_BYTES\n#error" in arena
    assert "#define PERSON_DETECT_DTCM_REGION_BYTES 12000u" in arena
    assert 'STAPES_WEIGHTS_IN("near")' in files["model/person_detect_weights.c"].decode()
    assert "_Alignas(32) static uint8_t" in files["board/main.c"].decode()
    assert "*(.bss.stapes_arena.near)\n    } > dtcm" in script
    assert ".stapes_arena_near (NOLOAD) : ALIGN(32)" in script
    assert "} > dtcm AT> ddr" in script


HELD = GOOD.replace("[regions.sram]", '[regions.sram]\nholds = ["weights"]')


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["weights"]', '["weight"]', "region 'sram': holds 'weight'; allowed: arena, state"),
        ('["weights"]', "[]", "region 'sram': holds = [] lets nothing use it"),
        ("[regions.flash]", '[regions.flash]\nholds = ["state"]', "flash cannot be written to"),
        (
            "[regions.flash]",
            '[regions.spare]\nkind = "sram"\nbase = 0x30000000\nsize_bytes = 4096\nsource = "-"\n'
            "[regions.flash]",
            "region 'spare': nothing may use it",
        ),
        ('["weights"]', '["weights"]\nalignment_bytes = 24', "must be a power of two from 16"),
        ('["weights"]', '["weights"]\nalignment_bytes = 8192', "from 16 to the region's size"),
        ("base = 0x20000000", "base = 0x20000010\nalignment_bytes = 32", "no multiple of its"),
        ('["weights"]', '["weights"]\nreserve_bytes = 4096', "it must be below 4096"),
        ('["weights"]', '["weights"]\nsection = "flash"', "two regions have the section 'flash'"),
        ('["weights"]', '["weights"]\nsection = "a.b"', "section is 'a.b'; it must be"),
        ('code = "flash"', 'code = "sram"', "give it reserve_bytes for the code"),
        ('["weights"]', '["weights"]\nbytes_per_cycle = 0', "bytes_per_cycle is 0; it must be a"),
        ('["weights"]', '["weights"]\nwrite_bytes_per_cycle = 1e-9', "it must be from 0.001 to"),
    ],
)
def test_mistakes_in_regions_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(HELD, encoding="utf-8")
    read_target(path)
    assert old in HELD
    path.write_text(HELD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_target(path)
    assert message in str(caught.value)
    assert "chip.toml" in str(caught.value)


def test_no_more_regions_than_a_context_has_arenas(tmp_path: Path) -> None:
    more = "".join(
        f'\n[regions.more_{n}]\nkind = "sram"\nbase = {0x3000_0000 + n * 4096}\n'
        'size_bytes = 4096\nholds = ["arena"]\nsource = "-"\n'
        for n in range(4)
    )
    path = tmp_path / "chip.toml"
    path.write_text(GOOD + more, encoding="utf-8")
    with pytest.raises(UserError, match="5 regions may hold arena, state or"):
        read_target(path)
