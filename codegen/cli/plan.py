# SPDX-License-Identifier: Apache-2.0
"""`stapes plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import Json, Source, TargetName
from codegen.cli._output import check_file, page, say, write_text


def command(
    source: Source,
    target: TargetName,
    as_json: Json = False,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map", help="Draw it to this SVG file, too: steps to the right, addresses upwards."
        ),
    ] = None,
) -> None:
    """Show where each buffer lies and from which step to which, beside the lower bound."""
    from codegen import pipeline
    from codegen.report.data import plan_report_data, to_json
    from codegen.report.memory_map import memory_maps_svg
    from codegen.report.text import plan_view

    if map_file is not None:
        check_file(map_file)
    model = pipeline.open_model(source)
    compiled = pipeline.compile_model(model, pipeline.find_target(target))
    if map_file is not None:
        title = f"{model.source_name} on {compiled.target.title}"
        write_text(memory_maps_svg(compiled.programs, compiled.plan, title), map_file)
    if as_json:
        print(to_json(plan_report_data(compiled.programs, compiled.plan)), end="")
    else:
        page(plan_view(compiled.programs, compiled.plan))
    if map_file is not None:
        say(f"written: {map_file}")
