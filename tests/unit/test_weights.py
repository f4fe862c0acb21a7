# SPDX-License-Identifier: Apache-2.0
"""Integer weights by recipe, beside float activations or integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Tensor
from codegen.lower import lower
from codegen.program import Constant, Params, Step
from codegen.ptq.methods import gptq, round_mse
from codegen.ptq.methods import round as plain
from codegen.ptq.moments import WatchedMoments
from codegen.ptq.recipe import Recipe, Rule
from codegen.tflite.dynamic import quantize_weights
from codegen.tflite.quantize import operator_names, quantize, quantize_ranges
from codegen.tflite.read import read
from codegen.tflite.weights import check_weights, integer_weights
from codegen.tflite.write import write

_RNG = np.random.default_rng(2)
UP = _RNG.standard_normal((40, 64)).astype(np.float32)
HEAD = _RNG.standard_normal((8, 40)).astype(np.float32)
STEM = _RNG.standard_normal((64, 1, 2, 16)).astype(np.float32)
BIAS = _RNG.standard_normal(64).astype(np.float32)
_CONV = {
    "padding": "VALID",
    "stride_w": 1,
    "stride_h": 1,
    "fused_activation_function": "NONE",
    "dilation_w_factor": 1,
    "dilation_h_factor": 1,
}
_MATRIX = {"weights_format": "DEFAULT", "keep_num_dims": True, "fused_activation_function": "NONE"}


def _float_model() -> bytes:
    """A convolution of 3 positions, a matrix of 64 to 40 and a head of 40 to 8, biases on one."""
    tensors = (
        Tensor("x", (1, 1, 4, 16), "float32"),
        Tensor("stem/weights", STEM.shape, "float32", None, STEM),
        Tensor("stem/bias", BIAS.shape, "float32", None, BIAS),
        Tensor("stem", (1, 1, 3, 64), "float32"),
        Tensor("up/weights", UP.shape, "float32", None, UP),
        Tensor("up", (1, 1, 3, 40), "float32"),
        Tensor("head/weights", HEAD.shape, "float32", None, HEAD),
        Tensor("head", (1, 1, 3, 8), "float32"),
    )
    operators = (
        Operator(0, "CONV_2D", (0, 1, 2), (3,), _CONV),
        Operator(1, "FULLY_CONNECTED", (3, 4, -1), (5,), _MATRIX),
        Operator(2, "FULLY_CONNECTED", (5, 6, -1), (7,), _MATRIX),
    )
    return write(Graph("g", tensors, operators, (0,), (7,)))


def _samples(count: int = 6) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(9)
    return [{"x": rng.standard_normal((1, 1, 4, 16)).astype(np.float32)} for _ in range(count)]


def _weights(graph: Graph) -> dict[str, Tensor]:
    return {graph.tensors[o.outputs[0]].name: graph.tensors[o.inputs[1]] for o in graph.operators}


def _is(tensor: Tensor, wanted: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    integers, scales = wanted
    assert tensor.dtype == dtype
    assert tensor.data is not None
    assert tensor.quantization is not None
    assert np.array_equal(tensor.data.reshape(integers.shape), integers)
    assert np.array_equal(np.array(tensor.quantization.scales, np.float32), scales.reshape(-1))
    assert not any(tensor.quantization.zero_points)


def test_dynamic8_changes_weights_alone() -> None:
    recipe = Recipe("dynamic8", 4, 0, ("round_mse",)).keeping(["m/head"])
    data = quantize_weights(_float_model(), recipe, "m/")
    assert data == quantize_weights(_float_model(), recipe, "m/")
    (graph,) = read(data)
    dequantize, stem, *matrices = graph.operators
    assert (dequantize.kind, stem.inputs[1]) == ("DEQUANTIZE", dequantize.outputs[0])
    stored = graph.tensors[dequantize.inputs[0]]
    _is(stored, round_mse.quantize(STEM.reshape(64, -1), 8, 0), "int8")
    up, head = (graph.tensors[matrix.inputs[1]] for matrix in matrices)
    _is(up, round_mse.quantize(UP, 4, 0), "int4")
    _is(head, round_mse.quantize(HEAD, 8, 0), "int8")
    others = [tensor for tensor in graph.tensors if tensor not in (stored, up, head)]
    assert {tensor.dtype for tensor in others} == {"float32"}
    assert all(matrix.options["asymmetric_quantize_inputs"] for matrix in matrices)


def test_dynamic8_stays_close_to_the_floats() -> None:
    from codegen.evaluate.interpreter import Interpreter

    exact, rounded = (
        Interpreter(data)
        for data in (_float_model(), quantize_weights(_float_model(), Recipe("dynamic8")))
    )
    for sample in _samples():
        (wanted,), (got,) = exact.run([sample["x"]]), rounded.run([sample["x"]])
        assert np.abs(got - wanted).max() < 0.04 * np.abs(wanted).max()


def test_a_width_may_differ_by_layer_and_travels_as_int4() -> None:
    """One model of 3 bits in blocks, 2 bits a channel: int4 in the file, true widths in flash."""
    recipe = Recipe("dynamic8", 3, 32, ("round_mse",), (Rule("head", None, 2, 0),))
    (graph,) = read(quantize_weights(_float_model(), recipe))
    stored = [graph.tensors[operator.inputs[1]] for operator in graph.operators[-2:]]
    _is(stored[0], round_mse.quantize(UP, 3, 32), "int4")
    _is(stored[1], round_mse.quantize(HEAD, 2, 0), "int4")
    _, up, head = lower(graph, None).steps
    assert up.kernel == "stapes_fully_connected_f32_w3_blocks"
    assert head.kernel == "stapes_fully_connected_f32_w2"
    assert _stored_bytes(up) == {"weights": 40 * 64 * 3 // 8, "scales": 2 * 40 * 2, "bias": 4 * 40}
    assert _stored_bytes(head) == {"weights": 8 * 40 * 2 // 8, "scales": 4 * 8, "bias": 4 * 8}


def _stored_bytes(step: Step) -> dict[str, int]:
    """Bytes of a step's constants by the last word of their names."""
    fields = [v for o in step.operands if isinstance(o, Params) for _, v in o.fields]
    stored = [each for each in (*step.operands, *fields) if isinstance(each, Constant)]
    return {each.name.rsplit("_", 1)[-1]: each.size_bytes for each in stored}


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_rows_of_half_bytes_travel_as_int8(bits: int) -> None:
    """In dynamic8: LiteRT takes int4 rows of even length there, and any beside integers."""
    odd = Tensor("w", (5, 7), "float32", None, np.ascontiguousarray(UP[:5, :7]))
    for mode, dtype in {"dynamic8": "int8", "static16": "int4"}.items():
        _is(
            integer_weights(odd, Rule("", mode, bits, 0), "round"),
            plain.quantize(np.ascontiguousarray(UP[:5, :7]), bits, 0),
            dtype,
        )


