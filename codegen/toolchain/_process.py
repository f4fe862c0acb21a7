# SPDX-License-Identifier: Apache-2.0
"""Runs a tool: found or named with its Debian package, bounded in time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from codegen.errors import StapesError, UserError


def find(tool: str, package: str, purpose: str) -> str:
    """The path of `tool`; raises UserError with the Debian package that brings it."""
    path = shutil.which(tool)
    if path is None:
        raise UserError(
            f"{tool} is not installed, and {purpose} needs it; run: apt-get install {package}"
        )
    return path


def run(
    command: Sequence[str], folder: Path, timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """The finished process; raises StapesError when it cannot start or takes too long."""
    name = Path(command[0]).name
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StapesError(f"{name} was stopped: it took more than {timeout_s:g} s.") from error
    except OSError as error:
        raise StapesError(f"{name} cannot be started: {error}") from error


def tail(output: bytes, lines: int = 12) -> str:
    """The last lines of a tool's output, for an error message."""
    return "\n".join(output.decode("utf-8", "replace").strip().splitlines()[-lines:])
