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
    section: str = ""
    alignment_bytes: int = 16

    @property
    def section_macro(self) -> str:
        """What puts it into its section, in C; `section` is empty where it is the only arena."""
        return f'STAPES_ARENA_IN("{self.section}")' if self.section else "STAPES_ARENA_SECTION"

    @property
    def input_sections(self) -> str:
        """What the linker takes into its output section."""
        return f".bss.stapes_arena.{self.section}" if self.section else ".bss.stapes_arena*"

    @property
    def output_section(self) -> str:
        """What the linker makes of it."""
        return f".stapes_arena_{self.section}" if self.section else ".stapes_arena"

    @property
    def alignment(self) -> str:
        """The alignment in C."""
        plain = self.alignment_bytes == 16
        return "STAPES_ARENA_ALIGNMENT" if plain else str(self.alignment_bytes)


@dataclass(frozen=True)
class Share:
    """What a region holds of a model, where a target has several to choose from.

    `section` is what the names of its sections end with; its weights are copied to it, at start-up,
    where it is RAM.
    """

    region: str
    section: str
    macro: str
    arena: Arena | None
    weights_bytes: int
    available_bytes: int
    copied: bool

    @property
    def contents(self) -> str:
        """What it holds, in words."""
        weights = [f"{self.weights_bytes} bytes of weights"] if self.weights_bytes else []
        return " and ".join(["an arena"] * bool(self.arena) + weights)

    @property
    def need(self) -> str:
        """Bytes of its arena and weights, in C."""
        if self.arena is None:
            return f"{self.weights_bytes}u"
        weights = f" + {self.weights_bytes}u" if self.weights_bytes else ""
        return f"{self.arena.macro}_BYTES{weights}"


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
    """A const array; `section` is that of its region where the target has several for arrays."""

    symbol: str
    c_type: str
    values: np.ndarray
    section: str = ""

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
    def section_macro(self) -> str:
        """What puts it into its section, in C; `section` is empty for that of all weights."""
        return f'STAPES_WEIGHTS_IN("{self.section}")' if self.section else "STAPES_WEIGHTS_SECTION"

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
