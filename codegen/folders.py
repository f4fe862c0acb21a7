# SPDX-License-Identifier: Apache-2.0
"""Puts a finished folder where it belongs."""

from __future__ import annotations

from pathlib import Path


def put_in_place(fresh: Path, folder: Path, old: Path) -> None:
    """Rename `fresh` to `folder`, and what was there to `old`; all three lie on one disk.

    Where that fails or is interrupted, `folder` is what it was, and the exception goes on.
    """
    try:
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
