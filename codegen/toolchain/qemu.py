# SPDX-License-Identifier: Apache-2.0
"""QEMU as the board: semihosting for files, -icount for instruction counts that repeat."""

from __future__ import annotations

from pathlib import Path

from codegen.errors import StapesError
from codegen.toolchain._process import find, run, tail
from codegen.toolchain._project import WEIGHTS, Project
from codegen.toolchain.records import EXIT_CODES


def execute(project: Project, elf: Path, folder: Path, timeout_s: float) -> None:
    """Run on `folder`/input.bin, writing `folder`/output.bin; StapesError when it fails."""
    board = project.board
    qemu = find("qemu-system-arm", "qemu-system-arm", f"running on {board.name}")
    # file names are relative: the firmware splits its command line at spaces
    arguments = ",".join(f"arg={a}" for a in ("firmware", "input.bin", "output.bin"))
    command = [qemu, "-machine", board.machine, "-kernel", str(elf.resolve())]
    command += ["-display", "none", "-monitor", "none", "-serial", "none"]
    command += ["-icount", f"shift={project.icount_shift},sleep=off"]
    command += ["-semihosting-config", f"enable=on,target=native,{arguments}"]
    if project.weights:
        where = f"addr={project.weights_address:#x}"
        command += ["-device", f"loader,file={WEIGHTS},{where},force-raw=on"]
    done = run(command, folder, timeout_s)
    if done.returncode != 0:
        reason = EXIT_CODES.get(done.returncode, f"QEMU ended with {done.returncode}")
        raise StapesError(f"{elf} failed on {board.name}: {reason}\n{tail(done.stderr)}".rstrip())
