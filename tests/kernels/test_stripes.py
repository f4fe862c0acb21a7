# SPDX-License-Identifier: Apache-2.0
"""Rows that a stripe at a time computes have the bits of those that are computed together."""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from codegen.errors import StapesError
from codegen.graph import Graph
from codegen.lower import lower, variants
from codegen.memory.liveness import intervals, peak_bytes
from codegen.memory.overlay import renumbered
from codegen.memory.plan import plan
from codegen.memory.rows import grouped, touched
from codegen.memory.stripe import smallest, stripe, with_groups
from codegen.memory.validate import validate
from codegen.memory.validate_stripes import validate_values, violations
from codegen.program import BufferRef, Group, Pace, Program
from codegen.registry import plugins
from codegen.variants import heads
from tests.kernels.harness import Runner, build_library, random_inputs
from tests.kernels.nets import Net, normalized_stem, stem, transformer

CASES = 25


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("kernels"), "-O1")


@pytest.mark.parametrize("name", sorted(plugins("codegen.ops")))
def test_rows_need_only_what_the_operator_says(name: str, library: ctypes.CDLL) -> None:
    """Every other byte of what is taken by row is overwritten before a row is made."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for graph in islice(plugins("codegen.ops")[name].cases(rng), CASES):
        program = lower(graph, None)
        if len(program.steps) != 1 or not program.steps[0].by_row:
            continue
        inputs = next(islice(random_inputs(rng, graph), 4, None))
        (whole,) = Runner(library, graph, program)(inputs)
        (step,) = program.steps
        accesses = zip(step.operands, step.by_row, strict=True)
        by_buffer = {o.index: a for o, a in accesses if isinstance(o, BufferRef) and a}
        output = by_buffer[step.writes[0]].unit_bytes
        assert whole.nbytes == output * step.rows
        for row in rng.integers(0, step.rows, 3):
            changed = []
            for position, data in zip(program.inputs, inputs, strict=True):
                access = by_buffer.get(position)
                raw = np.frombuffer(data.tobytes(), np.uint8).copy()
                if access is not None:
                    units = access.units(int(row))
                    if step.edges is not None:
                        units = max(0, units[0]), min(raw.size // access.unit_bytes, units[1])
                    first, last = (unit * access.unit_bytes for unit in units)
                    assert 0 <= first < last <= raw.size
                    raw[:first], raw[last:] = 0, 0
                changed.append(np.frombuffer(raw.tobytes(), data.dtype).reshape(data.shape))
            (alone,) = Runner(library, graph, program)(changed)
            here = slice(row * output, (row + 1) * output)
            assert alone.tobytes()[here] == whole.tobytes()[here], graph.operators[0].options


def all_groups(program: Program) -> Iterator[Group]:
    """Every run that can be a group, as long as it has two steps."""
    for first in range(len(program.steps)):
        for last in range(first + 1, len(program.steps)):
            group = grouped(program, touched(program), first, last)
            if group is not None:
                yield group


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (transformer, "int8"),
        (transformer, "int16"),
        (transformer, "float32"),
        (stem, "int8"),
        (stem, "int16"),
    ],
)
def test_any_group_at_any_height_has_the_same_bits(
    make: Callable[[int, str], Graph], dtype: str, library: ctypes.CDLL
) -> None:
    paces = set[Pace]()
    for seed in range(4 if make is transformer else 16):
        rng = np.random.default_rng(seed)
        graph = make(seed, dtype)
        program = lower(graph, None)
        inputs = next(islice(random_inputs(rng, graph), 4, None))
        (whole,) = Runner(library, graph, program)(inputs)
        assert len(np.unique(whole)) > 6
        for group in all_groups(program):
            height = int(rng.integers(1, group.block_rows + 1))
            striped = with_groups(program, [replace(group, stripe_rows=height)])
            (got,) = Runner(library, graph, striped)(inputs)
            assert got.tobytes() == whole.tobytes(), (seed, group)
            paces.update(group.paces)
            validate([striped], plan([striped]))
    assert len(paces) > 1


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_stripes_lower_the_peak_and_keep_the_bits(dtype: str, library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(1)
    net = Net(rng, (1, 60, 8), dtype)
    graph = net.graph(net.feed_forward(net.attention(net.input, 2)))
    program = lower(graph, None)
    striped = stripe(program)
    before, after = (peak_bytes(intervals(each)) for each in (program, striped))
    value = {"int8": 1, "int16": 2, "float32": 4}[dtype]
    assert before >= 2 * 60 * 60 * value
    assert after <= 7 * 60 * 8 * value
    assert len(striped.groups) >= 1
    found = plan([striped])
    validate([striped], found)
    inputs = next(islice(random_inputs(rng, graph), 4, None))
    (whole,), (got,) = (Runner(library, graph, each)(inputs) for each in (program, striped))
    assert got.tobytes() == whole.tobytes()


def test_a_large_buffer_is_made_again_for_each_reader(library: ctypes.CDLL) -> None:
    graph = normalized_stem(3)
    program = lower(graph, None)
    striped = stripe(program)
    assert [step.name for step in striped.steps if step.again]
    before, after = (peak_bytes(intervals(each)) for each in (program, striped))
    assert after < 0.7 * before
    assert program.macs < striped.macs <= 1.25 * program.macs
    assert striped.macs_again == striped.macs - program.macs
    assert program.macs_again == 0
    found = plan([striped])
    validate([striped], found)
    validate_values([program], [striped])
    last = striped.steps[-1]
    other = replace(
        last,
        reads=striped.inputs,
        operands=(*last.operands[:3], BufferRef(0, ""), *last.operands[4:]),
    )
    with pytest.raises(StapesError, match="other values"):
        validate_values([program], [replace(striped, steps=(*striped.steps[:-1], other))])
    inputs = next(islice(random_inputs(np.random.default_rng(1), graph), 4, None))
    (whole,), (got,) = (Runner(library, graph, each)(inputs) for each in (program, striped))
    assert len(np.unique(whole)) > 6
    assert got.tobytes() == whole.tobytes()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_heads_have_the_bits_of_all_at_once_and_a_lower_peak(
    dtype: str, turned: bool, library: ctypes.CDLL
) -> None:
    """Two layers, whose norms of a kind (here a product) are made again for each head."""
    net = Net(np.random.default_rng(1), (1, 40, 24), dtype)
    x = net.input
    for _ in range(2):
        even = net.add("MUL", (x, x), net.shape(x))
        x = net.add("ADD", (x, net.attention(even, 3, turned)), net.shape(x))
    graph = net.graph(x)
    programs = list(variants(graph, None))
    striped = [stripe(program) for program in programs]
    assert len(programs) == 2
    validate_values(programs, striped)
    validate(striped, plan(striped))
    peaks = [peak_bytes(intervals(program)) for program in striped]
    assert peaks[1] < 0.85 * peaks[0]
    assert any(step.again for step in striped[1].steps)
    assert smallest(programs) == (programs[1], striped[1])
    assert smallest(programs[:1]) == (programs[0], striped[0])
    inputs = next(islice(random_inputs(np.random.default_rng(2), graph), 4, None))
    outputs = [Runner(library, graph, each)(inputs)[0] for each in (*programs, *striped)]
    assert len(np.unique(outputs[0])) > 6
    assert len({output.tobytes() for output in outputs}) == 1


def test_heads_that_are_not_alone_stay_together() -> None:
    net = Net(np.random.default_rng(1), (1, 20, 36), "int8")
    many = net.graph(net.attention(net.input, 9))  # more than CONCATENATION joins
    assert heads.apply(many) is many
    net = Net(np.random.default_rng(1), (1, 20, 24), "int8")
    few = net.graph(net.attention(net.input, 3))
    scores = next(o.outputs[0] for o in few.operators if o.kind == "SOFTMAX")
    assert heads.apply(few) is not few
    seen = replace(few, outputs=(*few.outputs, scores))
    assert heads.apply(seen) is seen


def test_what_is_striped_wrongly_is_named() -> None:
    program = stripe(lower(transformer(1, "int8"), None))
    group = program.groups[0]
    (held, *_) = group.held
    small = list(program.buffers)
    small[held] = replace(small[held], size_bytes=small[held].size_bytes - 1)
    outside = replace(program.steps[-1], reads=(*program.steps[-1].reads, held))
    broken = {
        "has no room": replace(program, buffers=tuple(small)),
        "which are not there": _with_pace(program, Pace(first=1)),
        "touches it too": replace(program, steps=(*program.steps[:-1], outside)),
        "has no rows": _with_pace(program, Pace(first=1000)),
    }
    for text, wrong in broken.items():
        assert any(text in each for each in violations(wrong)), (text, violations(wrong))


def test_an_output_takes_the_buffer_of_rows_that_were_read() -> None:
    net = Net(np.random.default_rng(1), (1, 60, 8), "int8")
    program = lower(net.graph(net.feed_forward(net.attention(net.input, 2))), None)
    striped = stripe(program)
    before = {step.name: step for step in program.steps}
    taken = [
        (group, step)
        for group in striped.groups
        for step in striped.steps[group.first_step : group.last_step + 1]
        if step.writes != before[step.name].writes
    ]
    assert taken
    assert violations(striped) == []
    group, step = taken[0]
    keys = next(
        operand.index
        for each in striped.steps[group.first_step : group.last_step]
        for operand, access in zip(each.operands, each.by_row, strict=True)
        if isinstance(operand, BufferRef) and access and access.share > 1
        if operand.index not in group.held
    )
    wrong = tuple(
        renumbered(each, {step.writes[0]: keys}) if each is step else each for each in striped.steps
    )
    assert any("which are not there" in each for each in violations(replace(striped, steps=wrong)))


def _with_pace(program: Program, pace: Pace) -> Program:
    """The program whose first group's first step has another pace."""
    group = program.groups[0]
    changed = replace(group, paces=(pace, *group.paces[1:]))
    return replace(program, groups=(changed, *program.groups[1:]))
