# SPDX-License-Identifier: Apache-2.0
"""What the toolchain reads of an emitted project: stapes.json."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from codegen.errors import UserError
from codegen.target import Board, load_board

#: What a project's weights are called where its firmware runs.
WEIGHTS = "weights.bin"

_NAME = re.compile(r"\w{1,64}", re.ASCII)


@dataclass(frozen=True)
class Project:
    """An emitted project: its folder, its board, and how long an instruction takes under QEMU.

    `weights` is the file that its firmware binds, which lies at `weights_address` on an emulated
    board; None where the weights are compiled in.
    """

    folder: Path
    name: str
    board: Board
    icount_shift: int
    weights: Path | None = None
    weights_address: int = 0


def open_project(folder: Path) -> Project:
    """The project in `folder`; raises UserError where there is none."""
    path = folder / "stapes.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        name, bound = str(description["name"]), description.get("weights")
        if not _NAME.fullmatch(name):
            raise ValueError(f"name {name!r:.60}")
        return Project(
            folder,
            name,
            load_board(str(description["board"])),
            int(description["icount_shift"]),
            None if bound is None else folder / "model" / f"{name}_weights.bin",
            0 if bound is None else int(bound["address"]),
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no stapes project (stapes.json is missing); `stapes emit` makes one."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); emit the project again.") from error
