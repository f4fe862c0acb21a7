# SPDX-License-Identifier: Apache-2.0
"""Arenas, what lies in them, and const arrays: what several templates print."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codegen.errors import StapesError

_C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "float32": "float",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class Arena:
    """One arena: the variable that points to it, its size and the region that it must fit."""

    index: int
    variable: str
    macro: str
    size_bytes: int
    region: str
    region_bytes: int


@dataclass(frozen=True)
class Slot:
    """Where one buffer or scratch lies, as a macro."""

    macro: str
    arena: Arena
    offset_bytes: int
    size_bytes: int
    hint: str
    life: str


@dataclass(frozen=True, eq=False)
class Data:
    """A const array."""

    symbol: str
    c_type: str
    values: np.ndarray

    @classmethod
    def of(cls, symbol: str, values: np.ndarray) -> Data:
        """The array of `values` (count,); StapesError where C has no such array."""
        if values.ndim != 1 or not len(values) or values.dtype.name not in _C_TYPES:
            raise StapesError(
                f"array '{symbol:.60}' is {values.dtype} of shape {values.shape}; "
                "C needs a one-dimensional array that is not empty."
            )
        plain = values.astype(np.uint8) if values.dtype == np.bool_ else values
        return cls(symbol, _C_TYPES[values.dtype.name], plain)

    @property
    def length(self) -> int:
        """The number of values."""
        return len(self.values)

    @property
    def alignment_bytes(self) -> int:
        """Enough for the values, and for kernels that load words."""
        return max(4, self.values.itemsize)

    @property
    def size_bytes(self) -> int:
        """Bytes of all values."""
        return int(self.values.nbytes)
