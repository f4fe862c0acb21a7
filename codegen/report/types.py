# SPDX-License-Identifier: Apache-2.0
"""What a report is made of: nothing in it depends on when or where it was made."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.memory_plan import Footprint, MemoryPlan
from codegen.program import Program
from codegen.target import Target


@dataclass(frozen=True)
class WerRow:
    """The word error rate of one engine, in percent, with the counts behind it."""

    engine: str
    wer: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    clips: int


@dataclass(frozen=True)
class Accuracy:
    """WER rows on the same clips, the baseline first; `difference` is last minus first.

    The interval is the bootstrap 95 % interval of the difference, in points.
    """

    rows: tuple[WerRow, ...]
    normalizer: str
    corpus: str
    difference_points: float | None = None
    low_points: float | None = None
    high_points: float | None = None


@dataclass(frozen=True)
class FileRow:
    """One thing that was written: a path as the user gave it, and what it is."""

    path: str
    what: str
    size_bytes: int


@dataclass(frozen=True)
class BuildReport:
    """One build: which bytes were measured, compiled and placed, and where everything went."""

    name: str
    source: str
    sha256: str
    mode: str
    target: Target
    programs: tuple[Program, ...]
    plan: MemoryPlan
    footprint: Footprint
    accuracy: Accuracy | None = None
    files: tuple[FileRow, ...] = ()

    @property
    def ram_bytes(self) -> int:
        """Everything live while transcribing, without the caller's PCM."""
        return self.footprint.kind_bytes("ram")

    @property
    def constant_bytes(self) -> int:
        """Weights, tables and parameters."""
        return self.footprint.kind_bytes("constant")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run of every program."""
        return sum(program.macs for program in self.programs)
