# SPDX-License-Identifier: Apache-2.0
"""What the toolchain reads of an emitted project: stapes.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from codegen.errors import UserError
from codegen.target import Board, load_board


@dataclass(frozen=True)
class Project:
    """An emitted project: its folder, its board, and how long an instruction takes under QEMU."""

    folder: Path
    name: str
    board: Board
    icount_shift: int


def open_project(folder: Path) -> Project:
    """The project in `folder`; raises UserError where there is none."""
    path = folder / "stapes.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return Project(
            folder,
            str(description["name"]),
            load_board(str(description["board"])),
            int(description["icount_shift"]),
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no stapes project (stapes.json is missing); `stapes emit` makes one."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); emit the project again.") from error
