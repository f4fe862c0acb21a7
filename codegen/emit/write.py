# SPDX-License-Identifier: Apache-2.0
"""Makes a folder of files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from codegen.errors import StapesError, UserError


def write_folder(
    files: Mapping[str, bytes], folder: Path, marker: str, *, overwrite: bool = False
) -> None:
    """Write `files` beside `folder`, then rename.

    Raises UserError where `folder` is in the way: it may be absent, empty, or, when `overwrite`
    is set, hold `marker`. Raises StapesError where the disk fails; nothing is left then.
    """
    check_free(folder, marker, overwrite)
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    part: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        new = part / "new"
        for path, data in files.items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        try:
            if folder.exists():
                os.rename(folder, part / "old")
            os.rename(new, folder)
        except BaseException:  # an interruption, too, puts back what was there
            if (part / "old").exists() and not folder.exists():
                os.rename(part / "old", folder)
            raise
    except OSError as error:
        raise StapesError(
            f"cannot write {folder}: {error.strerror or error}. Nothing was left there; make room "
            "or choose another folder."
        ) from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if not folder.exists():
            with contextlib.suppress(OSError):
                for parent in made:
                    parent.rmdir()


def check_free(folder: Path, marker: str, overwrite: bool) -> None:
    """Raise UserError where `folder` is in the way of `write_folder`."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder} exists and is not a folder; choose another output folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / marker).is_file():
        raise UserError(
            f"{folder} exists and stapes did not write it ({marker} is missing); choose another "
            "folder or empty it."
        )
    if not overwrite:
        raise UserError(
            f"{folder} exists already; choose another output folder, or --force to replace it."
        )
