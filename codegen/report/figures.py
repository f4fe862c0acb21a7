# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them."""

from __future__ import annotations


def size(size_bytes: int) -> str:
    """Bytes in the unit that suits.

    >>> size(0), size(1023), size(82308), size(1536 * 1024), size(16 << 20)
    ('0 B', '1,023 B', '80.4 KiB', '1.50 MiB', '16.0 MiB')
    """
    if size_bytes < 1024:
        return f"{size_bytes:,} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes_in_unit = size_bytes / 1024 ** (("KiB", "MiB", "GiB").index(unit) + 1)
        if size_bytes_in_unit < 1023.95 or unit == "GiB":
            break
    digits = 2 if size_bytes_in_unit < 10 else 1
    return f"{size_bytes_in_unit:,.{digits}f} {unit}"


def count(number: int) -> str:
    """A count in thousands or millions.

    >>> count(940), count(7_160_000), count(1_495_000)
    ('940', '7.16 M', '1.50 M')
    """
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:.1f} k"
    return f"{number / 1e6:.2f} M"


def percent(part: float, whole: float) -> str:
    """A share, with a figure where it would round to nothing.

    >>> percent(1, 8), percent(1, 100000), percent(0, 5), percent(3, 0)
    ('12.5 %', '<0.1 %', '0 %', '-')
    """
    if whole <= 0:
        return "-"
    share = 100 * part / whole
    if share == 0:
        return "0 %"
    return "<0.1 %" if share < 0.05 else f"{share:.1f} %"


def points(value: float) -> str:
    """A difference of percentages, with its sign.

    >>> points(0.25), points(-1), points(-0.001)
    ('+0.25', '-1.00', '+0.00')
    """
    return f"{round(value, 2) + 0.0:+.2f}"


def clean(text: str, length: int = 60) -> str:
    """A name on one line: what cannot be printed becomes "?", too long a name loses its middle.

    >>> clean("a\\nb"), clean("encoder/layer0/ffn1/add", 15)
    ('a?b', 'encode…ffn1/add')
    """
    line = "".join(c if c.isprintable() else "?" for c in text[: 8 * length])
    if len(line) <= length:
        return line
    head = (length - 1) * 2 // 5 + 1
    return f"{line[:head]}…{line[head + 1 - length :]}"
