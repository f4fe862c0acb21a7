# SPDX-License-Identifier: Apache-2.0
"""Reads a .tflite file into Graphs; the file may come from a stranger and is not trusted."""

from __future__ import annotations

import struct
from typing import Any

from codegen.errors import UserError
from codegen.graph import NUMPY_TYPES, Graph, Operator, Quantization, Tensor
from codegen.tflite import _constants as constants
from codegen.tflite import _schema
from codegen.tflite._blocks import BlockScales
from codegen.tflite._flat import Bytes, Table, damaged
from codegen.tflite._order import check_order
from codegen.tflite._quantization import read_quantization

MAX_FILE_BYTES = 1 << 30
MAX_SUBGRAPHS = 64
MAX_TENSORS = 1 << 16
MAX_OPERATORS = 1 << 16
MAX_RANK = 8
MAX_NAME = 200
MAX_ELEMENTS = 1 << 28
#: Items of all vectors together (shapes, scales, tensor lists, tables).
MAX_ITEMS = 1 << 23


def read(data: bytes, longest_name: int = MAX_NAME) -> tuple[Graph, ...]:
    """Every subgraph of a .tflite file; arrays are read-only views of `data` where they can be.

    Names are cut to `longest_name` characters, with "?" for what cannot be printed.

    Raises UserError for anything malformed, unbounded or outside what Graph can say: dynamic
    shapes, sparse or variable tensors, weights in another file, types without a place in
    NUMPY_TYPES.
    """
    if len(data) > MAX_FILE_BYTES:
        raise UserError(
            f"The .tflite file has {len(data)} bytes; at most {MAX_FILE_BYTES} are allowed:"
            " split the model."
        )
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UserError(
            'The file is not a .tflite model: bytes 4 to 7 are not "TFL3"; check the path, or'
            " export the model again."
        )
    file = Bytes(bytes(data), MAX_ITEMS, longest_name)
    model = Table(file, int(file.number("I", 0, "the root")), "the model table")
    version = model.number(0, "I")
    if version != 3:
        raise UserError(
            f"The .tflite file has schema version {version}; only version 3 is supported:"
            " export it again with a current converter."
        )
    kinds = tuple(_kind(code) for code in model.tables(1, "operator code"))
    subgraphs = model.tables(2, "subgraph")
    if not 1 <= len(subgraphs) <= MAX_SUBGRAPHS:
        raise UserError(
            f"The .tflite file has {len(subgraphs)} subgraphs; 1 to {MAX_SUBGRAPHS} are allowed:"
            " export it again."
        )
    buffers = constants.Buffers(file, model.tables(4, "buffer"))
    return tuple(_graph(table, kinds, buffers) for table in subgraphs)


def _kind(code: Table) -> tuple[str, str]:
    """The operator's name, and the custom code where it is CUSTOM."""
    value = max(code.number(0, "b"), code.number(3, "i"))
    names = _schema.names("BuiltinOperator")
    if value not in names:
        raise UserError(
            f"The .tflite file uses operator number {value} ({code.where}), which its schema does"
            f" not know; known are 0 to {max(names)}: export it again with a current converter."
        )
    return names[value], code.text(1, f"custom name of {code.where}")


def _graph(table: Table, kinds: tuple[tuple[str, str], ...], buffers: constants.Buffers) -> Graph:
    where = table.where
    tensor_tables = table.tables(0, f"{where}, tensor")
    operator_tables = table.tables(3, f"{where}, operator")
    for count, most, what in (
        (len(tensor_tables), MAX_TENSORS, "tensors"),
        (len(operator_tables), MAX_OPERATORS, "operators"),
    ):
        if not 1 <= count <= most:
            raise UserError(
                f"The .tflite file's {where} has {count} {what}; 1 to {most} are allowed:"
                " export the model again."
            )
    blocks = BlockScales(tensor_tables, buffers)
    graph = Graph(
        name=table.text(4, f"name of {where}"),
        tensors=tuple(
            _tensor(tensor, buffers, blocks)
            for index, tensor in enumerate(tensor_tables)
            if index not in blocks.indices
        ),
        operators=tuple(
            _operator(index, operator, kinds, blocks)
            for index, operator in enumerate(operator_tables)
        ),
        inputs=blocks.renumbered(table.numbers(1, "i", f"inputs of {where}"), where),
        outputs=blocks.renumbered(table.numbers(2, "i", f"outputs of {where}"), where),
    )
    check_order(graph, where)
    return graph