@pytest.mark.parametrize("bits", [3, 2])
@pytest.mark.parametrize(("mode", "suffix"), [("static8", "s8"), ("static16", "s16")])
def test_static_modes_take_fewer_bits(mode: str, suffix: str, bits: int) -> None:
    (graph,) = read(quantize(_float_model(), _samples(), Recipe(mode, bits)))
    found = _weights(graph)
    _is(found["stem"], plain.quantize(STEM.reshape(64, -1), bits, 0), "int4")
    _is(found["head"], plain.quantize(HEAD, bits, 0), "int4")
    kernels = [step.kernel for step in lower(graph, None).steps]
    matrix = f"stapes_fully_connected_{suffix}_w{bits}"
    assert kernels == [f"stapes_conv_2d_{suffix}_w4", matrix, matrix]


@pytest.mark.parametrize(("mode", "bias"), [("static8", "int32"), ("static16", "int64")])
def test_static_modes_take_int4_and_methods(mode: str, bias: str) -> None:
    recipe = Recipe(mode, 4, 0, ("round_mse",), (Rule("head", weight_bits=8),))
    (graph,) = read(quantize(_float_model(), _samples(), recipe))
    found = _weights(graph)
    _is(found["stem"], round_mse.quantize(STEM.reshape(64, -1), 4, 0), "int4")
    _is(found["up"], round_mse.quantize(UP, 4, 0), "int4")
    _is(found["head"], round_mse.quantize(HEAD, 8, 0), "int8")
    stem = graph.operators[0]
    before, stored = graph.tensors[stem.inputs[0]], graph.tensors[stem.inputs[2]]
    assert stored.dtype == bias
    assert stored.data is not None
    assert before.quantization is not None
    _, scales = round_mse.quantize(STEM.reshape(64, -1), 4, 0)
    steps = np.float64(scales[:, 0]) * before.quantization.scale
    assert np.array_equal(stored.data, np.rint(BIAS / steps))


