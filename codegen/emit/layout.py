# SPDX-License-Identifier: Apache-2.0
"""Lays a target's regions into the memory of the board that emulates it."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.errors import StapesError
from codegen.target import Board, Region, Target


@dataclass(frozen=True)
class Memory:
    """A line of the linker script's MEMORY; `clipped` where the board has less than the target."""

    name: str
    attributes: str
    origin: int
    length: int
    clipped: bool = False


@dataclass(frozen=True)
class Layout:
    """The memories, and which of them holds the vector table."""

    memories: tuple[Memory, ...]
    vectors: str


_BOOT = "boot"
_BOOT_BYTES = 1024


def lay_out(target: Target, board: Board) -> Layout:
    """The target's sizes at the board's addresses; StapesError where the board is too small."""
    free = {window.name: (window.base, window.size_bytes) for window in board.windows}
    boot = board.windows[0]
    memories: list[Memory] = []
    code = target.region(target.code)
    vectors = code.name
    if code.size_bytes > boot.size_bytes:
        vectors = _BOOT if code.name != _BOOT else "vectors"
        memories.append(Memory(vectors, "rx", boot.base, _BOOT_BYTES))
        free[boot.name] = (boot.base + _BOOT_BYTES, boot.size_bytes - _BOOT_BYTES)
    for region in _used(target):
        executable = region == code
        name = _window(region, free, board, boot.name, executable)
        base, left = free[name]
        length = min(region.size_bytes, left)
        attributes = "rx" if executable else "r" if region.kind in ("flash", "mram") else "rw"
        memories.append(
            Memory(region.name, attributes, base, length, clipped=length < region.size_bytes)
        )
        free[name] = (base + length, left - length)
    return Layout(tuple(memories), vectors)


def _used(target: Target) -> list[Region]:
    """The regions that hold something, the code's first, each once."""
    names = dict.fromkeys((target.code, target.stack, target.arena, target.constants))
    return [target.region(name) for name in names]


def _window(
    region: Region,
    free: dict[str, tuple[int, int]],
    board: Board,
    boot: str,
    executable: bool,
) -> str:
    """Where `region` goes: its own address, the boot window for code, else the tightest fit."""
    able = [w.name for w in board.windows if free[w.name][1] and (w.executable or not executable)]
    if not able:
        raise StapesError(f"board {board.name} has no memory left for region '{region.name}'.")
    fits = [name for name in able if free[name][1] >= region.size_bytes]
    for name in fits:
        if free[name][0] == region.base:
            return name
    if executable and boot in fits:
        return boot
    if fits:
        return min(fits, key=lambda name: free[name][1])
    return max(able, key=lambda name: free[name][1])
