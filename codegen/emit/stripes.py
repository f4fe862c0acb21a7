# SPDX-License-Identifier: Apache-2.0
"""How the calls of a striped group look: how many rows, and where a stripe starts in an operand."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.program import Group, Pace, RowAccess


@dataclass(frozen=True)
class Start:
    """Where the stripe from a row on starts in an operand: row / share * unit + more bytes."""

    share: int = 1
    unit_bytes: int = 0
    more_bytes: int = 0

    def at(self, row: int) -> int:
        """The bytes before the stripe that starts at `row`."""
        return row // self.share * self.unit_bytes + self.more_bytes

    def text(self, value_bytes: int = 1) -> str:
        """What is added to the operand, in values of that size.

        >>> Start(1, 72, 36).text(), Start(207, 72).text(4), Start(1, 2).text(2), Start().text()
        (' + row * 72 + 36', ' + row / 207 * 18', ' + row', '')
        """
        units, more = self.unit_bytes // value_bytes, self.more_bytes // value_bytes
        index = "row" if self.share == 1 else f"row / {self.share}"
        scaled = f" + {index}{f' * {units}' if units > 1 else ''}" if units else ""
        return scaled + (f" + {more}" if more else "")

    def unsigned(self) -> str:
        """What is added to a number of bytes of type uint32_t.

        >>> Start(1, 72).unsigned(), Start().unsigned()
        (' + (uint32_t)(row * 72)', '')
        """
        added = self.text().removeprefix(" + ")
        return f" + (uint32_t)({added})" if added else ""


def whole(access: RowAccess | None) -> Start:
    """Where the first row of all starts in an operand."""
    return Start(more_bytes=access.first * access.unit_bytes) if access else Start()


def start(group: Group, pace: Pace, access: RowAccess | None) -> Start:
    """Where the rows of a stripe start in an operand that lies somewhere as a whole."""
    if access is None:
        return Start()
    first = (pace.first * access.stride + access.first) * access.unit_bytes
    if access.share > 1:
        return Start(access.share, access.unit_bytes, first)
    share = group.block_rows if pace.once_a_block else 1
    return Start(share, pace.each * access.stride * access.unit_bytes, first)


def row_count(pace: Pace) -> str:
    """The number of a step's rows in a stripe.

    >>> row_count(Pace()), row_count(Pace(3, 4)), row_count(Pace(207, once_a_block=True))
    ('rows', 'rows * 3 + 4', '207')
    """
    if pace.once_a_block:
        return str(pace.each)
    scaled = "rows" if pace.each == 1 else f"rows * {pace.each}"
    return scaled if pace.more == 0 else f"{scaled} {'+-'[pace.more < 0]} {abs(pace.more)}"
