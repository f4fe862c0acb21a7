# SPDX-License-Identifier: Apache-2.0
"""The planner and its validator on programs small enough to work out by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from codegen.errors import StapesError
from codegen.graph import Graph, Operator, Tensor
from codegen.memory.liveness import Interval, graph_peak_bytes, intervals, peak_bytes
from codegen.memory.place import place
from codegen.memory.plan import offsets, plan
from codegen.memory.validate import validate, violations
from codegen.memory_plan import BEFORE
from codegen.program import Buffer, Group, Program, Step
from codegen.target import Region, Target


def step(
    name: str,
    reads: tuple[int, ...],
    writes: tuple[int, ...],
    scratch_bytes: int = 0,
    in_place: tuple[tuple[int, int], ...] = (),
) -> Step:
    return Step(name, name, name + ".h", (), reads, writes, 1, scratch_bytes, in_place)


def chain(*sizes: int, in_place: bool = False) -> Program:
    """input -> ... -> output, one step between two buffers."""
    last = len(sizes) - 1
    roles = {0: "input", last: "output"}
    buffers = tuple(Buffer(f"b{i}", s, roles.get(i, "activation")) for i, s in enumerate(sizes))
    steps = tuple(
        step(f"s{i}", (i,), (i + 1,), 0, ((i, i + 1),) if in_place else ()) for i in range(last)
    )
    return Program("chain", steps, buffers, (), (0,), (last,))


def test_intervals_follow_roles_and_steps() -> None:
    program = Program(
        "p",
        (step("s0", (0,), (1,), 64), step("s1", (1, 3), (2,))),
        (
            Buffer("x", 16, "input"),
            Buffer("a", 16),
            Buffer("y", 16, "output"),
            Buffer("cache", 16, "state"),
            Buffer("audio", 16, "front_end"),
            Buffer("unused", 16),
        ),
        (),
        (0,),
        (2,),
    )
    found = {each.name: (each.first_use, each.last_use) for each in intervals(program)}
    assert found == {
        "x": (BEFORE, 0),
        "a": (0, 1),
        "y": (1, 2),
        "cache": (BEFORE, 2),
        "audio": (BEFORE, BEFORE),
        "s0 scratch": (0, 0),
    }


def test_a_chain_reaches_its_lower_bound() -> None:
    found = plan([chain(100, 50, 80, 120, 10)])
    assert found.lower_bound_bytes == 128 + 80  # 80 padded and 120 padded
    assert found.total_bytes == found.lower_bound_bytes


def test_in_place_shares_the_inputs_bytes() -> None:
    found = plan([chain(64, 64, 64, in_place=True)])
    assert found.total_bytes == found.lower_bound_bytes == 64
    assert {each.offset_bytes for each in found.placements[0]} == {0}
    validate([chain(64, 64, 64, in_place=True)], found)
    assert "overlap" in violations([chain(64, 64, 64)], found)[0]


def test_in_place_is_left_alone_while_the_input_is_still_read() -> None:
    program = Program(
        "p",
        (step("s0", (0,), (1,), 0, ((0, 1),)), step("add", (0, 1), (2,))),
        (Buffer("x", 64, "input"), Buffer("a", 64), Buffer("y", 64, "output")),
        (),
        (0,),
        (2,),
    )
    found = plan([program])
    assert found.buffer(0, 0).offset_bytes != found.buffer(0, 1).offset_bytes
    validate([program], found)


def shared(program: Program) -> tuple[str, ...]:
    """What the validator says where buffer 1 lies exactly on buffer 0."""
    found = plan([program])
    row = [replace(each, offset_bytes=64 * each.buffer) for each in found.placements[0]]
    row[1] = replace(row[1], offset_bytes=row[0].offset_bytes)
    return violations([program], replace(found, placements=(tuple(row),), arena_bytes=ROOM))


ROOM = (("arena", 1024),)


def test_the_validator_permits_in_place_only_to_the_last_reader_that_reads_once() -> None:
    allowed = chain(64, 64, 64, in_place=True)
    pair = ((0, 1),)
    late = (step("s0", (0,), (1,), 0, pair), step("add", (0, 1), (2,)))
    twice = (step("s0", (0, 0), (1,), 0, pair), allowed.steps[1])
    assert shared(allowed) == ()
    broken = {
        "late": replace(allowed, steps=late),
        "twice": replace(allowed, steps=twice),
        "group": replace(
            allowed,
            steps=(step("other", (0,), (2,)), step("s0", (0,), (1,), 0, pair)),
            groups=(Group(0, 1, 8, 2),),
        ),
        "state": replace(
            allowed, buffers=(replace(allowed.buffers[0], role="state"), *allowed.buffers[1:])
        ),
        "larger": replace(
            allowed, buffers=(replace(allowed.buffers[0], size_bytes=48), *allowed.buffers[1:])
        ),
        "not said": chain(64, 64, 64),
    }
    for name, program in broken.items():
        assert any("destroys 'b0'" in each for each in shared(program)), name


def test_an_output_does_not_cover_a_smaller_input() -> None:
    found = plan([chain(16, 64, in_place=True)])
    assert found.total_bytes == 80
    validate([chain(16, 64, in_place=True)], found)


def test_a_group_keeps_its_inputs_to_its_end() -> None:
    program = replace(chain(64, 64, 64, 64, in_place=True), groups=(Group(0, 2, 8, 2),))
    found = plan([program])
    assert found.total_bytes == 256
    validate([program], found)


def test_state_has_one_place_in_all_programs() -> None:
    state = Buffer("cache", 48, "state")
    one = Program("one", (step("s", (0,), (1,)),), (Buffer("x", 16, "input"), state), (), (0,), ())
    two = Program("two", (step("s", (0,), (1,)),), (state, Buffer("y", 96, "output")), (), (), (1,))
    found = plan([one, two])
    validate([one, two], found)
    assert found.buffer(0, 1).offset_bytes == found.buffer(1, 0).offset_bytes
    assert found.total_bytes == found.lower_bound_bytes == 48 + 96
    state_at = found.buffer(0, 1).offset_bytes
    moved = replace(found.placements[1][0], offset_bytes=0 if state_at else 96)
    rows = (found.placements[0], (moved, found.placements[1][1]))
    assert any(
        "state moves" in each for each in violations([one, two], replace(found, placements=rows))
    )
    other = replace(two, buffers=(replace(state, size_bytes=99), two.buffers[1]))
    with pytest.raises(StapesError, match=r"cache.*48.*112"):
        plan([one, other])


def test_scratch_is_placed_apart_from_what_lives() -> None:
    program = replace(chain(32, 32), steps=(step("s0", (0,), (1,), 100),))
    found = plan([program])
    scratch = found.scratch(0, 0)
    assert scratch is not None
    assert scratch.size_bytes == 100
    assert found.scratch(0, 1) is None
    assert found.total_bytes == 32 + 32 + 112
    validate([program], found)


def test_the_validator_names_each_rule() -> None:
    program = chain(100, 50, 80)
    found = plan([program])
    row = found.placements[0]

    def broken(*placements: object, **changes: object) -> str:
        return "; ".join(violations([program], replace(found, **changes)))  # type: ignore[arg-type]

    def with_first(**changes: object) -> str:
        return broken(placements=((replace(row[0], **changes), *row[1:]),))  # type: ignore[arg-type]

    assert broken() == ""
    assert "missing program" in broken(placements=())
    assert "missing buffer" in broken(placements=(row[1:],))
    assert "duplicate" in broken(placements=((*row, row[0]),))
    assert "wrong size" in with_first(size_bytes=99)
    assert "misaligned" in with_first(offset_bytes=row[0].offset_bytes + 8)
    assert "out of arena" in with_first(offset_bytes=-16)
    assert "out of arena" in with_first(region="elsewhere")
    assert "wrong lifetime" in with_first(last_use=2)
    assert "wrong program" in with_first(program=1)
    assert "unknown buffer" in with_first(buffer=9)
    assert "overlap" in with_first(offset_bytes=row[1].offset_bytes)
    assert "lower bound" in broken(lower_bound_bytes=10**6)
    assert "multiple of 16" in broken(arena_bytes=(("arena", found.total_bytes + 1),))


def test_graph_peak_counts_every_activation_of_the_file() -> None:
    def tensor(name: str, size: int, data: object = None) -> Tensor:
        return Tensor(name, (size,), "int8", None, np.zeros(size, np.int8) if data else None)

    graph = Graph(
        "g",
        (tensor("x", 32), tensor("w", 999, True), tensor("a", 48), tensor("y", 16)),
        (Operator(0, "A", (0, 1, -1), (2,)), Operator(1, "B", (2,), (3,))),
        (0,),
        (3,),
    )
    assert graph_peak_bytes(graph) == 80


def test_place_names_the_targets_region() -> None:
    region = Region("dtcm", "tcm", 0x2000_0000, 1 << 16, "somewhere")
    target = Target(
        "t", "T", "cortex-m4", (), 1, "host", 0, (region,), "f", "f", "dtcm", "dtcm", "somewhere"
    )
    program = chain(16, 16)
    found = place(plan([program]), target)
    validate([program], found)
    assert found.arena_bytes == (("dtcm", 32),)
    assert {each.region for each in found.placements[0]} == {"dtcm"}


# A static allocation problem a test: half-open [lower, upper), as allocators' benchmarks write it.
CASES = {
    "stairs": (64, "id,lower,upper,size\na,0,2,16\nb,1,3,48\nc,2,4,16\nd,3,5,48\n"),
    # First fit by size alone needs 96 here; another order finds 80.
    "pinwheel": (
        80,
        "id,lower,upper,size\na,0,3,48\nb,3,6,32\nc,0,2,32\nd,2,5,16\ne,5,7,48\nf,3,5,32\n",
    ),
    "one": (16, "id,lower,upper,size\na,0,1,1\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_allocation_problems_from_csv(name: str) -> None:
    capacity, text = CASES[name]
    rows = list(csv.DictReader(io.StringIO(text)))
    needs = [
        Interval(i, r["id"], int(r["size"]), 16, int(r["lower"]), int(r["upper"]) - 1)
        for i, r in enumerate(rows)
    ]
    found = offsets(needs).offsets
    assert max(o + n.padded_bytes for o, n in zip(found, needs, strict=True)) == capacity
    assert peak_bytes(needs) == capacity
