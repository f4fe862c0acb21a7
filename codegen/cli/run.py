# SPDX-License-Identifier: Apache-2.0
"""`stapes run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from codegen.cli._options import Json
from codegen.cli._output import print_json, say
from codegen.errors import StapesError, UserError


def command(
    project: Annotated[Path, typer.Argument(help="A folder that `stapes emit` wrote.")],
    wav: Annotated[
        list[Path] | None, typer.Option(help="A recording; may be given several times.")
    ] = None,
    raw: Annotated[
        list[Path] | None,
        typer.Option(
            "--input",
            help="For a model that is no speech model: the bytes of its input tensors, one after "
            "another; may be given several times.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Bind this file in place of the project's own file of weights."),
    ] = None,
    toolchain: Annotated[str, typer.Option(help="gcc or zig.")] = "gcc",
    as_json: Json = False,
) -> None:
    """Compile a project for its board, run it (under QEMU unless the board is `host`), and print
    each transcript and its count of instructions."""
    from codegen.toolchain.project import build, run

    description = _description(project)
    paths = _inputs(description, wav or [], raw or [])
    payloads = [_payload(description, path) for path in paths]
    say(f"compiling {project} for {description['board']}")
    firmware = build(project, toolchain=toolchain)
    say(f"running {len(payloads)} inputs on {description['board']}")
    records = run(project, payloads, firmware=firmware, weights=weights)
    answers = [
        {
            "input": path.name,
            "status": record.status_text,
            "instructions": record.instructions,
            "text": record.text,
            "outputs": record.outputs.hex(),
        }
        for path, record in zip(paths, records, strict=True)
    ]
    if as_json:
        print_json({"schema": 1, "board": description["board"], "records": answers})
    else:
        for answer in answers:
            _print(answer, bool(description["speech"]))
    failed = [answer for answer in answers if answer["status"] != "ok"]
    if failed:
        raise StapesError(f"{failed[0]['input']}: the firmware says: {failed[0]['status']}")


def _description(project: Path) -> dict[str, Any]:
    from codegen.toolchain._project import open_project

    open_project(project)  # complains if it is none
    description: dict[str, Any] = json.loads((project / "stapes.json").read_bytes())
    return description


def _inputs(description: dict[str, Any], wav: list[Path], raw: list[Path]) -> list[Path]:
    wanted, given, other = ("--wav", wav, raw) if description["speech"] else ("--input", raw, wav)
    if other or not given:
        kind = "a speech model" if description["speech"] else "no speech model"
        raise UserError(f"'{description['name']}' is {kind}; give it {wanted} FILE")
    return given


def _payload(description: dict[str, Any], path: Path) -> bytes:
    from codegen.evaluate.corpus import read_pcm
    from codegen.package import read_bytes

    if description["speech"]:
        rate, window = description["sample_rate_hz"], description["window_samples"]
        return read_pcm(path, rate, window).astype("<i2").tobytes()
    sizes = description["graphs"][0]["inputs_bytes"]
    data = read_bytes(path, 1 << 30)
    if len(data) != sum(sizes):
        raise UserError(
            f"{path}: got {len(data)} bytes, the model's inputs have {sum(sizes)}; give their "
            "values one after another, little-endian"
        )
    return data


def _print(answer: dict[str, Any], speech: bool) -> None:
    count = answer["instructions"]
    counted = f"{count:,} instructions" if count else "instructions not counted here"
    said = answer["text"] if speech else answer["outputs"]
    print(f"{answer['input']}: {said}  [{counted}]")
