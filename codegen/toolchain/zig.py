# SPDX-License-Identifier: Apache-2.0
"""clang as PyPI's ziglang brings it: a second compiler, for the host and for Cortex-M."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from codegen.errors import UserError
from codegen.toolchain._make import make
from codegen.toolchain._project import Project


def build(project: Project, build_folder: Path, extra_cflags: str = "") -> Path:
    """The firmware; raises UserError where ziglang is missing."""
    if importlib.util.find_spec("ziglang") is None:
        raise UserError("ziglang is not installed; run: pip install ziglang")
    flags = [*project.board.zig_flags, "-fno-sanitize=all"]
    if project.board.machine:
        # no C library comes with it: its compiler-rt has memcpy, this folder has the header
        flags += ["-isystem", "board/freestanding", "-fomit-frame-pointer"]
    compiler = f"{sys.executable} -m ziglang cc"
    variables = {"CC": compiler, "CPU": " ".join(flags), "GNU_LINK": ""}
    return make(project, build_folder, variables, extra_cflags)
