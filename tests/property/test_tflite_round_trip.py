# SPDX-License-Identifier: Apache-2.0
"""read(write(graph)) gives the graph back, and writing it again the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.graph import NUMPY_TYPES, Graph, Operator, Quantization, Tensor
from codegen.tflite.read import read
from codegen.tflite.write import write

_MODELS = sorted((Path(__file__).resolve().parents[1] / "models").glob("*.tflite"))
_RANGES = {"int4": (-8, 8), "int2": (-2, 2), "bool": (0, 2)}

_OPTIONS: dict[str, dict[str, Any]] = {
    "CONV_2D": {
        "padding": st.sampled_from(["SAME", "VALID"]),
        "stride_h": st.integers(1, 9),
        "stride_w": st.integers(1, 9),
        "dilation_h_factor": st.integers(1, 9),
        "fused_activation_function": st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
    },
    "MAX_POOL_2D": {"filter_width": st.integers(1, 99), "filter_height": st.integers(1, 99)},
    "MEAN": {"keep_dims": st.booleans()},
    "SOFTMAX": {"beta": st.floats(0.125, 8, width=32)},
    "RESHAPE": {"new_shape": st.lists(st.integers(-1, 99), max_size=5).map(tuple)},
    "CONCATENATION": {"axis": st.integers(-4, 3)},
    "SQUEEZE": {"squeeze_dims": st.lists(st.integers(0, 4), max_size=5).map(tuple)},
    "LOGISTIC": {},
    "PAD": {},
    "GELU": {"approximate": st.booleans()},
    "BATCH_MATMUL": {"adj_x": st.booleans(), "adj_y": st.booleans()},
}


@st.composite
def _tensors(draw: st.DrawFn, name: str, constant: bool) -> Tensor:
    dtype = draw(st.sampled_from(sorted(NUMPY_TYPES)))
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
    quantization = None
    if dtype.startswith(("int", "uint")) and draw(st.booleans()):
        axis = draw(st.integers(0, max(len(shape) - 1, 0)))
        count = draw(st.sampled_from([1, shape[axis] if shape and constant else 1]))
        scales = st.floats(2**-30, 2**30, width=32)
        quantization = Quantization(
            tuple(draw(st.lists(scales, min_size=count, max_size=count))),
            tuple(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))),
            axis,
        )
    data = None
    if constant:
        seed = draw(st.integers(0, 2**32 - 1))
        low, high = _RANGES.get(dtype, (0, 100))
        values = np.random.default_rng(seed).integers(low, high, shape)
        data = values.astype(NUMPY_TYPES[dtype])
    return Tensor(name, shape, dtype, quantization, data)


@st.composite
def _matrices_in_blocks(draw: st.DrawFn, name: str) -> Tensor:
    """int4 weights whose scales float16 can hold, down to its smallest numbers."""
    channels, blocks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    size = draw(st.sampled_from([1, 32, 64]))
    scales = st.floats(2**-24, 2**15, width=16, exclude_min=True)
    count = channels * blocks
    quantization = Quantization(
        tuple(draw(st.lists(scales, min_size=count, max_size=count))), (0,) * count, 0, size
    )
    seed = draw(st.integers(0, 2**32 - 1))
    shape = channels, blocks * size
    data = np.random.default_rng(seed).integers(-8, 8, shape, np.int8)
    return Tensor(name, shape, draw(st.sampled_from(["int4", "int8"])), quantization, data)


@st.composite
def _graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 6))
    tensors = [draw(_tensors("in put\"'*/", constant=False))]
    operators = []
    for index in range(count):
        kind = draw(st.sampled_from(sorted(_OPTIONS)))
        options = {key: draw(values) for key, values in _OPTIONS[kind].items()}
        inputs = [draw(st.integers(0, len(tensors) - 1)), -1]
        if draw(st.booleans()):
            inputs.append(len(tensors))
            constants = st.one_of(
                _tensors(f"constant{index}", constant=True), _matrices_in_blocks(f"blocks{index}")
            )
            tensors.append(draw(constants))
        outputs = (len(tensors),)
        tensors.append(draw(_tensors(f"layer/{index}", constant=False)))
        operators.append(Operator(index, kind, tuple(inputs), outputs, options))
    return Graph("main", tuple(tensors), tuple(operators), (0,), operators[-1].outputs)


def _same(first: Graph, second: Graph) -> None:
    assert (first.name, first.inputs, first.outputs) == (second.name, second.inputs, second.outputs)
    for a, b in zip(first.operators, second.operators, strict=True):
        assert (a.index, a.kind, a.inputs, a.outputs) == (b.index, b.kind, b.inputs, b.outputs)
        assert {key: b.options[key] for key in a.options} == a.options
    for x, y in zip(first.tensors, second.tensors, strict=True):
        assert (x.name, x.shape, x.dtype, x.quantization) == (
            y.name,
            y.shape,
            y.dtype,
            y.quantization,
        )
        assert (x.data is None) == (y.data is None)
        if x.data is not None and y.data is not None:
            np.testing.assert_array_equal(x.data, y.data)
            assert y.data.dtype == NUMPY_TYPES[y.dtype]
            assert not y.data.flags.writeable


@settings(max_examples=150, deadline=None)
@given(_graphs())
def test_what_is_written_is_read_back(graph: Graph) -> None:
    data = write(graph)
    (back,) = read(data)
    _same(graph, back)
    assert write(back) == data


@pytest.mark.parametrize("model", _MODELS, ids=lambda path: path.stem)
def test_a_public_model_survives(model: Path) -> None:
    (graph,) = read(model.read_bytes())
    (back,) = read(write(graph))
    _same(graph, back)
    assert all(
        back.options == ours.options
        for back, ours in zip(back.operators, graph.operators, strict=True)
    )


@pytest.mark.parametrize("model", _MODELS, ids=lambda path: path.stem)
def test_the_interpreter_takes_what_is_written(model: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    (graph,) = read(model.read_bytes())
    interpreter = Interpreter(
        model_content=write(graph), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], np.int8))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    assert tuple(output["shape"]) == graph.tensors[graph.outputs[0]].shape
