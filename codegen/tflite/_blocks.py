# SPDX-License-Identifier: Apache-2.0
"""Scales of weights that are quantized in blocks along their last axis: tensors of their own.

A .tflite file says BlockwiseQuantization{scales, zero_points, block_size}: `scales` is the index of
a constant float16 tensor of (channels, blocks), `zero_points` is -1 or 0 where all are 0. A Graph
has the scales in `Quantization`, and not that tensor.
"""

from __future__ import annotations

import math

import numpy as np

from codegen.errors import UserError
from codegen.tflite._constants import Buffers
from codegen.tflite._flat import Table, damaged
from codegen.tflite._schema import values

#: QuantizationDetails of the schema.
BLOCKWISE = 2


class BlockScales:
    """The tensors of one subgraph that hold scales of blocks."""

    def __init__(self, tensors: tuple[Table, ...], buffers: Buffers) -> None:
        """`tensors` is the subgraph's vector of tensors."""
        self._tensors = tensors
        self._buffers = buffers
        self._read: dict[int, tuple[float, ...]] = {}
        self.indices = frozenset(map(_scales_index, tensors)) - {None}
        self._numbers: dict[int, int] = {}
        for index in range(len(tensors)):
            if index not in self.indices:
                self._numbers[index] = len(self._numbers)

    def scales(self, table: Table, where: str) -> tuple[float, ...]:
        """All scales of the tensor in `table`, row-major."""
        index = _scales_index(table)
        if index is None or not 0 <= index < len(self._tensors):
            raise damaged(where, f"has its scales in tensor {index} of {len(self._tensors)}")
        if index not in self._read:
            self._read[index] = self._constant(self._tensors[index], where)
        return self._read[index]

    def renumbered(self, indices: tuple[int, ...], where: str) -> tuple[int, ...]:
        """Tensor indices without the tensors of scales; what lies outside the file stays outside.

        Raises UserError for the index of a tensor of scales.
        """
        for index in indices:
            if index in self.indices:
                raise damaged(where, f"uses tensor {index}, which holds scales of blocks")
        return tuple(self._numbers.get(index, index) for index in indices)

    def _constant(self, table: Table, where: str) -> tuple[float, ...]:
        where = f"scales of {where}"
        if table.number(1, "b") != values("TensorType")["FLOAT16"]:
            raise UserError(f"{where} are not float16, as LiteRT wants them; quantize again.")
        shape = table.numbers(0, "i", f"shape of {table.where}")
        if min(shape, default=1) < 1:
            raise damaged(where, f"have the shape {shape}")
        count = math.prod(shape)
        bits = self._buffers.raw(table.number(2, "I"), 2 * count, where)
        table.file.take(count, where)
        return tuple(bits.view("<f2").astype(np.float32).tolist())


def _scales_index(tensor: Table) -> int | None:
    params = tensor.table(4, f"quantization of {tensor.where}")
    if params is None or params.number(4, "B") != BLOCKWISE:
        return None
    details = block_details(params, tensor.where)
    return details.number(0, "i")


def block_details(params: Table, where: str) -> Table:
    """The table BlockwiseQuantization of a table of quantization parameters."""
    details = params.table(5, f"blocks of {where}")
    if details is None:
        raise damaged(where, "has blocks without a size")
    return details


def half(scales: tuple[float, ...], name: str) -> np.ndarray:
    """`scales` as float16 (count,); UserError where one would change or vanish."""
    single = np.array(scales, np.float32)
    with np.errstate(over="ignore"):
        stored = single.astype("<f2")
    for scale, back in zip(scales, stored.astype(np.float32).tolist(), strict=True):
        if scale != back or not 0 < back < math.inf:
            raise UserError(
                f"Tensor '{name}' has a block with the scale {scale!r}; a .tflite file holds scales"
                " of blocks as float16: choose the nearest number that float16 and bfloat16 share."
            )
    return stored
