# SPDX-License-Identifier: Apache-2.0
"""Const arrays in a binary file: one that the assembler includes, or one that the firmware binds.

A file to bind is all that may change when a model is quantized again, so a device takes new weights
without new firmware. Its header of 64 bytes is described in firmware/runtime/bind.c. Two models
have one layout where everything but these arrays' values is the same: kernels, their order and
numbers, where arrays and activations lie. The layout's hash is that of the generated C.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen.emit.values import Data

MAGIC = b"STPW"
FORMAT_VERSION = 1
HEADER_BYTES = 64
LAYOUT_BYTES = 16
#: STAPES_WEIGHTS_ALIGNMENT of firmware/include/stapes/stapes.h.
ALIGNMENT_BYTES = 16


@dataclass(frozen=True)
class Piece:
    """An array's bytes in a binary file; `macro` names its place for C."""

    symbol: str
    macro: str
    alignment_bytes: int
    skip_bytes: int
    size_bytes: int
    section: str = ""


def pack(arrays: Sequence[Data], alignment_bytes: int = 1) -> tuple[bytes, tuple[Piece, ...]]:
    """The arrays one after another, little-endian, each at a multiple of its alignment or more."""
    names = [each.symbol.upper() for each in arrays]
    blob = bytearray()
    pieces = []
    for index, each in enumerate(arrays):
        alignment = max(each.alignment_bytes, alignment_bytes)
        blob += bytes(-len(blob) % alignment)
        name = names[index]
        macro = f"OFFSET_{name}" if names.count(name) == 1 else f"OFFSET_{index}_{name}"
        pieces.append(
            Piece(each.symbol, macro, alignment, len(blob), each.size_bytes, each.section)
        )
        blob += each.values.astype(each.values.dtype.newbyteorder("<"), copy=False).tobytes()
    return bytes(blob), tuple(pieces)


def layout_of(texts: Mapping[str, str]) -> bytes:
    """The hash (LAYOUT_BYTES,) of generated sources that name no model and no layout."""
    whole = "".join(f"{path}\0{text}\0" for path, text in sorted(texts.items()))
    return hashlib.sha256(whole.encode("ascii")).digest()[:LAYOUT_BYTES]


def weights_file(payload: bytes, layout: bytes, sha256: str) -> bytes:
    """The file that stapes_bind takes; `sha256` is the model's, in hexadecimal digits."""
    covered = layout + bytes.fromhex(sha256) + payload
    checksum = zlib.crc32(covered)
    return MAGIC + struct.pack("<III", FORMAT_VERSION, len(payload), checksum) + covered
