# SPDX-License-Identifier: Apache-2.0
"""`stapes emit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import Force, Source, TargetName, Weights


def command(
    source: Source,
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The project's folder.")],
    name: Annotated[
        str | None,
        typer.Option(help="Prefix of the model's C names. Default: made from the source's name."),
    ] = None,
    weights: Weights = "auto",
    force: Force = False,
) -> None:
    """Write a self-contained C project: runtime, model and board, ready to compile."""
    from codegen import pipeline
    from codegen.emit.project import emit

    compiled = pipeline.compile_model(pipeline.open_model(source), pipeline.find_target(target))
    files = emit(pipeline.emit_inputs(compiled, name, weights), output, overwrite=force)
    print(f"{output}: {len(files)} files for {compiled.target.title}; next: stapes run {output}")
