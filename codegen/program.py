# SPDX-License-Identifier: Apache-2.0
"""A graph compiled for one target: kernel calls as data, constants as the kernels read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


def c_type(dtype: str) -> str:
    """The C type of a tensor's values.

    >>> c_type("int8"), c_type("float32")
    ('int8_t', 'float')
    """
    return "float" if dtype == "float32" else f"{dtype}_t"


@dataclass(frozen=True)
class BufferRef:
    """A pointer to an activation.

    In what an operator's `lower` returns, `index` is a tensor of the graph; in a Program it is a
    position in `Program.buffers`.
    """

    index: int
    c_type: str


@dataclass(frozen=True, eq=False)
class Constant:
    """Read-only data: a one-dimensional little-endian array, written to C as it is.

    `name` is only a hint (such as "weights") until `lower` makes it a unique C identifier.
    """

    name: str
    values: np.ndarray

    @property
    def size_bytes(self) -> int:
        """Bytes in flash."""
        return int(self.values.nbytes)


def arrays_bytes(constants: Iterable[Constant]) -> int:
    """Bytes of arrays one after another, each at a multiple of its type's size, at least of 4."""
    end = 0
    for constant in constants:
        alignment = max(4, constant.values.itemsize)
        end = -(-end // alignment) * alignment + constant.size_bytes
    return end


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both are the same bytes of the same type, so that C needs them once."""
    alike = (one.dtype, one.size) == (other.dtype, other.size)
    return alike and one.tobytes() == other.tobytes()


@dataclass(frozen=True)
class Params:
    """A kernel's const parameter struct: every field is 32 bits wide (int32_t, float, pointer)."""

    struct: str
    fields: tuple[tuple[str, int | float | Constant | None], ...]

    @property
    def size_bytes(self) -> int:
        """Bytes in flash on a 32-bit core."""
        return 4 * len(self.fields)


@dataclass(frozen=True)
class Row0:
    """The first row to compute, an int32_t."""


@dataclass(frozen=True)
class Rows:
    """The number of rows to compute, an int32_t."""


@dataclass(frozen=True)
class Scratch:
    """A pointer to the step's scratch memory."""


Operand = BufferRef | Constant | Params | Row0 | Rows | Scratch | int


@dataclass(frozen=True)
class RowAccess:
    """What one row of a step reads of an operand, or writes.

    Row r takes `window` units of `unit_bytes`, from unit r // share * stride + first on.
    """

    unit_bytes: int
    share: int = 1
    stride: int = 1
    window: int = 1
    first: int = 0

    def units(self, row: int, rows: int = 1) -> tuple[int, int]:
        """The first unit of some rows and the one behind their last, had an operand no end."""
        first, last = (each // self.share * self.stride for each in (row, row + rows - 1))
        return first + self.first, last + self.first + self.window

    def start_bytes(self, row: int) -> int:
        """Where the first unit that there is for a row lies in the operand."""
        return max(0, self.units(row)[0]) * self.unit_bytes


@dataclass(frozen=True)
class Step:
    """One kernel call; `operands` stand in the order of the C function's arguments.

    `by_row` has an entry for each operand where any run of rows can be computed alone, as the
    first rows of a call whose pointers point to what the first of them takes; None is for an
    operand that every row takes whole. It is empty where rows need each other. `edges` names the
    parameters that say how many units are missing above the first one that a row takes, and how
    many there are from it on, where the kernel does without them. `again` is whether the step makes
    what an earlier one made.
    """

    name: str
    kernel: str
    header: str
    operands: tuple[Operand, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    rows: int
    scratch_bytes: int = 0
    in_place: tuple[tuple[int, int], ...] = ()
    macs: int = 0
    by_row: tuple[RowAccess | None, ...] = ()
    edges: tuple[str, str] | None = None
    again: bool = False


@dataclass(frozen=True)
class Alias:
    """An operator that moves no data: the output is the input under another shape."""

    source: int
    output: int


@dataclass(frozen=True)
class Pace:
    """Which rows of a step go with the rows [row, row + rows) of its group.

    These are rows * each + more, from row * each + first on, as far as the step has such rows. One
    that runs once a block takes its rows for all of the block with the block's first stripe.
    """

    each: int = 1
    more: int = 0
    first: int = 0
    once_a_block: bool = False

    def wanted(self, row: int, rows: int) -> tuple[int, int]:
        """The first of them and their number for a stripe, in a step without end."""
        return row * self.each + self.first, rows * self.each + self.more

    def inside(self, all_rows: int, step_rows: int) -> bool:
        """Whether a step has all of them in every stripe of a group of so many rows."""
        return self.first >= 0 and sum(self.wanted(0, all_rows)) <= step_rows


@dataclass(frozen=True)
class Group:
    """A run of row-independent steps that executes at most `stripe_rows` of `rows` rows at a time.

    A stripe never crosses a multiple of `block_rows`. The steps have their `paces` in order; a
    buffer of `held` has room for what one stripe (or block) puts there, and only they touch it.
    """

    first_step: int
    last_step: int
    rows: int
    stripe_rows: int
    block_rows: int = 0
    paces: tuple[Pace, ...] = ()
    held: tuple[int, ...] = ()

    def __contains__(self, step: int) -> bool:
        """Whether the step is one of the group's."""
        return self.first_step <= step <= self.last_step

    def pace(self, step: int) -> Pace:
        """That of the step of this number."""
        return self.paces[step - self.first_step]

    def stripes(self) -> Iterator[tuple[int, int]]:
        """The first row and the number of rows of each run of the loop."""
        row = 0
        while row < self.rows:
            rows = min(self.stripe_rows, self.block_rows - row % self.block_rows)
            yield row, rows
            row += rows

    def taken(self, number: int, step_rows: int, row: int, rows: int) -> tuple[int, int]:
        """The first row and the number of rows of a step that go with a stripe."""
        pace = self.pace(number)
        if pace.once_a_block:
            block, started = divmod(row, self.block_rows)
            return block * pace.each, 0 if started else pace.each
        first, count = pace.wanted(row, rows)
        start, end = max(0, first), min(step_rows, first + count)
        return start, max(0, end - start)


@dataclass(frozen=True)
class Buffer:
    """Memory that lives while the program runs.

    `role` is "activation", "input" (written before the first step), "output" (read after the last
    step), "front_end" (live only before the first step), "copy" (of a constant), "state" (live
    always) or "shared" (live from its first use in any program to its last). State and shared
    buffers of one name are one buffer in all programs.
    """

    name: str
    size_bytes: int
    role: str = "activation"
    alignment_bytes: int = 16


@dataclass(frozen=True)
class Program:
    """What every stage after `lower` reads.

    A program that `repeats` runs any number of times before the next: its shared buffers keep what
    they hold from run to run.
    """

    name: str
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    constants: tuple[Constant, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    groups: tuple[Group, ...] = ()
    repeats: bool = False

    @property
    def macs(self) -> int:
        """Multiplications of a run, with those that stripes make more than once."""
        return sum(map(self.macs_of, range(len(self.steps))))

    @property
    def macs_again(self) -> int:
        """Those of them that stripes cost."""
        return self.macs - sum(step.macs for step in self.steps if not step.again)

    def macs_of(self, number: int) -> int:
        """Those of a step, in all its calls."""
        step = self.steps[number]
        for group in self.groups:
            if number in group and step.macs:
                made = sum(group.taken(number, step.rows, *each)[1] for each in group.stripes())
                return step.macs * made // step.rows
        return step.macs
