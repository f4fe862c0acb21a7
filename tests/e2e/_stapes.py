# SPDX-License-Identifier: Apache-2.0
"""Runs the command as a person would, and checks what a failure looks like."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "models"

Done = subprocess.CompletedProcess[str]


def stapes(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    file_bytes: int | None = None,
    timeout_s: int = 300,
) -> Done:
    """`stapes arguments`, with files limited to `file_bytes` as a full disk would."""

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(
        [sys.executable, "-m", "codegen", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        preexec_fn=limit,
    )


def succeeded(done: Done) -> str:
    """What the command printed; fails with its complaint if it failed."""
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def complained(done: Done, *fragments: str, code: int = 2) -> str:
    """The one sentence that the command failed with; it must hold every fragment."""
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("stapes: ")]
    assert len(lines) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == lines[0]
    assert "internal error" not in lines[0]
    for fragment in fragments:
        assert fragment in lines[0]
    return lines[0]


def assert_empty(folder: Path, *expected: str) -> None:
    """Nothing but `expected` lies in `folder`: no output, no temporary left behind."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
