# SPDX-License-Identifier: Apache-2.0
"""A bounded reader of flatbuffer tables: every offset and length is checked before it is used.

Source: the FlatBuffers internals document (tables, vtables, vectors, strings). The generated
classes trust the file; a file from a stranger may claim a vector of 2^32 elements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from codegen.errors import UserError

_NUMBERS = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}


def damaged(where: str, what: str) -> UserError:
    """The error for a file whose bytes contradict themselves."""
    return UserError(
        f"The .tflite file is truncated or damaged: {where} {what}; export or download it again."
    )


class Bytes:
    """The file and what may still be taken out of it."""

    def __init__(self, data: bytes, budget: int, longest_text: int) -> None:
        """`budget` bounds the items of all vectors together, since tables may share one vector."""
        self.data = data
        self.longest_text = longest_text
        self.left = budget
        self.budget = budget

    def number(self, kind: str, position: int, where: str) -> int | float:
        """The little-endian number of struct code `kind` at `position`."""
        if position < 0 or position + _NUMBERS[kind] > len(self.data):
            raise damaged(where, "lies outside the file")
        (value,) = struct.unpack_from("<" + kind, self.data, position)
        return value  # type: ignore[no-any-return]

    def take(self, count: int, where: str) -> None:
        """Account for `count` items about to be read."""
        self.left -= count
        if self.left < 0:
            raise UserError(
                f"The .tflite file is too large: at {where} its tables hold more than"
                f" {self.budget} items; split the model or export a smaller one."
            )


@dataclass(frozen=True)
class Table:
    """One table at `position`; fields are named by their number in the schema."""

    file: Bytes
    position: int
    where: str

    def __post_init__(self) -> None:
        """Check that table and vtable lie inside the file and each field inside the table."""
        vtable, vtable_bytes = self._vtable()
        table_bytes = int(self.file.number("H", vtable + 2, self.where))
        size = len(self.file.data)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > size:
            raise damaged(self.where, "has a malformed field list")
        if table_bytes < 4 or self.position + table_bytes > size:
            raise damaged(self.where, "runs past the end of the file")
        fields = struct.unpack_from(f"<{vtable_bytes // 2 - 2}H", self.file.data, vtable + 4)
        if any(offset and not 4 <= offset < table_bytes for offset in fields):
            raise damaged(self.where, "has a field outside itself")

    def _vtable(self) -> tuple[int, int]:
        vtable = self.position - int(self.file.number("i", self.position, self.where))
        return vtable, int(self.file.number("H", vtable, self.where))

    def _field(self, number: int) -> int | None:
        vtable, vtable_bytes = self._vtable()
        slot = 4 + 2 * number
        if slot >= vtable_bytes:
            return None
        offset = int(self.file.number("H", vtable + slot, self.where))
        return self.position + offset if offset else None

    def _pointer(self, number: int) -> int | None:
        at = self._field(number)
        return None if at is None else at + int(self.file.number("I", at, self.where))

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """The integer in `field`, `default` where it is absent."""
        at = self._field(field)
        return default if at is None else int(self.file.number(kind, at, self.where))

    def table(self, field: int, where: str) -> Table | None:
        """The table that `field` points to."""
        at = self._pointer(field)
        return None if at is None else Table(self.file, at, where)

    def _vector(self, field: int, item_bytes: int, where: str) -> tuple[int, int]:
        at = self._pointer(field)
        if at is None:
            return 0, 0
        length = int(self.file.number("I", at, where))
        if length * item_bytes > len(self.file.data) - at - 4:
            raise damaged(where, f"claims {length} items, which run past the end of the file")
        return at + 4, length

    def tables(self, field: int, where: str) -> tuple[Table, ...]:
        """The tables of a vector of tables, each named `where` and its index."""
        start, length = self._vector(field, 4, where)
        self.file.take(length, where)
        found = []
        for index in range(length):
            at = start + 4 * index
            name = f"{where} {index}"
            found.append(Table(self.file, at + int(self.file.number("I", at, name)), name))
        return tuple(found)

    def numbers(self, field: int, kind: str, where: str) -> tuple[int, ...]:
        """The integers of a vector."""
        start, length = self._vector(field, _NUMBERS[kind], where)
        self.file.take(length, where)
        return struct.unpack_from(f"<{length}{kind}", self.file.data, start)

    def floats(self, field: int, where: str) -> tuple[float, ...]:
        """The numbers of a vector of float32."""
        start, length = self._vector(field, 4, where)
        self.file.take(length, where)
        return struct.unpack_from(f"<{length}f", self.file.data, start)

    def bytes_view(self, field: int, where: str) -> np.ndarray:
        """The bytes of a vector of bytes, a read-only view of the file."""
        start, length = self._vector(field, 1, where)
        return np.frombuffer(self.file.data, np.uint8, length, start)

    def text(self, field: int, where: str) -> str:
        """A string, cut to the file's `longest_text`, with "?" for what cannot be printed.

        A name is for people and for generated comments: a line break in one is never wanted.
        """
        start, length = self._vector(field, 1, where)
        longest = self.file.longest_text
        raw = self.file.data[start : start + min(length, 4 * longest)]
        cleaned = "".join(c if c.isprintable() else "?" for c in raw.decode("utf-8", "replace"))
        return cleaned[:longest]
