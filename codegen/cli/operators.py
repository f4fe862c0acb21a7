# SPDX-License-Identifier: Apache-2.0
"""`stapes operators`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file instead.")
    ] = None,
) -> None:
    """Print the operators that are supported, with their constraints, as Markdown."""
    from codegen.lower import operators_page

    text = operators_page()
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")
