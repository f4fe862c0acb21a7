# SPDX-License-Identifier: Apache-2.0
"""`stapes run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codegen.cli._options import Json
from codegen.cli._output import print_json, say
from codegen.errors import StapesError, UserError

if TYPE_CHECKING:
    from codegen.toolchain.records import RunRecord


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
    each transcript and its count of instructions.

    A recording longer than the model's window is cut into pieces here, before the firmware is fed.
    """
    from codegen.toolchain.project import build, run

    description = _description(project)
    paths = _inputs(description, wav or [], raw or [])
    pieces = [_pieces(description, path) for path in paths]
    payloads = [payload for of_one in pieces for payload in of_one]
    say(f"compiling {project} for {description['board']}")
    firmware = build(project, toolchain=toolchain)
    say(f"running {len(payloads)} inputs on {description['board']}")
    records = iter(run(project, payloads, firmware=firmware, weights=weights))
    answers = [
        _answer(path, [next(records) for _ in of_one])
        for path, of_one in zip(paths, pieces, strict=True)
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


def _answer(path: Path, records: Sequence[RunRecord]) -> dict[str, Any]:
    """What one recording or input came to, over its pieces."""
    from codegen.evaluate.split import joined

    failed = [record.status_text for record in records if record.status != 0]
    return {
        "input": path.name,
        "status": failed[0] if failed else records[0].status_text,
        "pieces": len(records),
        "instructions": sum(record.instructions for record in records),
        "text": joined(record.text for record in records),
        "outputs": b"".join(record.outputs for record in records).hex(),
    }


def _pieces(description: dict[str, Any], path: Path) -> list[bytes]:
    """What the firmware is fed for one file: PCM by the window, or the input tensors."""
    from codegen.evaluate.corpus import read_pcm
    from codegen.evaluate.split import cut
    from codegen.package import read_bytes

    if description["speech"]:
        rate, window = description["sample_rate_hz"], description["window_samples"]
        pieces = cut(read_pcm(path, rate), window, rate)
        return [piece.astype("<i2").tobytes() for piece in pieces]
    sizes = description["graphs"][0]["inputs_bytes"]
    data = read_bytes(path, 1 << 30)
    if len(data) != sum(sizes):
        raise UserError(
            f"{path}: got {len(data)} bytes, the model's inputs have {sum(sizes)}; give their "
            "values one after another, little-endian"
        )
    return [data]


def _print(answer: dict[str, Any], speech: bool) -> None:
    count = answer["instructions"]
    counted = f"{count:,} instructions" if count else "instructions not counted here"
    if answer["pieces"] > 1:
        counted = f"{answer['pieces']} pieces, {counted}"
    said = answer["text"] if speech else answer["outputs"]
    print(f"{answer['input']}: {said}  [{counted}]")
