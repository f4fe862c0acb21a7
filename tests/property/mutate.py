# SPDX-License-Identifier: Apache-2.0
"""Damages a file in the ways that accidents and attackers do, from a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
_EXTREME_U32 = (*_EXTREMES, 0xFFFFFFF8, 0xFFFFFFFE, 0xFFFFFFFF)
#: Not a number, infinities, denormal, huge, negative, zero.
_EXTREME_F32 = (0x7FC00000, 0x7F800000, 0xFF800000, 0x00000001, 0x7F7FFFFF, 0xBF800000, 0)
_NASTY_TEXT = (
    b'"; int x; //',
    b"*/ evil /*",
    b"\n\r\0\x1b[2J",
    b"%s%n{{7*7}}",
    b"\xff\xfe\xed\xa0",
)


def _place(data: bytearray, rng: random.Random) -> int:
    """Where to strike: in most cases a word that looks like an offset, length or index.

    Most of a model is weights, and damage there goes unnoticed.
    """
    place = 4 * rng.randrange(len(data) // 4)
    for _ in range(rng.choice((0, 50, 50))):
        if struct.unpack_from("<I", data, place)[0] < len(data):
            break
        place = 4 * rng.randrange(len(data) // 4)
    return place


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[_place(data, rng) + rng.randrange(4)] ^= 1 << rng.randrange(8)


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _splice(data: bytearray, rng: random.Random) -> None:
    length = 4 * rng.randrange(1, 17)
    source, place = _place(data, rng), _place(data, rng)
    length = min(length, len(data) - source, len(data) - place)
    data[place : place + length] = data[source : source + length]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 65)]


def _word(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 4))):
        place = _place(data, rng)
        struct.pack_into("<I", data, place, rng.choice(_EXTREME_U32 + _EXTREME_F32))


def _nudge(data: bytearray, rng: random.Random) -> None:
    """Move an offset, length or index a little, or as far as the file goes."""
    for _ in range(rng.choice((1, 1, 2))):
        place = _place(data, rng)
        (old,) = struct.unpack_from("<I", data, place)
        new = rng.choice((old + 1, old - 1, old + 4, old - 4, old * 2, -old, len(data)))
        struct.pack_into("<I", data, place, new & 0xFFFFFFFF)


def _text(data: bytearray, rng: random.Random) -> None:
    place, text = _place(data, rng), rng.choice(_NASTY_TEXT)
    data[place : place + len(text)] = text[: len(data) - place]


_KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip,) * 4,
    *(_splice,) * 3,
    *(_word,) * 5,
    *(_nudge,) * 5,
    *(_text,) * 2,
    _truncate,
    _remove,
)


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies of `data`; the same seed gives the same copies."""
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if len(copy) >= 64:
                rng.choice(_KINDS)(copy, rng)
        yield bytes(copy)
