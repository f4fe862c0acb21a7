# SPDX-License-Identifier: Apache-2.0
"""`stapes analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import Jobs
from codegen.cli._output import check_file, page, progress, say, write_text


def command(
    package: Annotated[
        Path, typer.Argument(help="A speech package's folder, with its float graphs.")
    ],
    data: Annotated[
        Path,
        typer.Option(help='JSON lines of {"audio", "text"}: recordings that the layers hear.'),
    ],
    beside: Annotated[
        Path | None,
        typer.Option(
            help="A package of the same checkpoint by another recipe, such as before a transform: "
            "show its layers beside those of the same name."
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="A regular expression: only layers whose whole name matches."),
    ] = None,
    wer: Annotated[
        bool,
        typer.Option("--wer", help="Measure WER with one layer at a time quantized, too."),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="WER only of so many layers, those with the largest error."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write JSON to this file, too.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with plots to this file, too.")
    ] = None,
    jobs: Jobs = 1,
) -> None:
    """Show layer by layer what quantizing costs, and where outliers are."""
    from codegen.analyze.package import Request, analyze
    from codegen.report.data import to_json
    from codegen.report.layers import layers_data
    from codegen.report.layers_html import layers_html
    from codegen.report.layers_text import layers_view

    written = [path for path in (json, html) if path is not None]
    for path in written:
        check_file(path)
    report = analyze(Request(package, data, beside, layers, wer, top, jobs), progress)
    if json is not None:
        write_text(to_json(layers_data(report)), json)
    if html is not None:
        write_text(layers_html(report), html)
    page(layers_view(report))
    for path in written:
        say(f"written: {path}")
