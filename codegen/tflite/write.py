# SPDX-License-Identifier: Apache-2.0
"""Writes a Graph as a .tflite file; the same graph gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codegen.errors import StapesError
from codegen.graph import NUMPY_TYPES, Graph, Operator, Quantization, Tensor
from codegen.tflite._blocks import BLOCKWISE, half
from codegen.tflite._schema import options_class, packed_options, schema, values

_SIGNATURE = "serving_default"
_PLACEHOLDER = "PLACEHOLDER_FOR_GREATER_OP_CODES"


def write(graph: Graph) -> bytes:
    """The .tflite file of one subgraph; its signature names inputs and outputs by tensor name.

    Scales of blocks go into tensors of their own, behind all others.
    Raises StapesError where an operator or option is not in the schema, UserError where a block has
    a scale that float16 cannot hold.
    """
    import flatbuffers

    s = schema()
    model = s.ModelT(version=3, description="stapes")
    model.buffers = [s.BufferT()]
    subgraph = s.SubGraphT(name=graph.name)
    subgraph.inputs = np.asarray(graph.inputs, np.int32)
    subgraph.outputs = np.asarray(graph.outputs, np.int32)
    subgraph.tensors = [_tensor(tensor, model.buffers) for tensor in graph.tensors]
    for position, tensor in enumerate(graph.tensors):
        if tensor.quantization is not None and tensor.quantization.block_size:
            details = _blocks(tensor, tensor.quantization, model.buffers, subgraph.tensors)
            subgraph.tensors[position].quantization = details
    kinds = tuple(dict.fromkeys(operator.kind for operator in graph.operators))
    model.operatorCodes = [_code(kind) for kind in kinds]
    subgraph.operators = [_operator(operator, kinds) for operator in graph.operators]
    model.subgraphs = [subgraph]
    model.signatureDefs = [_signature(graph)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _code(kind: str) -> Any:
    builtin = values("BuiltinOperator")
    if kind not in builtin or kind == "CUSTOM":
        raise StapesError(f"Operator kind {kind!r} cannot be written to a .tflite file.")
    # Readers older than the wide operator codes look at the 8-bit field alone.
    narrow = min(builtin[kind], builtin[_PLACEHOLDER])
    return schema().OperatorCodeT(builtinCode=builtin[kind], deprecatedBuiltinCode=narrow)


def _operator(operator: Operator, kinds: tuple[str, ...]) -> Any:
    s = schema()
    try:
        options = packed_options(operator.kind, operator.options)
    except (KeyError, ValueError) as error:
        raise StapesError(f"Operator {operator.index} cannot be written: {error}.") from error
    written = s.OperatorT(opcodeIndex=kinds.index(operator.kind))
    written.inputs = np.asarray(operator.inputs, np.int32)
    written.outputs = np.asarray(operator.outputs, np.int32)
    if options is not None:
        written.builtinOptions = options
        written.builtinOptionsType = values("BuiltinOptions")[str(options_class(operator.kind))]
    return written


def _tensor(tensor: Tensor, buffers: list[Any]) -> Any:
    s = schema()
    written = s.TensorT(name=tensor.name, hasRank=True)
    written.shape = np.asarray(tensor.shape, np.int32)
    written.type = values("TensorType")[tensor.dtype.upper()]
    if tensor.quantization is not None and not tensor.quantization.block_size:
        written.quantization = _quantization(tensor.quantization)
    if tensor.data is not None:
        written.buffer = len(buffers)
        buffers.append(_aligned_buffer(pack(tensor)))
    return written


def _quantization(quantization: Quantization) -> Any:
    return schema().QuantizationParametersT(
        scale=np.asarray(quantization.scales, np.float32),
        zeroPoint=np.asarray(quantization.zero_points, np.int64),
        quantizedDimension=quantization.axis,
    )


def _blocks(
    tensor: Tensor, quantization: Quantization, buffers: list[Any], tensors: list[Any]
) -> Any:
    """The quantization of `tensor` in blocks; appends a tensor with the scales."""
    s = schema()
    scales = half(quantization.scales, tensor.name)
    added = s.TensorT(name=f"{tensor.name}_scales", hasRank=True, buffer=len(buffers))
    added.shape = np.array((tensor.shape[0], scales.size // tensor.shape[0]), np.int32)
    added.type = values("TensorType")["FLOAT16"]
    buffers.append(_aligned_buffer(scales.tobytes()))
    tensors.append(added)
    return s.QuantizationParametersT(
        detailsType=BLOCKWISE,
        details=s.BlockwiseQuantizationT(
            scales=len(tensors) - 1, zeroPoints=-1, blockSize=quantization.block_size
        ),
    )


def pack(tensor: Tensor) -> bytes:
    """A constant's bytes as the file holds them: little-endian, int4 and int2 low bits first."""
    assert tensor.data is not None
    data = np.ascontiguousarray(tensor.data, NUMPY_TYPES[tensor.dtype]).reshape(-1)
    bits = {"int4": 4, "int2": 2}.get(tensor.dtype)
    if bits is None:
        return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
    per_byte = 8 // bits
    fields = np.zeros(-(-data.size // per_byte) * per_byte, np.uint8)
    fields[: data.size] = data.view(np.uint8) & ((1 << bits) - 1)
    packed = np.zeros(fields.size // per_byte, np.uint8)
    for position in range(per_byte):
        packed |= fields[position::per_byte] << (bits * position)
    return packed.tobytes()


def _aligned_buffer(data: bytes) -> Any:
    """A BufferT whose data starts on 16 bytes, as the schema's force_align demands."""
    s = schema()

    class AlignedBuffer(s.BufferT):  # type: ignore[name-defined,misc]
        def Pack(self, builder: Any) -> Any:  # noqa: N802 (the generated classes' name)
            builder.StartVector(1, len(data), 16)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            vector = builder.EndVector()
            s.BufferStart(builder)
            s.BufferAddData(builder, vector)
            return s.BufferEnd(builder)

    return AlignedBuffer()


def _signature(graph: Graph) -> Any:
    s = schema()

    def maps(indices: Sequence[int]) -> list[Any]:
        return [
            s.TensorMapT(name=graph.tensors[index].name, tensorIndex=index) for index in indices
        ]

    return s.SignatureDefT(
        inputs=maps(graph.inputs),
        outputs=maps(graph.outputs),
        signatureKey=_SIGNATURE,
        subgraphIndex=0,
    )
