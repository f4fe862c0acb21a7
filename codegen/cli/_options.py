# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[
    Path, typer.Argument(help="A speech package's folder, or any integer .tflite file.")
]
TargetName = Annotated[
    str,
    typer.Option("--target", "-t", help="A name from `stapes targets`, or a TOML file of one."),
]
Weights = Annotated[
    str,
    typer.Option(
        help="Where weights stand. array: in C; incbin: in a binary file that the assembler "
        "includes; bin: in a binary file that the firmware binds when it runs, so that a device "
        "takes others; auto: incbin above 1 MiB."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace what stapes wrote into the output folder before.")
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=1, max=256, help="Processes that work on recordings.")
]
Recipe = Annotated[
    Path | None,
    typer.Option(help="A TOML that sets the mode and exceptions by scope; instead of --mode."),
]
Mode = Annotated[
    str | None,
    typer.Option(
        help="static8 (int8 activations), static16 (int16 activations), or, for encoder-decoders, "
        "dynamic8 (float, quantized to int8 in front of each matrix). Default: static8.",
        show_default=False,
    ),
]
WeightBits = Annotated[
    int | None, typer.Option(help="8, 4, 3 or 2 bits a weight. Default: 8.", show_default=False)
]
BlockSize = Annotated[
    int | None,
    typer.Option(
        help="Weights that share a scale: 32, 64 or 128 (dynamic8, with 4 bits or fewer), or 0 for "
        "all of a channel. Default: 0.",
        show_default=False,
    ),
]
Method = Annotated[
    list[str] | None,
    typer.Option(
        help="How the integers of weights are chosen, such as round (to the nearest), round_mse "
        "(with the scale that errs least on weights), round_output (that errs least on outputs) or "
        "gptq (so that errors cancel). The last two take --calibration, and are for "
        "encoder-decoders. Before it may come transforms, which make weights easier to round: "
        "--method smoothquant --method gptq, or smoothquant,gptq. Default: round.",
        show_default=False,
    ),
]
Ranges = Annotated[
    str | None,
    typer.Option(
        help="How the ranges of integer activations are chosen: minmax (all that calibration saw), "
        "percentile (all but 1 value in 10,000) or mse (what errs least). Default: minmax.",
        show_default=False,
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help="How long a recording an encoder-decoder hears at once, such as 5s or 2.5s; rounded "
        "up to whole frames. Default: the family's.",
        show_default=False,
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        help="What is spoken, such as en or de; needed for a multilingual checkpoint.",
        show_default=False,
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help='JSON lines of {"audio", "text"}: recordings that set the ranges of activations; '
        "200 or more are advised. dynamic8 needs none, unless a method looks at inputs, as gptq."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help='JSON lines of {"audio", "text"}: recordings to measure WER on.'),
]
