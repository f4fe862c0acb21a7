# SPDX-License-Identifier: Apache-2.0
"""Lowering: problems named, dead code gone, aliases and copies, constants shared and named."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower, operators_page, supported_operators
from codegen.ops import add, conv_2d, fully_connected
from codegen.program import BufferRef, Constant, Params
from codegen.registry import plugins

UNIT = Quantization((0.5,), (3,))


def activation(name: str, shape: tuple[int, ...] = (1, 2, 6)) -> Tensor:
    return Tensor(name, shape, "int8", UNIT)


def node(index: int, kind: str, inputs: tuple[int, ...], output: int, **options: Any) -> Operator:
    return Operator(index, kind, inputs, (output,), options)


def graph(tensors: list[Tensor], nodes: list[Operator], inputs: Any, outputs: Any) -> Graph:
    return Graph("g", tuple(tensors), tuple(nodes), tuple(inputs), tuple(outputs))


def add_node(index: int, inputs: tuple[int, ...], output: int) -> Operator:
    return node(index, "ADD", inputs, output, fused_activation_function="NONE")


def test_chain_of_aliases_is_one_buffer() -> None:
    tensors = [activation("x"), *(activation(c, s) for c, s in (("a", (12,)), ("b", (3, 4))))]
    tensors += [activation("y", (3, 4))]
    nodes = [node(0, "RESHAPE", (0,), 1), node(1, "RESHAPE", (1,), 2), node(2, "RELU", (2,), 3)]
    program = lower(graph(tensors, nodes, [0], [3]), None)
    assert [step.name for step in program.steps] == ["relu_2"]
    assert [buffer.role for buffer in program.buffers] == ["input", "output"]
    assert program.steps[0].reads == (0,)
    assert program.steps[0].writes == program.outputs == (1,)
    assert program.steps[0].in_place == ((0, 1),)


def test_output_that_is_an_alias_of_an_input_is_copied() -> None:
    tensors = [activation("x"), activation("y", (12,))]
    program = lower(graph(tensors, [node(0, "RESHAPE", (0,), 1)], [0], [1]), None)
    (step,) = program.steps
    assert step.kernel == "stapes_copy"
    assert step.operands == (12, BufferRef(0, "int8_t"), BufferRef(1, "int8_t"))
    assert (step.reads, step.writes) == ((0,), (1,))
    assert [buffer.role for buffer in program.buffers] == ["input", "output"]


def test_output_that_is_a_constant_is_copied() -> None:
    data = np.arange(6, dtype=np.int16).reshape(2, 3)
    tensors = [activation("x"), Tensor("c", (2, 3), "int16", None, data)]
    program = lower(graph(tensors, [], [0], [1]), None)
    (step,) = program.steps
    assert step.operands[0] == 12
    assert isinstance(step.operands[1], Constant)
    assert program.constants == (step.operands[1],)


def test_output_that_is_read_again_stays_an_output() -> None:
    tensors = [activation(name) for name in "xab"]
    nodes = [add_node(0, (0, 0), 1), node(1, "RELU", (1,), 2)]
    program = lower(graph(tensors, nodes, [0], [1, 2]), None)
    assert [program.buffers[i].role for i in program.outputs] == ["output", "output"]
    assert program.steps[0].reads == (0, 0)


def test_two_views_of_one_result_share_its_buffer() -> None:
    tensors = [activation("x"), activation("a"), activation("b", (12,))]
    nodes = [node(0, "RELU", (0,), 1), node(1, "RESHAPE", (1,), 2)]
    program = lower(graph(tensors, nodes, [0], [1, 2]), None)
    assert program.outputs == (1, 1)
    assert len(program.buffers) == 2


def test_dead_operators_and_unused_tensors_vanish() -> None:
    tensors = [activation(name) for name in "xabcdead"]
    nodes = [add_node(0, (0, 0), 1), node(1, "UNHEARD_OF", (0,), 2), node(2, "RELU", (1,), 3)]
    program = lower(graph(tensors, nodes, [0], [3]), None)
    assert [step.name for step in program.steps] == ["add_0", "relu_2"]
    assert len(program.buffers) == 3


def test_names_come_from_kind_and_index_alone() -> None:
    case = next(conv_2d.cases(np.random.default_rng(0)))
    evil = tuple(replace(t, name='*/ int main() {}"\n\\' * 999) for t in case.tensors)
    program = lower(replace(case, tensors=evil, name="*/"), None)
    names = [c.name for c in program.constants] + [b.name for b in program.buffers]
    names += [step.name for step in program.steps]
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
    assert len(set(names)) == len(names)
    assert "conv_2d_0_weights" in names


def test_equal_constants_are_kept_once() -> None:
    case = next(c for c in add.cases(np.random.default_rng(1)) if len(c.inputs) == 1)
    last = len(case.tensors) - 1
    again = replace(case.operators[0], index=1, outputs=(last + 1,))
    twice = replace(
        case,
        tensors=(*case.tensors, case.tensors[last]),
        operators=(*case.operators, again),
        outputs=(last, last + 1),
    )
    program = lower(twice, None)
    assert len(program.steps) == 2
    assert len(program.constants) == 1


def test_constants_of_one_step_have_different_names() -> None:
    for case in islice(fully_connected.cases(np.random.default_rng(2)), 20):
        program = lower(case, None)
        names = [constant.name for constant in program.constants]
        assert len(set(names)) == len(names)


def test_lowering_is_deterministic() -> None:
    def text(seed: int) -> str:
        case = next(conv_2d.cases(np.random.default_rng(seed)))
        program = lower(case, None)
        return repr(replace(program, constants=())) + str([c.values for c in program.constants])

    assert text(4) == text(4)


def test_unknown_operator_is_named_with_what_is_supported() -> None:
    tensors = [activation("x"), activation("y")]
    with pytest.raises(UserError) as caught:
        lower(graph(tensors, [node(0, "ARG_MAX", (0,), 1)], [0], [1]), None)
    text = str(caught.value)
    assert "ARG_MAX 'y' (node 0)" in text
    assert all(kind in text for kind in supported_operators())
    assert "docs/operators.md" in text


def test_all_problems_are_listed_up_to_ten() -> None:
    tensors = [activation(f"t{i}") for i in range(14)]
    nodes = [node(i, "UNHEARD_OF", (i,), i + 1) for i in range(13)]
    with pytest.raises(UserError) as caught:
        lower(graph(tensors, nodes, [0], [13]), None)
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "... and 3 more."


def test_problem_of_a_hostile_name_stays_one_short_line() -> None:
    tensors = [activation("x"), activation("evil\n\x1b[31m" * 1000)]
    with pytest.raises(UserError) as caught:
        lower(graph(tensors, [node(0, "RELU", (0, 0), 1)], [0], [1]), None)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def rejected(case: Graph, index: int, **changes: Any) -> str:
    tensors = list(case.tensors)
    tensors[index] = replace(tensors[index], **changes)
    with pytest.raises(UserError) as caught:
        lower(replace(case, tensors=tuple(tensors)), None)
    return str(caught.value)


def test_what_is_refused_says_rule_and_finding() -> None:
    cases = conv_2d.cases(np.random.default_rng(8))
    case = next(c for c in cases if c.tensors[0].dtype == "int8" and c.tensors[1].shape[0] > 1)
    weights = case.tensors[1]
    assert weights.quantization is not None
    assert weights.data is not None
    assert "got uint8 to int8" in rejected(case, 0, dtype="uint8")
    assert "got uint8 weights" in rejected(case, 1, dtype="uint8", data=weights.data.view(np.uint8))
    assert "got int2 weights" in rejected(case, 1, dtype="int2")
    assert "weights that are computed" in rejected(case, 1, data=None)
    shifted = replace(weights.quantization, zero_points=(7,) * len(weights.quantization.scales))
    assert "got zero point 7" in rejected(case, 1, quantization=shifted)
    assert "got [2, 3, 3, 3]" in rejected(case, 0, shape=(2, 3, 3, 3))
    assert "no scale" in rejected(case, 3, quantization=None)
    assert "int64 bias" in rejected(case, 2, dtype="int64")
    bias = np.full(weights.shape[0], 2**31 - 1, np.int32)
    assert "sums up to" in rejected(case, 2, data=bias)


def test_every_operator_has_documented_constraints() -> None:
    page = operators_page()
    for module in plugins("codegen.ops").values():
        assert f"## {module.KIND}" in page
        for constraint in module.CONSTRAINTS:
            assert constraint.__doc__
            assert " ".join(constraint.__doc__.split()) in page


def test_multiply_accumulates_are_counted() -> None:
    case = next(conv_2d.cases(np.random.default_rng(3)))
    _, height, width, channels = case.tensors[1].shape
    (step,) = lower(case, None).steps
    assert step.macs == case.tensors[-1].elements * height * width * channels


def test_a_case_of_every_operator_reads_and_writes_what_it_names() -> None:
    for module in plugins("codegen.ops").values():
        for case in islice(module.cases(np.random.default_rng(6)), 10):
            for step in lower(case, None).steps:
                pointers = {o.index for o in step.operands if isinstance(o, BufferRef)}
                assert pointers == {*step.reads, *step.writes}
                assert all(a in step.reads and b in step.writes for a, b in step.in_place)
                assert not any(isinstance(v, Params) for v in step.operands[1:])
