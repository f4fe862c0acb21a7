# SPDX-License-Identifier: Apache-2.0
"""Builds an emitted project by its own Makefile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codegen.errors import StapesError
from codegen.toolchain._process import find, run, tail
from codegen.toolchain._project import Project

_BUILD_SECONDS = 600.0


def make(
    project: Project, build_folder: Path, variables: Mapping[str, str], extra_cflags: str = ""
) -> Path:
    """The linked firmware; raises StapesError with the compiler's last lines when it fails."""
    program = find("make", "make", "building a project")
    command = [program, "-s", f"BUILD={build_folder.resolve()}"]
    command += [f"{name}={value}" for name, value in variables.items()]
    if extra_cflags:
        command.append(f"EXTRA_CFLAGS={extra_cflags}")
    done = run(command, project.folder, _BUILD_SECONDS)
    if done.returncode != 0:
        raise StapesError(
            f"'{project.name}' did not compile for {project.board.name}:\n"
            f"{tail(done.stderr or done.stdout)}"
        )
    return build_folder / ("firmware.elf" if project.board.machine else "firmware")
