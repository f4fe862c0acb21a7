# SPDX-License-Identifier: Apache-2.0
"""Builds an emitted project and runs it on records, on the host and on every emulated board."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from codegen.errors import StapesError, UserError
from codegen.toolchain import gcc, host, qemu, records, zig
from codegen.toolchain._project import WEIGHTS, open_project
from codegen.toolchain.records import RunRecord

TOOLCHAINS = ("gcc", "zig")


def build(
    folder: Path,
    build_folder: Path | None = None,
    *,
    toolchain: str = "gcc",
    extra_cflags: str = "",
) -> Path:
    """The firmware that the project in `folder` compiles to, in `build_folder` (folder/build).

    Raises UserError for a missing compiler or project, StapesError where it does not compile.
    """
    if toolchain not in TOOLCHAINS:
        raise UserError(f"toolchain '{toolchain}' is unknown; known: {', '.join(TOOLCHAINS)}.")
    project = open_project(folder)
    output = build_folder if build_folder is not None else folder / "build"
    if toolchain == "zig":
        return zig.build(project, output, extra_cflags)
    if project.board.machine:
        return gcc.build(project, output, extra_cflags)
    return host.build(project, output, extra_cflags)


def run(
    folder: Path,
    payloads: Sequence[bytes],
    *,
    firmware: Path,
    timeout_s: float = 600.0,
    weights: Path | None = None,
) -> tuple[RunRecord, ...]:
    """What `firmware`, built from the project in `folder`, answers to each payload.

    A payload is int16 little-endian PCM for a speech model, else the concatenated input tensors.
    `weights` stand in for the project's own file of weights. Raises StapesError when the firmware
    or the emulator fails, UserError when QEMU or the file is missing, or the project has none.
    """
    project = open_project(folder)
    if weights is not None and project.weights is None:
        raise UserError(
            f"'{project.name}' has its weights compiled in; emit it with --weights bin to bind "
            f"{weights}."
        )
    bound = weights or project.weights
    if bound is not None and not bound.is_file():
        raise UserError(f"{bound}: no such file of weights; emit the project again.")
    with tempfile.TemporaryDirectory(prefix="stapes-run-") as scratch:
        place = Path(scratch)
        try:
            (place / "input.bin").write_bytes(records.pack(payloads))
            (place / "output.bin").touch()
            if bound is not None:
                (place / WEIGHTS).symlink_to(bound.resolve())
        except OSError as error:
            raise StapesError(f"cannot write the firmware's input: {error.strerror}.") from error
        if project.board.machine:
            qemu.execute(project, firmware, place, timeout_s)
        else:
            host.execute(project, firmware, place, timeout_s)
        return records.unpack((place / "output.bin").read_bytes(), len(payloads))
