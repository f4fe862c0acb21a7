# SPDX-License-Identifier: Apache-2.0
"""How the calls of a striped group look: how many rows, and where a stripe starts in an operand."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.program import Group, Pace, Params, RowAccess, Step

#: The variable of a call whose first or last stripes have fewer rows than its pace says.
_LINES = "lines"


@dataclass(frozen=True)
class Start:
    """Where a stripe starts in an operand: index * unit + more bytes.

    An operand that has not all of the stripe's units starts at 0, `all_there` says.
    """

    index: str = "0"
    unit_bytes: int = 0
    more_bytes: int = 0
    all_there: bool = True

    def text(self, value_bytes: int = 1) -> str:
        """What is added to the operand, in values of that size.

        >>> Start("row", 72, 36).text(), Start("row / 207", 72).text(4), Start().text()
        (' + row * 72 + 36', ' + row / 207 * 18', '')
        >>> Start("row", 144, -72, all_there=False).text()
        ' + stapes_at_least_0(row * 144 - 72)'
        """
        units, more = self.unit_bytes // value_bytes, self.more_bytes // value_bytes
        if not units and not more:
            return ""
        added = linear(self.index, units, more)
        return f" + {added}" if self.all_there else f" + stapes_at_least_0({added})"

    def unsigned(self) -> str:
        """What is added to a number of bytes of type uint32_t.

        >>> Start("row", 72).unsigned(), Start().unsigned()
        (' + (uint32_t)(row * 72)', '')
        """
        added = self.text().removeprefix(" + ")
        return f" + (uint32_t)({added})" if added else ""


def linear(index: str, factor: int, more: int) -> str:
    """index * factor + more.

    >>> linear("row", 2, -1), linear("row", 1, 0), linear("row", -1, 1), linear("row", 0, 3)
    ('row * 2 - 1', 'row', '1 - row', '3')
    """
    if factor == 0:
        return str(more)
    if factor < 0:
        return f"{more} - {linear(index, -factor, 0)}"
    scaled = index if factor == 1 else f"{index} * {factor}"
    return scaled if more == 0 else f"{scaled} {'+-'[more < 0]} {abs(more)}"


def whole(access: RowAccess | None) -> Start:
    """Where the first row of all starts in an operand."""
    return Start(more_bytes=access.start_bytes(0)) if access else Start()


@dataclass(frozen=True)
class Stripe:
    """A step's part in the loop of its group."""

    group: Group
    pace: Pace
    step: Step

    @property
    def clipped(self) -> bool:
        """Whether the first or last stripes have fewer rows than the pace says."""
        pace = self.pace
        return not pace.once_a_block and not pace.inside(self.group.rows, self.step.rows)

    @property
    def lines(self) -> str:
        """The value of the variable that holds them."""
        first, count = linear("row", self.pace.each, self.pace.first), self._count
        return f"stapes_inside({first}, {count}, {self.step.rows})"

    @property
    def rows(self) -> str:
        """The number of rows."""
        return f"{_LINES}.count" if self.clipped else self._count

    @property
    def _count(self) -> str:
        pace = self.pace
        return str(pace.each) if pace.once_a_block else linear("rows", pace.each, pace.more)

    def start(self, access: RowAccess | None) -> Start:
        """Where the rows start in an operand that lies somewhere as a whole."""
        if access is None:
            return Start()
        index, factor, more = self._unit(access)
        unit = access.unit_bytes
        return Start(index, factor * unit, more * unit, not self.lacks(access))

    def _unit(self, access: RowAccess) -> tuple[str, int, int]:
        """The first unit: index * factor + more."""
        pace, more = self.pace, access.first
        if access.share > 1:
            return f"row / {access.share}", 1, more
        if pace.once_a_block:
            return f"row / {self.group.block_rows}", pace.each * access.stride, more
        if self.clipped:
            return f"{_LINES}.first", access.stride, more
        return "row", pace.each * access.stride, pace.first * access.stride + more

    def lacks(self, access: RowAccess) -> bool:
        """Whether some rows want units that there are not."""
        if self.step.edges is None or access.window == 1:
            return False
        last = access.units(self.step.rows - 1)[1]
        return access.first < 0 or last > self._units_there

    @property
    def _units_there(self) -> int:
        assert self.step.edges is not None
        params = next(each for each in self.step.operands if isinstance(each, Params))
        there = dict(params.fields)[self.step.edges[1]]
        assert isinstance(there, int)
        return there

    def edge_fields(self) -> tuple[tuple[str, str], ...]:
        """The parameters that say which units a stripe lacks."""
        for access in self.step.by_row:
            if access is not None and self.lacks(access):
                assert self.step.edges is not None
                index, factor, more = self._unit(access)
                above = f"stapes_at_least_0({linear(index, -factor, -more)})"
                passed = f"stapes_at_least_0({linear(index, factor, more)})"
                there = f"{self._units_there} - {passed}"
                return (self.step.edges[0], above), (self.step.edges[1], there)
        return ()
