# SPDX-License-Identifier: Apache-2.0
"""Each way in which a .tflite file can be wrong ends in a sentence that names it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.tflite import _constants, _flat
from codegen.tflite import read as reader
from codegen.tflite.read import read
from codegen.tflite.write import write

_UNIT = Quantization((0.5,), (0,))
_CHANNELS = Quantization((0.5, 0.25), (0, 0), 0)
GRAPH = Graph(
    "main",
    (
        Tensor("input", (1, 3), "int8", _UNIT),
        Tensor("weights", (2, 3), "int8", _CHANNELS, np.arange(6, dtype=np.int8).reshape(2, 3)),
        Tensor("bias", (2,), "int32", _CHANNELS, np.array([7, -7], np.int32)),
        Tensor("hidden", (1, 2), "int8", _UNIT),
        Tensor("output", (1, 2), "int8", Quantization((2**-8,), (-128,))),
    ),
    (
        Operator(0, "FULLY_CONNECTED", (0, 1, 2), (3,), {"fused_activation_function": "RELU"}),
        Operator(1, "SOFTMAX", (3,), (4,), {"beta": 1.0}),
    ),
    (0,),
    (4,),
)


def _edited(edit: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(bytearray(write(GRAPH)))
    edit(model)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _set(place: Callable[[Any], Any], values: dict[str, Any]) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for key, value in values.items():
            setattr(place(model), key, value)

    return edit


def _model(**values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model, values)


def _buffer(index: int, **values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model.buffers[index], values)


def _subgraph(**values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model.subgraphs[0], values)


def _tensor(index: int, **values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model.subgraphs[0].tensors[index], values)


def _quantization(index: int, **values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model.subgraphs[0].tensors[index].quantization, values)


def _together(*edits: Callable[[Any], None]) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for each in edits:
            each(model)

    return edit


def _quantization_in_blocks(**values: Any) -> Callable[[Any], None]:
    details = schema.BlockwiseQuantizationT(scales=4, zeroPoints=-1, blockSize=3)
    return _quantization(1, **{"details": details, "detailsType": 2, **values})


def _blocks(**values: Any) -> Callable[[Any], None]:
    details = {"scales": 4, "zeroPoints": -1, "blockSize": 3, **values}
    return _quantization_in_blocks(details=schema.BlockwiseQuantizationT(**details))


def _halves(scales: list[float], shape: tuple[int, ...]) -> Callable[[Any], None]:
    """`scales` in a tensor behind all others, for the weights in blocks of 3."""

    def edit(model: Any) -> None:
        tensors = model.subgraphs[0].tensors
        _blocks(scales=len(tensors))(model)
        tensor = schema.TensorT(name="scales", type=schema.TensorType.FLOAT16, shape=shape)
        tensor.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT(data=np.array(scales, np.float16).view(np.uint8)))
        tensors.append(tensor)

    return edit


def _operator(index: int, **values: Any) -> Callable[[Any], None]:
    return _set(lambda model: model.subgraphs[0].operators[index], values)


def _f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


_CASES: dict[str, tuple[Callable[[Any], None], str]] = {
    "version": (_model(version=4), "schema version 4; only version 3"),
    "no subgraph": (_model(subgraphs=[]), "0 subgraphs; 1 to 64"),
    "null subgraphs": (_model(subgraphs=None), "0 subgraphs"),
    "no buffers": (_model(buffers=None), "uses buffer 1 of 0"),
    "no operators": (_subgraph(operators=[]), "0 operators"),
    "no tensors": (_subgraph(tensors=None), "0 tensors"),
    "no inputs": (_subgraph(inputs=None), "has no inputs"),
    "no outputs": (_subgraph(outputs=np.zeros(0, np.int32)), "has no outputs"),
    "input range": (_subgraph(inputs=[5]), "tensor 5 of 5 among its inputs"),
    "negative input": (_subgraph(inputs=[-1]), "tensor -1 of 5 among its inputs"),
    "twice an input": (_subgraph(inputs=[0, 0]), "twice among its inputs"),
    "twice an output": (_subgraph(outputs=[4, 4]), "twice among its outputs"),
    "constant input": (_subgraph(inputs=[1]), "constant tensor 1 'weights' among its inputs"),
    "input as output": (_subgraph(outputs=[0]), "'input', which no operator writes"),
    "constant output": (_subgraph(outputs=[2]), "'bias', which no operator writes"),
    "read range": (_operator(0, inputs=[9, 1, 2]), "reads tensor 9 of 5"),
    "read below": (_operator(0, inputs=[-2, 1, 2]), "reads tensor -2 of 5"),
    "read too early": (_operator(0, inputs=[4, 1, 2]), "'output', which nothing has written yet"),
    "cycle": (_operator(0, inputs=[3, 1, 2]), "'hidden', which nothing has written yet"),
    "write range": (_operator(1, outputs=[5]), "writes tensor 5 of 5"),
    "write nothing": (_operator(1, outputs=[]), "has no outputs"),
    "write twice": (_operator(1, outputs=[3]), "'hidden', which has a value already"),
    "write input": (_operator(1, outputs=[0]), "'input', which has a value already"),
    "write constant": (_operator(1, outputs=[1]), "'weights', which has a value already"),
    "operator code": (_operator(1, opcodeIndex=2), "operator code 2 of 2"),
    "other options": (
        _operator(1, builtinOptionsType=schema.BuiltinOptions.AddOptions),
        "holds AddOptions instead of SoftmaxOptions",
    ),
    "unknown operator": (
        lambda model: setattr(model.operatorCodes[0], "builtinCode", 9999),
        "operator number 9999",
    ),
    "unknown activation": (
        lambda model: setattr(
            model.subgraphs[0].operators[0].builtinOptions, "fusedActivationFunction", 77
        ),
        "fused_activation_function is 77; allowed are NONE, RELU",
    ),
    "type": (_tensor(3, type=schema.TensorType.FLOAT64), "'hidden' .* is float64; supported are"),
    "unknown type": (_tensor(3, type=99), "unknown type; supported are"),
    "zero dimension": (_tensor(3, shape=[1, 0]), r"shape \(1, 0\); each dimension must be"),
    "negative": (_tensor(3, shape=[1, -7]), r"shape \(1, -7\); each dimension must be"),
    "dynamic": (_tensor(3, shapeSignature=[-1, 2]), r"dynamic shape \(-1, 2\)"),
    "dynamic shape": (_tensor(3, shape=[-1, 2]), r"dynamic shape \(-1, 2\)"),
    "huge": (_tensor(3, shape=[1 << 30, 1 << 30]), "at most 268435456 elements"),
    "rank": (_tensor(3, shape=[1] * 9), "9 dimensions; at most 8"),
    "variable": (_tensor(3, isVariable=True), "variable tensor"),
    "sparse": (_tensor(1, sparsity=schema.SparsityParametersT()), "is sparse"),
    "other file": (_tensor(1, externalBuffer=3), "data in another file"),
    "buffer index": (_tensor(1, buffer=99), "uses buffer 99 of"),
    "buffer too short": (_tensor(1, shape=[2, 4]), "holds 6 bytes where int8 .* takes 8"),
    "buffer too long": (_tensor(1, shape=[2, 2]), "holds 6 bytes where int8 .* takes 4"),
    "buffer behind": (_buffer(1, offset=10**6, size=6), "points to bytes 1000000 to 1000006"),
    "buffer far": (_buffer(1, offset=2**64 - 4, size=8), "points to bytes"),
    "zero scale": (_quantization(0, scale=_f32(0)), r"scale 0\.0; a scale must be"),
    "negative scale": (_quantization(0, scale=_f32(-1)), r"scale -1\.0; a scale must be"),
    "nan scale": (_quantization(0, scale=_f32(np.nan)), "scale nan; a scale must be"),
    "infinite scale": (_quantization(0, scale=_f32(np.inf)), "scale inf; a scale must be"),
    "denormal scale": (_quantization(0, scale=_f32(1e-40)), "a scale must be"),
    "zero point": (_quantization(0, zeroPoint=[128]), "zero point 128; int8 allows -128 to 127"),
    "zero points": (_quantization(1, zeroPoint=[0, 0, 0]), "2 scales but 3 zero points"),
    "scales": (_quantization(1, scale=_f32(1, 2, 3)), "3 scales on axis 0"),
    "axis": (_quantization(1, quantizedDimension=2), "2 scales on axis 2"),
    "axis below": (_quantization(1, quantizedDimension=-1), "2 scales on axis -1"),
    "activation": (
        _quantization(3, scale=_f32(1, 2), zeroPoint=None, quantizedDimension=1),
        "'hidden' .* is an activation with 2 scales",
    ),
    "blocks without size": (_blocks(blockSize=0), r"shape \(2, 3\) .* in blocks of 0"),
    "blocks that do not divide": (_blocks(blockSize=2), "in blocks of 2; supported"),
    "blocks along channels": (_quantization_in_blocks(quantizedDimension=1), "along axis 1"),
    "blocks without details": (_quantization_in_blocks(details=None), "without a size"),
    "scales of blocks behind": (_blocks(scales=9), "scales in tensor 9 of 5"),
    "scales of blocks before": (_blocks(scales=-1), "scales in tensor -1 of 5"),
    "scales that are no halves": (_blocks(scales=2), "scales .* are not float16"),
    "scales that something reads": (
        _together(_halves([1, 2], shape=(2, 1)), _operator(0, inputs=[0, 1, 5])),
        "uses tensor 5, which holds scales of blocks",
    ),
    "zero points of blocks": (_blocks(zeroPoints=2), "has zero points a block"),
    "bytes of scales": (_halves([1, 2, 3], shape=(2, 2)), "6 bytes where 8 are needed"),
    "shape of scales": (_halves([1, 2], shape=(-2, -1)), r"have the shape \(-2, -1\)"),
    "number of scales": (_halves([1, 2, 3], shape=(3, 1)), "has 3 scales; blocks of 3 need 2"),
    "scale of a block": (_halves([1, 0], shape=(2, 1)), r"scale 0\.0; a scale must be"),
    "infinite scale of a block": (_halves([1, np.inf], shape=(2, 1)), "scale inf"),
    "details": (
        _quantization(1, details=schema.CustomQuantizationT(), detailsType=1),
        "custom quantization",
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_what_is_wrong_is_named(case: str) -> None:
    edit, message = _CASES[case]
    data = _edited(edit)
    with pytest.raises(UserError, match=message) as caught:
        read(data)
    assert str(caught.value).endswith(".")


def test_the_unedited_file_is_read() -> None:
    (graph,) = read(_edited(lambda model: None))
    assert [operator.kind for operator in graph.operators] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert graph.operators[0].options["fused_activation_function"] == "RELU"
    assert graph.tensors[1].quantization == _CHANNELS


@pytest.mark.parametrize("data", [b"", b"TFL3", b"1234TFL3", b"<html></html>", b"\0" * 64])
def test_no_model_at_all(data: bytes) -> None:
    with pytest.raises(UserError):
        read(data)


def test_every_truncation() -> None:
    data = write(GRAPH)
    for length in range(len(data) - 8):
        try:
            read(data[:length])
        except UserError:
            continue


def test_every_word_as_an_extreme() -> None:
    data = write(GRAPH)
    accepted = 0
    for place in range(0, len(data) - 3, 4):
        for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            damaged = bytearray(data)
            struct.pack_into("<I", damaged, place, value)
            try:
                read(bytes(damaged))
                accepted += 1
            except UserError:
                continue
    assert accepted > 0


def test_a_wild_name_is_tamed() -> None:
    name = 'evil"; */ \n\r\0\x1b[2J\u202e' + "x" * 10_000
    (graph,) = read(_edited(_tensor(3, name=name)))
    tamed = graph.tensors[3].name
    assert len(tamed) == reader.MAX_NAME
    assert tamed.isprintable()
    assert tamed.startswith('evil"; */ ????[2J?xxx')


def test_external_buffers_are_followed() -> None:
    """Weights behind the flatbuffer, as some quantizers write them."""
    place = len(_edited(_buffer(1, data=None, offset=2**40, size=6)))
    data = _edited(_buffer(1, data=None, offset=place, size=6)) + bytes(range(6))
    (graph,) = read(data)
    np.testing.assert_array_equal(graph.tensors[1].data, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(UserError, match="points to bytes"):
        read(data[:-1])


def test_older_files_keep_the_weights_axis_on_the_bias() -> None:
    (graph,) = read(_edited(_quantization(2, quantizedDimension=3)))
    assert graph.tensors[2].quantization == _CHANNELS


def test_missing_zero_points_are_zero() -> None:
    (graph,) = read(_edited(_quantization(1, zeroPoint=None)))
    assert graph.tensors[1].quantization == _CHANNELS


def test_missing_options_are_the_schema_defaults() -> None:
    edit = _operator(0, builtinOptions=None, builtinOptionsType=0)
    (graph,) = read(_edited(edit))
    assert graph.operators[0].options["fused_activation_function"] == "NONE"


def test_a_custom_operator_keeps_its_name() -> None:
    def edit(model: Any) -> None:
        model.operatorCodes[1] = schema.OperatorCodeT(32, "Magic\n", 1, 32)
        model.subgraphs[0].operators[1].builtinOptions = None

    (graph,) = read(_edited(edit))
    assert graph.operators[1].kind == "CUSTOM"
    assert graph.operators[1].options == {"custom_code": "Magic?"}


def test_shared_tables_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tensors may point at one long vector: what it costs is counted each time."""
    monkeypatch.setattr(reader, "MAX_ITEMS", 40)
    with pytest.raises(UserError, match="hold more than 40 items"):
        read(write(GRAPH))