def _inputs(data: bytes, name: str) -> np.ndarray:
    """What calibration multiplies with the matrix of that output, one row a position."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    (graph,) = read(data)
    (source,) = (o.inputs[0] for o in graph.operators if graph.tensors[o.outputs[0]].name == name)
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    rows = []
    for sample in _samples():
        interpreter.set_tensor(graph.inputs[0], sample["x"])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(source).reshape(3, -1))
    return np.concatenate(rows).astype(np.float64)


def test_a_method_that_looks_at_inputs_is_given_those_of_matrices() -> None:
    data = _float_model()
    (graph,) = read(data)
    watched = WatchedMoments(data, graph)
    for sample in _samples():
        watched.run([sample["x"]])
    moments = watched.moments()
    matrices = {"up": 4, "head": 6}
    for name, place in matrices.items():
        rows = _inputs(data, name)
        wanted = rows.T @ rows
        assert np.abs(moments[place] - wanted).max() < 1e-6 * wanted.max()
    assert set(moments) == {4, 6}
    (made,) = read(quantize_weights(data, Recipe("dynamic8", 4, 0, ("gptq",)), "", moments))
    dequantize, _, *others = made.operators
    stem = made.tensors[dequantize.inputs[0]]
    up, head = (made.tensors[matrix.inputs[1]] for matrix in others)
    _is(stem, plain.quantize(STEM.reshape(64, -1), 8, 0), "int8")
    _is(up, gptq.quantize(UP, 4, 0, moments[4]), "int4")
    _is(head, gptq.quantize(HEAD, 4, 0, moments[6]), "int4")
    ranges = watched.ranges()
    (made,) = read(quantize_ranges(data, ranges, Recipe("static8", 4, 0, ("gptq",)), "", moments))
    _is(_weights(made)["up"], gptq.quantize(UP, 4, 0, moments[4]), "int4")


@pytest.mark.parametrize("mode", ["static8", "static16"])
def test_rounding_is_what_the_quantizer_does_by_itself(mode: str) -> None:
    itself = quantize(_float_model(), _samples(), Recipe(mode))
    (graph,) = read(itself)
    _is(_weights(graph)["up"], plain.quantize(UP, 8, 0), "int8")
    (named,) = read(quantize(_float_model(), _samples(), Recipe(mode, methods=("round",))))
    for tensor, other in zip(graph.tensors, named.tensors, strict=True):
        if tensor.data is not None and other.data is not None:
            # a bias may fall half between two integers
            most = 0 if tensor.dtype == "int8" else 1
            assert np.abs(tensor.data - other.data.astype(np.int64)).max() <= most


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"mode": "static16", "weight_bits": 4, "block_size": 32},
            "FULLY_CONNECTED 'up': weight is int4 in blocks of 32; static16 supports per channel",
        ),
        (
            {"weight_bits": 8, "block_size": 32},
            "int8 in blocks of 32; blocks are of 4, 3 or 2 bits",
        ),
        (
            {"weight_bits": 4, "block_size": 64},
            "FULLY_CONNECTED 'head': weight is int4 in blocks of 64; its rows of 40 weights",
        ),
        ({"rules": (Rule("tail", weight_bits=4),)}, "matches none"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    recipe = Recipe(**{"mode": "dynamic8", **changes})
    (graph,) = read(_float_model())
    with pytest.raises(UserError, match=message):
        check_weights(graph, recipe.for_operators(operator_names(graph)))
