# SPDX-License-Identifier: Apache-2.0
"""`stapes build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import (
    BlockSize,
    Calibration,
    Data,
    Force,
    Jobs,
    Json,
    Language,
    Method,
    Mode,
    Ranges,
    Recipe,
    TargetName,
    WeightBits,
    Weights,
    Window,
)
from codegen.cli._output import page, say


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="A checkpoint (a folder, or a model of the Hugging Face hub as ORG/NAME or "
            "ORG/NAME@REVISION), a speech package, or a .tflite file."
        ),
    ],
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for everything.")],
    mode: Mode = None,
    weight_bits: WeightBits = None,
    block_size: BlockSize = None,
    method: Method = None,
    ranges: Ranges = None,
    recipe: Recipe = None,
    window: Window = None,
    language: Language = None,
    calibration: Calibration = None,
    data: Data = None,
    name: Annotated[
        str | None,
        typer.Option(help="Prefix of the model's C names. Default: made from the source's name."),
    ] = None,
    weights: Weights = "auto",
    jobs: Jobs = 2,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Do everything in order: quantize (a checkpoint), plan, measure WER (with --data), write the
    C project, compile it, and print one page of what came of it.

    Defaults: mode static8, no WER without --data, compiler arm-none-eabi-gcc.
    """
    from codegen import build, pipeline
    from codegen.report.data import build_data, to_json
    from codegen.report.text import build_view

    request = build.BuildRequest(
        source,
        pipeline.find_target(target),
        pipeline.find_recipe(mode, recipe, weight_bits, block_size, method, ranges),
        calibration,
        data,
        name,
        jobs,
        pipeline.find_window(window),
        language,
        weights,
    )
    report = build.build(request, output, overwrite=force, notify=say)
    if as_json:
        print(to_json(build_data(report)), end="")
    else:
        page(build_view(report))
        print(f"Everything is in {output}; next: stapes run {output / 'project'}")
        print(f"The same as a page: {output / 'report.html'}")
