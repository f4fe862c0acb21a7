# SPDX-License-Identifier: Apache-2.0
"""Moonshine's weights out of ONNX Runtime's .ort files, 8-bit ones de-quantized.

Source of the field numbers: onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from flatbuffers import encode
from flatbuffers import number_types as types
from flatbuffers.table import Table

_SESSION_MODEL, _MODEL_GRAPH = 1, 7
_GRAPH_INITIALIZERS, _GRAPH_NODES = 0, 2
_TENSOR_NAME, _TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_DATA = 0, 2, 3, 4
_NODE_NAME, _NODE_KIND, _NODE_INPUTS, _NODE_OUTPUTS, _NODE_ATTRIBUTES = 0, 5, 8, 9, 10
_ATTRIBUTE_GRAPH = 7
_DTYPES = {1: "<f4", 2: "<u1", 3: "<i1", 6: "<i4", 7: "<i8", 9: "|b1"}
_MATRIX_PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger")
_LAYER = re.compile(r"/((?:model/decoder/)?layers\.\d+/[a-z_]+/[a-z_0-9]+|proj_out)/(?:MatMul|Add)")
_COPIES = re.compile(r"_merged_\d+$|_add_tensor$")
#: Of two copies of a weight, the graph of later steps holds the same values.
_SAME = 1e-6

Weights = dict[str, np.ndarray]


def moonshine_weights(encoder: bytes, decoder: bytes) -> Weights:
    """Tensors by their names in transformers; `proj_out.weight` is the mean of the two copies
    that were quantized apart, embedding and head, which the model ties.

    Raises ValueError where two copies of another weight differ.
    """
    weights: Weights = {}
    for data, prefix in ((encoder, "model.encoder."), (decoder, "")):
        graphs = list(_graphs(data))
        constants = {k: v for graph in graphs for k, v in _constants(graph).items()}
        for name, value in _named(constants, prefix):
            _add(weights, name, value)
        for graph in graphs:
            for name, value in _matrices(graph, constants, prefix):
                _add(weights, name, value)
    embedding = weights.pop("model.decoder.embed_tokens.weight")
    weights["proj_out.weight"] = (embedding + weights["proj_out.weight"]) / np.float32(2)
    return weights


def _add(weights: Weights, name: str, value: np.ndarray) -> None:
    if name in weights and not np.allclose(weights[name], value, atol=_SAME):
        raise ValueError(f"two copies of {name} differ")
    weights.setdefault(name, value)


def _named(constants: Weights, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """Floats that kept their names, and the embedding."""
    for name, value in constants.items():
        plain = _COPIES.sub("", name)
        if plain.endswith(("weight", "bias")) and value.dtype == np.float32 and plain[0] != "/":
            yield prefix + plain, value
        if re.search(r"embed_tokens\.weight(_merged_\d+)?_quantized$", name):
            yield "model.decoder.embed_tokens.weight", _dequantized(constants, name)


def _matrices(graph: Table, constants: Weights, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """What is anonymous in the file: matrices, by the node that multiplies; GroupNorm's affine."""
    for node in _tables(graph, _GRAPH_NODES):
        kind, name = _text(node, _NODE_KIND), _text(node, _NODE_NAME)
        inputs = [i for i in _texts(node, _NODE_INPUTS) if i in constants]
        if name.startswith("/groupnorm/") and kind in ("Mul", "Add") and inputs:
            field = "weight" if kind == "Mul" else "bias"
            yield f"{prefix}groupnorm.{field}", constants[inputs[0]].ravel()
        quantized = [i for i in inputs if i.endswith("_quantized") and constants[i].ndim == 2]
        if kind not in _MATRIX_PRODUCTS or not quantized:
            continue
        layer = _LAYER.search(f"{name} {_texts(node, _NODE_OUTPUTS)[0]}")
        if layer is None:
            raise ValueError(f"node {name} multiplies a matrix of no known layer")
        path = prefix + layer[1].replace("/", ".")
        yield f"{path}.weight", _dequantized(constants, quantized[0]).T
        biases = [i for i in inputs if constants[i].dtype == np.float32 and "scale" not in i]
        for bias in biases:
            if constants[bias].ndim == 1 and constants[bias].size > 1:
                yield f"{path}.bias", constants[bias]


def _dequantized(constants: Weights, name: str) -> np.ndarray:
    stem = name.removesuffix("_quantized")
    zero_point = np.float32(constants[f"{stem}_zero_point"])
    result: np.ndarray = (constants[name].astype(np.float32) - zero_point) * np.float32(
        constants[f"{stem}_scale"]
    )
    return result


def _graphs(data: bytes) -> Iterator[Table]:
    """The file's graph and those inside its nodes, outermost first."""
    buffer = bytearray(data)
    root = Table(buffer, encode.Get(types.UOffsetTFlags.packer_type, buffer, 0))
    pending = [_table(_table(root, _SESSION_MODEL), _MODEL_GRAPH)]
    while pending:
        graph = pending.pop(0)
        yield graph
        for node in _tables(graph, _GRAPH_NODES):
            for attribute in _tables(node, _NODE_ATTRIBUTES):
                if attribute.Offset(4 + 2 * _ATTRIBUTE_GRAPH):
                    pending.append(_table(attribute, _ATTRIBUTE_GRAPH))


def _constants(graph: Table) -> Weights:
    found = {}
    for tensor in _tables(graph, _GRAPH_INITIALIZERS):
        field = tensor.Offset(4 + 2 * _TENSOR_DATA)
        kind = tensor.Get(types.Int32Flags, tensor.Offset(4 + 2 * _TENSOR_TYPE) + tensor.Pos)
        if not field or kind not in _DTYPES:
            continue
        raw = bytes(tensor.GetVectorAsNumpy(types.Uint8Flags, field))
        dims = tensor.Offset(4 + 2 * _TENSOR_DIMS)
        shape = tensor.GetVectorAsNumpy(types.Int64Flags, dims) if dims else ()
        found[_text(tensor, _TENSOR_NAME)] = np.frombuffer(raw, _DTYPES[kind]).reshape(tuple(shape))
    return found


def _table(table: Table, slot: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Offset(4 + 2 * slot) + table.Pos))


def _tables(table: Table, slot: int) -> list[Table]:
    field = table.Offset(4 + 2 * slot)
    start = table.Vector(field) if field else 0
    count = table.VectorLen(field) if field else 0
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]


def _text(table: Table, slot: int) -> str:
    field = table.Offset(4 + 2 * slot)
    return str(table.String(field + table.Pos).decode()) if field else ""


def _texts(table: Table, slot: int) -> list[str]:
    field = table.Offset(4 + 2 * slot)
    start = table.Vector(field) if field else 0
    count = table.VectorLen(field) if field else 0
    return [table.String(start + 4 * i).decode() for i in range(count)]
