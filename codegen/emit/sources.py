# SPDX-License-Identifier: Apache-2.0
"""Which files of firmware/ one project needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from codegen.data import data_folder
from codegen.errors import StapesError
from codegen.target import Board, Target

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def runtime_files(
    kernels: Iterable[str], target: Target, *, speech: Sequence[str] = (), incbin: bool = False
) -> dict[str, bytes]:
    """The runtime's files by path: named kernels and speech files, the model interface, headers."""
    found: dict[str, bytes] = {}
    firmware = data_folder("firmware")
    for kernel in kernels:
        _add(firmware, _kernel(firmware, kernel, target.features), found)
    for path in sorted((firmware / "runtime").glob("*.c")):
        if speech or not _is_speech(path):
            _add(firmware, PurePosixPath("runtime", path.name), found)
    for name in speech:
        _add(firmware, PurePosixPath("speech", name), found)
    for header in ("generated.h", *(["incbin.h"] if incbin else [])):
        _add(firmware, PurePosixPath("include/stapes", header), found)
    # firmware/runtime/ is the project's runtime/ itself
    return {path.removeprefix("runtime/"): found[path] for path in sorted(found)}


def board_files(board: Board, records: Sequence[str]) -> dict[str, bytes]:
    """The hand-written files of board/: start-up, input and output, and the record server.

    `records` names its handlers.
    """
    boards = data_folder("firmware") / "boards"
    core = "cortex_m" if board.machine else "host"
    names = ["board.h", "records.c", "records.h"]
    names += [f"{each}.c" for each in records]
    folders = (core, "freestanding") if board.machine else (core,)
    names += [f"{folder}/{p.name}" for folder in folders for p in (boards / folder).glob("*.[ch]")]
    return {name: (boards / name).read_bytes() for name in sorted(names)}


def _is_speech(path: Path) -> bool:
    return "stapes/speech.h" in _INCLUDE.findall(path.read_text(encoding="utf-8"))


def _kernel(firmware: Path, kernel: str, features: tuple[str, ...]) -> PurePosixPath:
    """The fastest variant of a kernel that the core can run."""
    for variant in ("mve", "dsp", "portable"):
        path = PurePosixPath("kernels", variant, f"{kernel}.c")
        if (variant in features or variant == "portable") and (firmware / path).is_file():
            return path
    raise StapesError(f"the firmware has no kernel '{kernel}'; this is a fault of stapes.")


def _add(firmware: Path, path: PurePosixPath, found: dict[str, bytes]) -> None:
    """Add `path`, and what it includes, to `found`."""
    if str(path) in found:
        return
    data = (firmware / path).read_bytes()
    found[str(path)] = data
    for name in _INCLUDE.findall(data.decode("utf-8")):
        beside, public = path.parent / name, PurePosixPath("include", name)
        if (firmware / beside).is_file():
            _add(firmware, beside, found)
        elif (firmware / public).is_file():
            _add(firmware, public, found)
        else:
            raise StapesError(f"firmware/{path} includes '{name}', which does not exist.")
