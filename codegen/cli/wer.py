# SPDX-License-Identifier: Apache-2.0
"""`stapes wer`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codegen.cli._options import Jobs, Json
from codegen.cli._output import page, print_json, progress, say
from codegen.errors import UserError

if TYPE_CHECKING:
    from codegen.evaluate.engines import EngineFactory


def command(
    package: Annotated[Path, typer.Argument(help="A speech package's folder.")],
    data: Annotated[
        Path, typer.Option(help='JSON lines of {"audio", "text"}: recordings to measure WER on.')
    ],
    engine: Annotated[
        str,
        typer.Option(help="interpreter (LiteRT) or native (the generated C, compiled here)."),
    ] = "interpreter",
    resolver: Annotated[
        str, typer.Option(help="LiteRT's kernels: reference, or xnnpack as a cross-check.")
    ] = "reference",
    baseline: Annotated[
        bool, typer.Option(help="Measure the float model on the same clips, too.")
    ] = True,
    clips: Annotated[bool, typer.Option("--clips", help="Print each clip's texts, too.")] = False,
    jobs: Jobs = 2,
    as_json: Json = False,
) -> None:
    """Measure word error rate on exactly the bytes that the C is made from."""
    from dataclasses import asdict

    from codegen import measure
    from codegen.evaluate.corpus import read_manifest
    from codegen.native import native_engine
    from codegen.package import load_package
    from codegen.report.text import accuracy_view

    if engine not in ("interpreter", "native"):
        raise UserError(f"engine '{engine}' is unknown; one of interpreter, native")
    loaded = load_package(package)
    manifest = read_manifest(data)
    count = len(manifest) * (2 if baseline else 1)
    made: AbstractContextManager[EngineFactory]
    if engine == "native":
        say("compiling the generated C for this computer, and comparing it with LiteRT's kernels")
        label = "native, the generated C on this computer"
        made = native_engine(loaded, manifest)
    else:
        label = measure.interpreter_name(resolver)
        made = nullcontext(measure.recognizer(loaded, resolver))
    with made as make_engine, progress("recognising", count) as advance:
        report = measure.measure(
            loaded,
            data,
            make_engine,
            label,
            resolver=resolver,
            jobs=jobs,
            baseline=baseline,
            progress=advance,
        )
    if as_json:
        shown = asdict(report)
        for key, score in (("score", report.score), ("baseline", report.baseline)):
            if score is not None:
                shown[key]["wer"] = score.errors.wer
        print_json({"schema": 1, "package": loaded.name, "mode": loaded.recipe["mode"], **shown})
        return
    print(f"{loaded.name}, {loaded.recipe['mode']}, sha256 {measure.sha256_of(loaded)}")
    page(accuracy_view(measure.accuracy(report)))
    if clips:
        for clip in report.score.clips:
            mark = " " if clip.errors.wer == 0 else "!"
            print(f"{mark} {clip.name}\n    said  {clip.reference}\n    heard {clip.hypothesis}")
