# SPDX-License-Identifier: Apache-2.0
"""A chip or board with its memories, read from one TOML of targets/."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """One memory; `kind` is "tcm", "sram", "psram", "flash" or "mram"."""

    name: str
    kind: str
    base: int
    size_bytes: int
    source: str
    bytes_per_cycle: float | None = None


@dataclass(frozen=True)
class Target:
    """A chip or board; `code`, `constants`, `arena`, `stack` name the regions that hold them."""

    name: str
    title: str
    cpu: str
    features: tuple[str, ...]
    clock_hz: int
    board: str
    stack_bytes: int
    regions: tuple[Region, ...]
    code: str
    constants: str
    arena: str
    stack: str
    source: str
    npu: str | None = None

    def region(self, name: str) -> Region:
        """The region called `name`."""
        return next(region for region in self.regions if region.name == name)
