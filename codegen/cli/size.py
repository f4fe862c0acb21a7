# SPDX-License-Identifier: Apache-2.0
"""`stapes size`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import Json, Source, TargetName, Weights
from codegen.cli._output import page


def command(
    source: Source,
    target: TargetName,
    elf: Annotated[
        Path | None,
        typer.Option(help="A linked firmware of the emitted project: show what was placed where."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The --name that the project was emitted with.")
    ] = None,
    weights: Weights = "auto",
    as_json: Json = False,
) -> None:
    """Predict RAM and constants by region before compiling, or read them from an ELF.

    Exit code 2 when the model does not fit the target.
    """
    from codegen import pipeline
    from codegen.report.data import footprint_data, plan_data, to_json
    from codegen.report.text import footprint_view, plan_line

    model = pipeline.open_model(source)
    compiled = pipeline.compile_model(model, pipeline.find_target(target))
    footprint = pipeline.predicted_footprint(compiled, weights)
    if elf is not None:
        footprint = pipeline.linked_footprint(elf, compiled, name, weights)
    if as_json:
        shown = footprint_data(footprint, compiled.target)
        shown["lower_bound_bytes"] = plan_data(compiled.plan)["lower_bound_bytes"]
        print(to_json({"source": model.source_name, "sha256": model.sha256, **shown}), end="")
    else:
        page(footprint_view(footprint, compiled.target))
        page(plan_line(compiled.plan))
    compiled.check_fit(footprint)
