# SPDX-License-Identifier: Apache-2.0
"""Where everything that lives while a model runs lies, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

#: `Placement.buffer` of a step's scratch memory; the step is its `first_use`.
SCRATCH = -1

#: `first_use` of what is written before a program's first step (step 0).
BEFORE = -1

#: The region's name until `place` has chosen one of the target's.
ARENA = "arena"

#: Every offset and every arena's size is a multiple of this (STAPES_ARENA_ALIGNMENT).
ALIGNMENT_BYTES = 16


@dataclass(frozen=True)
class Placement:
    """Bytes of one region, taken from step `first_use` to step `last_use`, both included.

    `buffer` is a position in the `buffers` of program `program`, or SCRATCH. A program of n steps
    runs at 0 ... n-1; BEFORE is the front end's time and n is the time when outputs are read.
    """

    program: int
    buffer: int
    name: str
    region: str
    offset_bytes: int
    size_bytes: int
    first_use: int
    last_use: int

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.offset_bytes + self.size_bytes


@dataclass(frozen=True)
class RegionUse:
    """What a region holds where a target has several to choose from, and what that costs.

    `peak_bytes` is the peak of live bytes of what lies in its arena, `available_bytes` what arena
    and weights may take. Bytes are read and written, and `cycles` spent on that, from the first
    step to the last, repetitions included.
    """

    region: str
    arena_bytes: int
    peak_bytes: int
    weights_bytes: int
    available_bytes: int
    read_bytes: int
    written_bytes: int
    cycles: int


@dataclass(frozen=True)
class MemoryPlan:
    """The placements of each program, and the bytes of each region's arena over all programs.

    `lower_bound_bytes` is the peak of live bytes, which no plan can undercut;
    `unmodified_peak_bytes` the peak of the graphs as the file gave them (0 where not known).
    `optimal` says that fewer bytes are proved to be impossible for this order of steps.
    `given_order_bytes` is the peak in the file's order, and no order has a peak below
    `any_order_bytes` (both 0 where not known). `weights` are, for each program, its constants that
    do not lie in the target's region of constants, with their regions; it and `uses` are empty
    where there was nothing to choose. `assignment_gap` is how much cheaper another assignment may
    be at most, in relation to the cycles of this one; `own_cycles` are those with everything where
    the target's keys put it.
    """

    placements: tuple[tuple[Placement, ...], ...]
    arena_bytes: tuple[tuple[str, int], ...]
    lower_bound_bytes: int
    unmodified_peak_bytes: int = 0
    optimal: bool = False
    given_order_bytes: int = 0
    any_order_bytes: int = 0
    uses: tuple[RegionUse, ...] = ()
    weights: tuple[tuple[tuple[str, str], ...], ...] = ()
    assignment_gap: float = 0.0
    own_cycles: int = 0

    def moved(self, program: int) -> dict[str, str]:
        """Constants of a program by name -> the region that they lie in."""
        return dict(self.weights[program]) if self.weights else {}

    @property
    def total_bytes(self) -> int:
        """Bytes of all arenas."""
        return sum(size for _, size in self.arena_bytes)

    def buffer(self, program: int, buffer: int) -> Placement:
        """Where buffer `buffer` of program `program` lies; KeyError where nothing uses it."""
        for placement in self.placements[program]:
            if placement.buffer == buffer != SCRATCH:
                return placement
        raise KeyError((program, buffer))

    def scratch(self, program: int, step: int) -> Placement | None:
        """Where the scratch of step `step` lies; None where it needs none."""
        for placement in self.placements[program]:
            if placement.buffer == SCRATCH and placement.first_use == step:
                return placement
        return None


#: The component of bytes that nothing explains: padding, and what has no symbol.
UNATTRIBUTED = "[unattributed]"


@dataclass(frozen=True)
class FootprintRow:
    """Bytes of one component in one section of one region.

    `kind` is "ram" (live while transcribing), "caller" (RAM that the caller owns, such as PCM),
    "constant" or "code".
    """

    component: str
    section: str
    region: str
    size_bytes: int
    kind: str


@dataclass(frozen=True)
class Footprint:
    """Rows that sum to each region's total; `origin` says where they come from."""

    rows: tuple[FootprintRow, ...]
    origin: str = "predicted"

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions in use, in the order of their first rows."""
        return tuple(dict.fromkeys(row.region for row in self.rows))

    def total_bytes(self, region: str) -> int:
        """All bytes of a region."""
        return sum(row.size_bytes for row in self.rows if row.region == region)

    def kind_bytes(self, kind: str) -> int:
        """All bytes of a kind, over all regions."""
        return sum(row.size_bytes for row in self.rows if row.kind == kind)

    def component_bytes(self, component: str) -> int:
        """All bytes of a component, over all sections and regions."""
        return sum(row.size_bytes for row in self.rows if row.component == component)
