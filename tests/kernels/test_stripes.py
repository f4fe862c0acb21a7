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

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.memory.liveness import intervals, peak_bytes
from codegen.memory.plan import plan
from codegen.memory.rows import grouped, touched
from codegen.memory.stripe import stripe, with_groups
from codegen.memory.validate import validate
from codegen.memory.validate_stripes import violations
from codegen.program import BufferRef, Group, Pace, Program
from codegen.registry import plugins
from tests.kernels.harness import Runner, build_library, random_inputs

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


class _Net:
    """A graph that grows from its end, with the scales of `rng`."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> None:
        self.rng, self.tensors, self.operators = rng, list[Tensor](), list[Operator]()
        self.dtype = dtype
        self.input = self.hold(shape, dtype)

    def hold(self, shape: tuple[int, ...], dtype: str, data: np.ndarray | None = None) -> int:
        quantization = None
        if dtype in ("int8", "int16"):
            quantization = Quantization((float(np.float32(self.rng.uniform(0.01, 0.02))),), (0,))
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype, quantization, data))
        return len(self.tensors) - 1

    def add(
        self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], **options: object
    ) -> int:
        output = self.hold(shape, self.dtype)
        if kind == "SOFTMAX" and self.dtype != "float32":
            unit, zero = (1 / 256, -128) if self.dtype == "int8" else (1 / 32768, 0)
            fixed = replace(self.tensors[output], quantization=Quantization((unit,), (zero,)))
            self.tensors[output] = fixed
        if kind in ("RESHAPE", "TRANSPOSE"):
            same = replace(self.tensors[output], quantization=self.tensors[inputs[0]].quantization)
            self.tensors[output] = same
        self.operators.append(Operator(len(self.operators), kind, inputs, (output,), options))
        return output

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def matrix(self, x: int, outputs: int) -> int:
        shape = self.shape(x)
        data = self.rng.integers(-127, 128, (outputs, shape[-1])).astype(np.int8)
        scale = Quantization((0.01,), (0,))
        self.tensors.append(Tensor("w", data.shape, "int8", scale, data))
        inputs = (x, len(self.tensors) - 1)
        return self.add("FULLY_CONNECTED", inputs, (*shape[:-1], outputs), keep_num_dims=True)

    def order(self, x: int, *axes: int) -> int:
        where = self.hold((len(axes),), "int32", np.array(axes, np.int32))
        return self.add("TRANSPOSE", (x, where), tuple(self.shape(x)[axis] for axis in axes))

    def reshaped(self, x: int, *shape: int) -> int:
        return self.add("RESHAPE", (x,), shape, new_shape=list(shape))

    def feed_forward(self, x: int) -> int:
        wide = self.matrix(x, 5 * self.shape(x)[-1])
        wide = self.add("GELU", (wide,), self.shape(wide), approximate=False)
        return self.add("ADD", (x, self.matrix(wide, self.shape(x)[-1])), self.shape(x))

    def attention(self, x: int, heads: int) -> int:
        _, time, width = self.shape(x)
        depth = width // heads

        def split() -> int:
            return self.order(
                self.reshaped(self.matrix(x, width), 1, time, heads, depth), 0, 2, 1, 3
            )

        query, key, value = split(), split(), split()
        shape = (1, heads, time, time)
        scores = self.add("BATCH_MATMUL", (query, key), shape, adj_x=False, adj_y=True)
        scores = self.add("SOFTMAX", (scores,), shape, beta=1.0)
        value = self.add("MUL", (value, value), self.shape(value))
        mix = self.add(
            "BATCH_MATMUL", (scores, value), (1, heads, time, depth), adj_x=False, adj_y=False
        )
        mix = self.reshaped(self.order(mix, 0, 2, 1, 3), 1, time, width)
        return self.add("ADD", (x, self.matrix(mix, width)), self.shape(x))

    def convolution(
        self, x: int, stride: int, taps: int, width: int = 6, padding: str = "VALID"
    ) -> int:
        _, _, time, inputs = self.shape(x)
        data = self.rng.integers(-127, 128, (width, 1, taps, inputs)).astype(np.int8)
        scale = Quantization((0.01,) * width, (0,) * width, 0)
        self.tensors.append(Tensor("w", data.shape, "int8", scale, data))
        weights = len(self.tensors) - 1
        bias = np.zeros(
            width, {"int8": np.int32, "int16": np.int64, "float32": np.float32}[self.dtype]
        )
        self.tensors.append(Tensor("b", (width,), bias.dtype.name, None, bias))
        options = {"padding": padding, "stride_h": 1, "stride_w": stride}
        outputs = -(-time // stride) if padding == "SAME" else (time - taps) // stride + 1
        shape = (1, 1, outputs, width)
        sources = (x, weights, len(self.tensors) - 1)
        return self.add("CONV_2D", sources, shape, fused_activation_function="NONE", **options)

    def graph(self, output: int) -> Graph:
        return Graph("net", tuple(self.tensors), tuple(self.operators), (self.input,), (output,))


def transformer(seed: int, dtype: str) -> Graph:
    """One layer of attention and feed-forward on 11 to 19 frames of 8 to 12 channels."""
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(2, 4))
    net = _Net(rng, (1, int(rng.integers(11, 20)), 4 * heads), dtype)
    return net.graph(net.feed_forward(net.attention(net.input, heads)))


def stem(seed: int, dtype: str) -> Graph:
    """Two convolutions with a function between and behind them, with padding and without."""
    rng = np.random.default_rng(seed)
    net = _Net(rng, (1, 1, int(rng.integers(40, 60)), 6), dtype)
    x = net.input
    for stride, taps in ((4, 6), (3, 5)):
        padding = ("SAME", "VALID")[int(rng.integers(2))]
        step, size = int(rng.integers(1, stride)), int(rng.integers(1, taps))
        x = net.convolution(x, step, size, padding=padding)
        x = net.add("GELU", (x,), net.shape(x), approximate=False)
    return net.graph(x)


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
    net = _Net(rng, (1, 60, 8), dtype)
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


def normalized_stem(seed: int) -> Graph:
    """A convolution whose output is read three times: whole for a mean, in halves, and again."""
    rng = np.random.default_rng(seed)
    net = _Net(rng, (1, 1, 83, 2), "int16")
    x = net.convolution(net.input, 2, 1, width=12)
    x = net.add("GELU", (x,), net.shape(x), approximate=False)
    _, _, time, width = net.shape(x)
    half = time // 2
    lines = net.reshaped(x, 1, time, width)
    parts = []
    for first, count in ((0, half), (half, time - half)):
        begin = net.hold((3,), "int32", np.array([0, first, 0], np.int32))
        size = net.hold((3,), "int32", np.array([1, count, width], np.int32))
        part = net.add("SLICE", (lines, begin, size), (1, count, width))
        same = replace(net.tensors[part], quantization=net.tensors[x].quantization)
        net.tensors[part] = same
        part = net.add("MUL", (part, part), (1, count, width))
        axis = net.hold((1,), "int32", np.array([2], np.int32))
        part = net.add("MEAN", (part, axis), (1, count), keep_dims=False)
        axis = net.hold((1,), "int32", np.array([1], np.int32))
        parts.append(net.add("MEAN", (part, axis), (1, 1), keep_dims=True))
    total = net.add("ADD", (parts[0], parts[1]), (1, 1))
    x = net.convolution(x, 1, 5, width=12)
    x = net.add("MUL", (x, net.reshaped(total, 1, 1, 1, 1)), net.shape(x))
    return net.graph(net.convolution(x, 2, 2))


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
    inputs = next(islice(random_inputs(np.random.default_rng(1), graph), 4, None))
    (whole,), (got,) = (Runner(library, graph, each)(inputs) for each in (program, striped))
    assert len(np.unique(whole)) > 6
    assert got.tobytes() == whole.tobytes()


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


def _with_pace(program: Program, pace: Pace) -> Program:
    """The program whose first group's first step has another pace."""
    group = program.groups[0]
    changed = replace(group, paces=(pace, *group.paces[1:]))
    return replace(program, groups=(changed, *program.groups[1:]))
