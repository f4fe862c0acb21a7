# SPDX-License-Identifier: Apache-2.0
"""This computer's own compiler, and running what it made."""

from __future__ import annotations

import shutil
from pathlib import Path

from codegen.errors import StapesError
from codegen.toolchain._make import make
from codegen.toolchain._process import find, run, tail
from codegen.toolchain._project import WEIGHTS, Project
from codegen.toolchain.records import EXIT_CODES


def build(project: Project, build_folder: Path, extra_cflags: str = "") -> Path:
    """The executable; raises UserError where there is no compiler."""
    compiler = shutil.which("gcc") or find("cc", "gcc libc6-dev", "running on this computer")
    variables = {"CC": compiler}
    if "-fsanitize" in extra_cflags:
        variables["CPU"] = extra_cflags  # the linker needs the flag as well
    return make(project, build_folder, variables, extra_cflags)


def execute(project: Project, executable: Path, folder: Path, timeout_s: float) -> None:
    """Run on `folder`/input.bin, writing `folder`/output.bin; StapesError when it fails."""
    command = [str(executable.resolve()), "input.bin", "output.bin"]
    command += [WEIGHTS] if project.weights else []
    done = run(command, folder, timeout_s)
    if done.returncode != 0:
        reason = EXIT_CODES.get(done.returncode, f"it ended with {done.returncode}")
        raise StapesError(f"{executable} failed: {reason}\n{tail(done.stderr)}".rstrip())