def _tensor(table: Table, buffers: constants.Buffers, blocks: BlockScales) -> Tensor:
    name = table.text(3, f"name of {table.where}")
    where = f"Tensor '{name}' ({table.where})"
    dtype = _schema.names("TensorType").get(table.number(1, "b"), "of an unknown type").lower()
    if dtype not in NUMPY_TYPES:
        raise UserError(
            f"{where} is {dtype}; supported are {', '.join(NUMPY_TYPES)}: quantize the model or"
            " export it without this type."
        )
    shape = _shape(table, where)
    if table.number(5, "B"):
        raise UserError(
            f"{where} is a variable tensor, which keeps state between runs; pass the state as"
            " inputs and outputs of the graph instead."
        )
    if table.table(6, where) is not None:
        raise UserError(f"{where} is sparse; only dense tensors are supported: densify it.")
    if table.number(10, "I"):
        raise UserError(f"{where} keeps its data in another file; export with weights inside.")
    quantization = read_quantization(table, dtype, shape, where, blocks)
    data = buffers.constant(table.number(2, "I"), dtype, shape, where)
    if data is None and quantization is not None and _several(quantization):
        raise UserError(
            f"{where} is an activation with {len(quantization.scales)} scales; only constants may"
            " have one a channel or block: quantize the model again."
        )
    return Tensor(name, shape, dtype, quantization, data)


def _several(quantization: Quantization) -> bool:
    return len(quantization.scales) != 1 or quantization.block_size > 0


def _shape(table: Table, where: str) -> tuple[int, ...]:
    shape = table.numbers(0, "i", f"shape of {table.where}")
    signature = table.numbers(7, "i", f"shape signature of {table.where}")
    if len(shape) > MAX_RANK:
        raise UserError(f"{where} has {len(shape)} dimensions; at most {MAX_RANK} are allowed.")
    if -1 in shape or -1 in signature:
        raise UserError(
            f"{where} has the dynamic shape {signature or shape}; only static shapes are"
            " supported: export the model with fixed input shapes."
        )
    elements = 1
    for length in shape:
        elements *= length
        if length < 1 or elements > MAX_ELEMENTS:
            raise UserError(
                f"{where} has the shape {shape}; each dimension must be 1 or more, and at most"
                f" {MAX_ELEMENTS} elements are allowed: export the model again."
            )
    return shape


def _operator(
    index: int, table: Table, kinds: tuple[tuple[str, str], ...], blocks: BlockScales
) -> Operator:
    where = table.where
    code = table.number(0, "I")
    if code >= len(kinds):
        raise damaged(where, f"has operator code {code} of {len(kinds)}")
    kind, custom = kinds[code]
    options = {"custom_code": custom} if kind == "CUSTOM" else _options(table, kind)
    return Operator(
        index=index,
        kind=kind,
        inputs=blocks.renumbered(table.numbers(1, "i", f"inputs of {where}"), where),
        outputs=blocks.renumbered(table.numbers(2, "i", f"outputs of {where}"), where),
        options=options,
    )


def _options(table: Table, kind: str) -> dict[str, Any]:
    """The options of an operator, the schema's defaults where the file leaves them out."""
    name = _schema.options_class(kind)
    if name is None:
        return {}
    where = f"{kind} ({table.where})"
    stored = _schema.names("BuiltinOptions").get(table.number(3, "B"), "unknown options")
    options = table.table(4, f"options of {where}")
    unpacked = getattr(_schema.schema(), name + "T")()
    if options is not None and stored != "NONE":
        if stored != name:
            raise damaged(where, f"holds {stored} instead of {name}")
        try:
            unpacked = type(unpacked).InitFromBuf(options.file.data, options.position)
        except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
            raise damaged(where, "has options outside the file") from error
    for value in vars(unpacked).values():
        table.file.take(len(value) if hasattr(value, "__len__") else 1, where)
    try:
        return _schema.option_values(unpacked, where)
    except ValueError as error:
        raise UserError(f"The .tflite file's {error}; export it again.") from error
