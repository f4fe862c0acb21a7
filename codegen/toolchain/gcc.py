# SPDX-License-Identifier: Apache-2.0
"""Debian's arm-none-eabi-gcc."""

from __future__ import annotations

from pathlib import Path

from codegen.errors import UserError
from codegen.toolchain._make import make
from codegen.toolchain._process import find, run
from codegen.toolchain._project import Project


def build(project: Project, build_folder: Path, extra_cflags: str = "") -> Path:
    """The ELF; raises UserError where compiler or newlib is missing."""
    compiler = find("arm-none-eabi-gcc", "gcc-arm-none-eabi", "compiling for Cortex-M")
    asked = run([compiler, "-print-file-name=libc.a"], project.folder, 30.0)
    if asked.stdout.strip() == b"libc.a":
        raise UserError(
            "newlib for arm-none-eabi-gcc is not installed, and compiling for Cortex-M needs its "
            "headers; run: apt-get install libnewlib-arm-none-eabi"
        )
    return make(project, build_folder, {"CC": compiler}, extra_cflags)