def test_blocks_have_their_scales_from_another_tensor() -> None:
    (graph,) = read(_edited(_halves([0.5, 2**-24], shape=(1, 2))))
    assert graph.tensors[1].quantization == Quantization((0.5, 2**-24), (0, 0), 0, 3)
    assert len(graph.tensors) == len(GRAPH.tensors)


def test_scales_of_blocks_must_survive_as_halves() -> None:
    weights = Tensor("w", (1, 64), "int4", None, np.zeros((1, 64), np.int8))
    for scale in (0.1, 1e-9, 1e9):
        blocks = replace(weights, quantization=Quantization((scale, 1.0), (0, 0), 0, 32))
        tensors = (GRAPH.tensors[0], blocks, *GRAPH.tensors[2:])
        with pytest.raises(UserError, match="'w' has a block with the scale"):
            write(replace(GRAPH, tensors=tensors))


def test_unpacked_values_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_constants, "MAX_UNPACKED", 5)
    with pytest.raises(UserError, match="more than 5 int4"):
        read(_edited(_int4))


def _int4(model: Any) -> None:
    tensor = model.subgraphs[0].tensors[1]
    tensor.type = schema.TensorType.INT4
    model.buffers[tensor.buffer] = schema.BufferT(data=np.array([0x21, 0xF8, 0x7E], np.uint8))


def test_int4_has_the_low_nibble_first() -> None:
    (graph,) = read(_edited(_int4))
    np.testing.assert_array_equal(graph.tensors[1].data, [[1, 2, -8], [-1, -2, 7]])


def test_a_large_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_FILE_BYTES", 10)
    with pytest.raises(UserError, match="at most 10 are allowed"):
        read(write(GRAPH))


def test_a_vector_that_claims_the_world() -> None:
    file = _flat.Bytes(struct.pack("<IHHHHiII", 12, 0, 6, 8, 4, 6, 4, 2**31), 100, 10)
    table = _flat.Table(file, 12, "it")
    with pytest.raises(UserError, match="claims 2147483648 items"):
        table.numbers(0, "i", "it")
