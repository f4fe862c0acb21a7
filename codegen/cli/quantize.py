# SPDX-License-Identifier: Apache-2.0
"""`stapes quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli._options import (
    BlockSize,
    Calibration,
    Force,
    Language,
    Method,
    Mode,
    Ranges,
    Recipe,
    WeightBits,
    Window,
)
from codegen.cli._output import say


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="A checkpoint: a folder with config.json and model.safetensors, or a model of the "
            "Hugging Face hub as ORG/NAME or ORG/NAME@REVISION."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The package's folder.")],
    calibration: Calibration = None,
    mode: Mode = None,
    weight_bits: WeightBits = None,
    block_size: BlockSize = None,
    method: Method = None,
    ranges: Ranges = None,
    recipe: Recipe = None,
    window: Window = None,
    language: Language = None,
    force: Force = False,
) -> None:
    """Make a speech package of integers from a checkpoint."""
    from codegen import pipeline
    from codegen.package import save_package

    wanted = pipeline.find_recipe(mode, recipe, weight_bits, block_size, method, ranges)
    package = pipeline.quantize(
        source,
        pipeline.calibration_manifest(calibration, wanted),
        wanted,
        say,
        window_samples=pipeline.find_window(window),
        language=language,
    )
    save_package(package, output, overwrite=force)
    sizes = ", ".join(f"{g.name}.tflite {len(g.data):,} bytes" for g in package.graphs)
    print(f"{output}: {package.recipe['mode']}, {sizes}; sha256 {package.graphs[0].sha256}")
