# SPDX-License-Identifier: Apache-2.0
"""Rewritings of graphs: what is one operator becomes one, and nothing else does."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from types import ModuleType

import numpy as np
import pytest

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
from codegen.ops import conv_2d, depthwise_conv_2d
from codegen.ops import layer_norm as operator
from codegen.passes import layer_norm, pad
from codegen.tflite.read import read
from codegen.tflite.write import write
from tests.kernels.harness import Runner, build_library, random_inputs


def kinds(graph: Graph) -> list[str]:
    return [each.kind for each in graph.operators]


def taken_apart(summed: bool = False) -> Graph:
    """A normalization with weight and bias, of the mean of squares or of their sum."""
    for graph in operator.cases(np.random.default_rng(0)):
        (norm,) = graph.operators
        if len(norm.inputs) == 3 and norm.options["summed"] == summed:
            return operator.decomposed(graph)
    raise AssertionError


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("kernels"), "-O2")


def test_normalization_becomes_one_operator_of_the_same_bits(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    for whole in islice(operator.cases(rng), 40):
        graph = operator.decomposed(whole)
        (made,) = layer_norm.apply(graph).operators
        assert made.kind == "LAYER_NORM"
        assert len(made.inputs) == len(whole.operators[0].inputs)
        assert made.options == whole.operators[0].options
        fused = lower(graph, None)
        with monkeypatch.context() as patch:
            patch.setattr(layer_norm, "apply", lambda graph: graph)
            parts = lower(graph, None)
        assert len(parts.steps) > len(fused.steps) == 1
        for inputs in islice(random_inputs(rng, graph), 4):
            (one,), (many,) = (Runner(library, graph, p)(inputs) for p in (fused, parts))
            assert one.tobytes() == many.tobytes()


def test_exported_norms_become_one_operator() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("litert_torch")
    from codegen.models._layers import layers
    from codegen.models._wide import wide_layers
    from codegen.tflite.convert import convert

    norm, wide_norm = layers()["Norm"], wide_layers()["WideNorm"]
    weight, bias, ones = torch.arange(1.0, 17.0), torch.arange(16.0), torch.ones(16)
    free = wide_norm(ones, bias)
    free.bias = None
    cases = (
        (norm(weight, bias), 5, 1e-5, (weight, bias)),
        (norm(weight, None, 1e-6), 1, 1e-6, (weight,)),
        (norm(ones, None), 5, 1e-5, ()),
        (norm(ones, None), 1, 1e-5, ()),
        (wide_norm(weight, bias), 5, 16e-5, (weight * 4, bias)),
        (free, 5, 16e-5, (ones * 4,)),
    )
    for module, rows, epsilon, wanted in cases:
        (graph,) = read(convert(module.eval(), (torch.randn(rows, 16),), "norm"))
        assert len(graph.operators) > 6
        (made,) = layer_norm.apply(graph).operators
        assert made.options == {
            "epsilon": np.float32(epsilon),
            "summed": isinstance(module, wide_norm),
        }
        constants = [graph.tensors[index].data for index in made.inputs[1:]]
        for data, values in zip(constants, wanted, strict=True):
            assert data is not None
            assert (data.reshape(-1) == values.numpy()).all()


def with_operator(graph: Graph, kind: str, number: int, change: Callable[..., Operator]) -> Graph:
    """`graph` with its operator `number` of that kind changed."""
    chosen = [each for each in graph.operators if each.kind == kind][number]
    changed = (change(each) if each is chosen else each for each in graph.operators)
    return replace(graph, operators=tuple(changed))


def fused(each: Operator) -> Operator:
    return replace(each, options={"fused_activation_function": "RELU"})


def swapped(each: Operator) -> Operator:
    return replace(each, inputs=each.inputs[::-1])


def computed_weight(graph: Graph) -> Graph:
    weighted = [each for each in graph.operators if each.kind == "MUL"][2]
    weight = next(i for i in weighted.inputs if graph.tensors[i].data is not None)
    tensors = [replace(t, data=None) if i == weight else t for i, t in enumerate(graph.tensors)]
    return replace(graph, tensors=tuple(tensors), inputs=(*graph.inputs, weight))


def weight_a_row() -> Graph:
    """Another graph, of as many rows as columns."""
    x = Tensor("", (4, 4), "float32")
    weight = Tensor("", (4,), "float32", None, np.ones(4, np.float32))
    norm = Operator(0, "LAYER_NORM", (0, 1), (2,), {"epsilon": 1e-5})
    square = operator.decomposed(Graph("g", (x, weight, x), (norm,), (0,), (2,)))
    assert len(layer_norm.apply(square).operators) == 1
    tensors = tuple(
        replace(t, shape=(4, 1), data=t.data.reshape(4, 1))
        if t.data is not None and t.shape == (4,)
        else t
        for t in square.tensors
    )
    return replace(square, tensors=tensors)


def integers(graph: Graph) -> Graph:
    unit = Quantization((0.1,), (0,))
    tensors = [
        replace(
            t,
            dtype="int8",
            quantization=unit,
            data=None if t.data is None else t.data.astype(np.int8),
        )
        if t.dtype == "float32"
        else t
        for t in graph.tensors
    ]
    return replace(graph, tensors=tuple(tensors))


OTHERS: dict[str, Callable[[Graph], Graph]] = {
    "integers": integers,
    "a deviation that the caller reads": lambda g: replace(
        g, outputs=(*g.outputs, next(o for o in g.operators if o.kind == "SUB").outputs[0])
    ),
    "a root that the caller reads": lambda g: replace(
        g, outputs=(*g.outputs, next(o for o in g.operators if o.kind == "RSQRT").outputs[0])
    ),
    "an activation": lambda g: with_operator(g, "MUL", 1, fused),
    "mean less value": lambda g: with_operator(g, "SUB", 0, swapped),
    "another power": lambda g: with_operator(
        g, "MUL", 0, lambda each: replace(each, inputs=(each.inputs[0], 0))
    ),
    "another mean": lambda g: with_operator(
        g, "MEAN", 1, lambda each: replace(each, inputs=(0, each.inputs[1]))
    ),
    "too few inputs": lambda g: with_operator(
        g, "ADD", 0, lambda each: replace(each, inputs=each.inputs[:1])
    ),
    "an input left out": lambda g: with_operator(
        g, "MUL", 1, lambda each: replace(each, inputs=(each.inputs[0], -1))
    ),
}
#: Of a normalization whose squares are summed.
OTHER_SUMS: dict[str, Callable[[Graph], Graph]] = {
    "two rows": lambda g: with_operator(
        g, "BATCH_MATMUL", 0, lambda each: replace(each, inputs=(each.inputs[0],) * 2)
    ),
    "columns by rows": lambda g: with_operator(g, "BATCH_MATMUL", 0, swapped),
    "a transposed operand": lambda g: with_operator(
        g, "BATCH_MATMUL", 0, lambda each: replace(each, options={"adj_x": True})
    ),
    "the sum of something else": lambda g: with_operator(
        g, "RESHAPE", 0, lambda each: replace(each, inputs=(0, each.inputs[1]))
    ),
    "a matrix that the caller reads": lambda g: replace(
        g, outputs=(*g.outputs, next(o for o in g.operators if o.kind == "RESHAPE").outputs[0])
    ),
}
#: What stands behind a normalization without a weight.
AFTER: dict[str, tuple[Callable[[Graph], Graph], list[str]]] = {
    "a computed weight": (computed_weight, ["MUL", "ADD"]),
    "a weight a row": (lambda graph: weight_a_row(), ["MUL"]),
    "an activation": (lambda g: with_operator(g, "MUL", 2, fused), ["MUL", "ADD"]),
    "a bias alone": (
        lambda g: with_operator(g, "MUL", 2, lambda each: replace(each, kind="ADD")),
        ["ADD", "ADD"],
    ),
    "a value that the caller reads": (
        lambda g: replace(
            g, outputs=(*g.outputs, [o for o in g.operators if o.kind == "MUL"][1].outputs[0])
        ),
        ["MUL", "ADD"],
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_normalization_stays(name: str) -> None:
    graph = OTHERS[name](taken_apart())
    assert kinds(layer_norm.apply(graph)) == kinds(graph)


@pytest.mark.parametrize("name", OTHER_SUMS)
def test_what_sums_no_squares_stays(name: str) -> None:
    graph = OTHER_SUMS[name](taken_apart(summed=True))
    assert kinds(layer_norm.apply(graph)) == kinds(graph)


@pytest.mark.parametrize("name", AFTER)
def test_what_is_no_weight_stays_behind(name: str) -> None:
    change, behind = AFTER[name]
    assert kinds(layer_norm.apply(change(taken_apart()))) == ["LAYER_NORM", *behind]


def test_a_bias_that_is_computed_stays_outside() -> None:
    graph = taken_apart()
    last = graph.operators[-1]
    tensors = list(graph.tensors)
    bias = next(i for i in last.inputs if tensors[i].data is not None)
    tensors[bias] = Tensor("bias", tensors[last.outputs[0]].shape, "float32")
    graph = replace(graph, tensors=tuple(tensors), inputs=(*graph.inputs, bias))
    assert kinds(layer_norm.apply(graph)) == ["LAYER_NORM", "ADD"]
    assert read(write(graph))[0].operators


def behind_a_pad(whole: Graph, rng: np.random.Generator) -> Graph | None:
    """`whole`, one convolution, on the output of a PAD; None where that is no case."""
    (convolution,) = whole.operators
    x, taps = whole.tensors[0], whole.tensors[1].shape[1:3]
    if convolution.options["padding"] != "VALID":
        return None
    pads = [(0, 0), *((int(rng.integers(n)), int(rng.integers(n))) for n in taps), (0, 0)]
    shape = tuple(n - sum(pair) for n, pair in zip(x.shape, pads, strict=True))
    if min(shape) < 1:
        return None
    count = len(whole.tensors)
    data = np.array(pads, np.int32)
    added = (replace(x, shape=shape), Tensor("", data.shape, "int32", None, data))
    pad = Operator(0, "PAD", (count, count + 1), (0,), {})
    tensors = (*whole.tensors, *added)
    return Graph("padded", tensors, (pad, convolution), (count,), whole.outputs)


@pytest.mark.parametrize("module", [conv_2d, depthwise_conv_2d])
def test_padding_in_front_of_a_convolution_becomes_its_own(
    module: ModuleType, library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    made = (behind_a_pad(whole, rng) for whole in module.cases(rng))
    for graph in islice((graph for graph in made if graph is not None), 40):
        fused = lower(graph, None)
        with monkeypatch.context() as patch:
            patch.setattr(pad, "apply", lambda graph: graph)
            parts = lower(graph, None)
        assert [len(fused.steps), len(parts.steps)] == [1, 2]
        for inputs in islice(random_inputs(rng, graph), 4):
            (one,), (two,) = (Runner(library, graph, p)(inputs) for p in (fused, parts))
            assert (one == two).all()


def paddings(graph: Graph) -> list[list[int]]:
    data = graph.tensors[graph.operators[0].inputs[1]].data
    assert data is not None
    return [[int(n) for n in pair] for pair in data]


def test_other_pads_stay() -> None:
    rng = np.random.default_rng(5)
    made = (behind_a_pad(whole, rng) for whole in conv_2d.cases(rng))
    graph = next(each for each in made if each is not None and any(map(sum, paddings(each))))
    first, convolution = graph.operators
    wide = [[0, 0], [9, 9], [0, 0], [0, 0]]
    shape = graph.tensors[first.inputs[0]].shape
    tall = (shape[0], shape[1] + 18, *shape[2:])
    changed = list(graph.tensors)
    changed[first.inputs[1]] = replace(changed[first.inputs[1]], data=np.array(wide, np.int32))
    changed[0] = replace(changed[0], shape=tall)
    read = replace(graph, outputs=(*graph.outputs, 0))
    twice = replace(graph, operators=(*graph.operators, Operator(2, "GELU", (0,), (0,), {})))
    for kept in (replace(graph, tensors=tuple(changed)), read, twice):
        assert pad.apply(kept).operators[1] == convolution
