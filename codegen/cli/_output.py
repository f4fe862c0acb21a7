# SPDX-License-Identifier: Apache-2.0
"""How commands print: text for people, JSON for programs, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_json(value: Any) -> None:
    """Print JSON that is the same for the same value."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> None:
    """Print columns of text, the last `right` of them aligned to the right; no markup, no wrap."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    first_right = len(header) - right
    for row in table:
        cells = [
            cell.rjust(width) if i >= first_right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many of `total` are done and the time left; yields the setter."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def check_file(path: Path) -> None:
    """Raise UserError where no file can come to be, before what takes long."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file to write")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: its folder does not exist; make it, or choose another place")


def write_text(text: str, path: Path) -> None:
    """Write a file whole or not at all; what is there already is replaced."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8", newline="\n")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def say(text: str) -> None:
    """Tell on stderr what is being done, so that stdout holds only results."""
    print(text, file=sys.stderr, flush=True)


def page(renderable: RenderableType) -> None:
    """Print a report: in colour and as wide as a terminal, plain and 100 columns elsewhere."""
    from rich.console import Console

    from codegen.report.text import to_text

    if sys.stdout.isatty():
        Console().print(renderable)
    else:
        print(to_text(renderable), end="")
