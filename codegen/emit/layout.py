# SPDX-License-Identifier: Apache-2.0
"""Lays a target's regions into the memory of the board that emulates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.emit.weights import ALIGNMENT_BYTES
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
    """The memories, which of them holds the vector table, and where a file of weights lies."""

    memories: tuple[Memory, ...]
    vectors: str
    weights_address: int = 0


_BOOT = "boot"
_BOOT_BYTES = 1024


def lay_out(
    target: Target, board: Board, weights_bytes: int = 0, regions: Sequence[str] = ()
) -> Layout:
    """The target's sizes at the board's addresses; StapesError where the board is too small.

    `regions` are those that hold something beside the ones that the target's keys name.

    A file of weights of `weights_bytes` lies at the end of its region, which the linker then leaves
    alone.
    """
    free = {window.name: (window.base, window.size_bytes) for window in board.windows}
    boot = board.windows[0]
    memories: list[Memory] = []
    code = target.region(target.code)
    vectors = code.name
    if code.size_bytes > boot.size_bytes:
        vectors = _BOOT if code.name != _BOOT else "vectors"
        memories.append(Memory(vectors, "rx", boot.base, _BOOT_BYTES))
        free[boot.name] = (boot.base + _BOOT_BYTES, boot.size_bytes - _BOOT_BYTES)
    weights_address = 0
    for region in _used(target, bool(weights_bytes), regions):
        executable = region == code
        name = _window(region, free, board, boot.name, executable)
        base, left = free[name]
        length = min(region.size_bytes, left)
        clipped = length < region.size_bytes
        free[name] = (base + length, left - length)
        if weights_bytes and region.name == target.weights_region:
            weights_address = (base + length - weights_bytes) // ALIGNMENT_BYTES * ALIGNMENT_BYTES
            length = weights_address - base
            if length < 0:
                raise StapesError(
                    f"board {board.name} has {left} bytes for region '{region.name}', the file of "
                    f"weights has {weights_bytes}."
                )
        attributes = "rx" if executable else "r" if region.kind in ("flash", "mram") else "rw"
        memories.append(Memory(region.name, attributes, base, length, clipped))
    return Layout(tuple(memories), vectors, weights_address)


def _used(target: Target, weights: bool, regions: Sequence[str]) -> list[Region]:
    """The regions that hold something, the code's first, each once."""
    roles = (target.code, target.stack, target.arena, target.constants)
    names = dict.fromkeys((*roles, *(target.weights_region,) * weights, *regions))
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
