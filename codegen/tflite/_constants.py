# SPDX-License-Identifier: Apache-2.0
"""Constant data of a .tflite file, inside the flatbuffer or behind it."""

from __future__ import annotations

import math

import numpy as np

from codegen.errors import UserError
from codegen.graph import NUMPY_TYPES
from codegen.tflite._flat import Bytes, Table, damaged

_BITS = {"int4": 4, "int2": 2}
#: Values of int4 and int2 tensors together; they are copied, one byte a value.
MAX_UNPACKED = 1 << 28


class Buffers:
    """The model's buffers; each is looked at when a tensor asks for it."""

    def __init__(self, file: Bytes, tables: tuple[Table, ...]) -> None:
        """`tables` is the model's vector of buffers."""
        self._file = file
        self._tables = tables
        self._unpacked: dict[tuple[int, str, int], np.ndarray] = {}
        self._unpacked_left = MAX_UNPACKED

    def constant(
        self, index: int, dtype: str, shape: tuple[int, ...], where: str
    ) -> np.ndarray | None:
        """The data of buffer `index` as a read-only array of `shape`, None where it is empty."""
        if index == 0:
            return None
        if index >= len(self._tables):
            raise damaged(where, f"uses buffer {index} of {len(self._tables)}")
        raw = self._bytes(self._tables[index])
        if raw.size == 0:
            return None
        elements = math.prod(shape)
        bits = _BITS.get(dtype, 8 * np.dtype(NUMPY_TYPES[dtype]).itemsize)
        expected = -(-elements * bits // 8)
        if raw.size != expected:
            raise damaged(where, f"holds {raw.size} bytes where {dtype} {shape} takes {expected}")
        if dtype in _BITS:
            flat = self._unpack(index, dtype, elements, raw)
        elif dtype == "bool":
            flat = raw != 0
        else:
            flat = raw.view(np.dtype(NUMPY_TYPES[dtype]).newbyteorder("<"))
        array = flat.reshape(shape)
        array.flags.writeable = False
        return array

    def raw(self, index: int, size_bytes: int, where: str) -> np.ndarray:
        """The `size_bytes` bytes of buffer `index`."""
        if index >= len(self._tables):
            raise damaged(where, f"uses buffer {index} of {len(self._tables)}")
        raw = self._bytes(self._tables[index])
        if raw.size != size_bytes:
            raise damaged(where, f"holds {raw.size} bytes where {size_bytes} are needed")
        return raw

    def _bytes(self, table: Table) -> np.ndarray:
        offset, size = table.number(1, "Q"), table.number(2, "Q")
        # Offsets 0 and 1 are the schema's ways to say "not behind the flatbuffer".
        if offset <= 1:
            return table.bytes_view(0, f"data of {table.where}")
        if offset + size > len(self._file.data):
            raise damaged(table.where, f"points to bytes {offset} to {offset + size}")
        return np.frombuffer(self._file.data, np.uint8, size, offset)

    def _unpack(self, index: int, dtype: str, elements: int, raw: np.ndarray) -> np.ndarray:
        """Two's complement fields of a byte, low bits first, one int8 each."""
        key = (index, dtype, elements)
        if key not in self._unpacked:
            self._unpacked_left -= elements
            if self._unpacked_left < 0:
                raise UserError(
                    f"The .tflite file holds more than {MAX_UNPACKED} int4 and int2 values;"
                    " split the model."
                )
            bits = _BITS[dtype]
            values = np.empty((raw.size, 8 // bits), np.int8)
            for position in range(8 // bits):
                left = (raw << (8 - bits - bits * position)).view(np.int8)
                values[:, position] = left >> (8 - bits)
            self._unpacked[key] = values.reshape(-1)[:elements]
        return self._unpacked[key].view()
