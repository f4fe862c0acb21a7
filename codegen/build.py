# SPDX-License-Identifier: Apache-2.0
"""All stages in order: from a checkpoint, package or .tflite to a folder with everything in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codegen import measure, pipeline
from codegen.errors import UserError
from codegen.package import SpeechPackage, is_package, load_package
from codegen.pipeline import Compiled, Notify

if TYPE_CHECKING:
    from codegen.emit.inputs import EmitInputs
    from codegen.evaluate.engines import Progress
    from codegen.memory_plan import Footprint
    from codegen.ptq.recipe import Recipe
    from codegen.report.types import Accuracy, BuildReport, FileRow
    from codegen.target import Target

#: The file that says that a folder is a build.
MARKER = "report.json"


@dataclass(frozen=True)
class BuildRequest:
    """What to build: `calibration` is needed for a checkpoint, `data` to measure WER.

    `source` is a folder, a file, or a model of the hub as ORG/NAME[@REVISION].
    """

    source: str | Path
    target: Target
    recipe: Recipe
    calibration: Path | None = None
    data: Path | None = None
    name: str | None = None
    jobs: int = 1
    window_samples: int | None = None
    language: str | None = None
    weights: str = "auto"


def build(
    request: BuildRequest,
    folder: Path,
    *,
    overwrite: bool = False,
    notify: Notify = lambda _: None,
    progress: Progress | None = None,
) -> BuildReport:
    """Write `folder` whole or not at all: package/, project/, the firmware and the report.

    Raises UserError for whatever the caller can mend, before the slow stages where it can.
    """
    from codegen.emit.project import project_files
    from codegen.emit.write import check_free, write_folder
    from codegen.report.data import build_data, to_json
    from codegen.report.html import build_html
    from codegen.report.types import BuildReport

    check_free(folder, MARKER, overwrite)
    package = _package(request, notify)
    source = Path(request.source)
    model = pipeline.packaged_model(package) if package else pipeline.open_model(source)
    notify(f"planning memory for {request.target.title}")
    compiled = pipeline.compile_model(model, request.target)
    inputs = pipeline.emit_inputs(compiled, request.name, request.weights)
    accuracy = _accuracy(request, package, notify, progress)
    notify("writing the C project and compiling it")
    project = project_files(inputs)
    firmware, footprint = _compile(project, compiled, inputs)
    files = {f"project/{path}": data for path, data in project.items()}
    files |= {
        f"package/{name}": data for name, data in (package.files() if package else {}).items()
    }
    files |= firmware
    report = BuildReport(
        inputs.name,
        model.source_name,
        model.sha256,
        str(package.recipe["mode"]) if package else "as the file has it",
        request.target,
        compiled.programs,
        compiled.plan,
        footprint,
        accuracy,
        _rows(files),
    )
    files["report.html"] = build_html(report).encode()
    files[MARKER] = to_json(build_data(report)).encode()
    write_folder(files, folder, MARKER, overwrite=overwrite)
    return report


def _package(request: BuildRequest, notify: Notify) -> SpeechPackage | None:
    """The package given or made; None for a .tflite."""
    source = Path(request.source)
    packaged = is_package(source)
    if packaged or source.is_file() or source.suffix == ".tflite":
        if request.window_samples is not None or request.language is not None:
            raise UserError(
                f"{source} is quantized already, and with it its window and language; leave out"
                " --window and --language, or give the checkpoint that it is of"
            )
        return load_package(source) if packaged else None
    unready = request.calibration is None and request.recipe.needs_recordings
    if unready and not source.exists():
        raise UserError(
            f"{request.source}: there is no such folder or file; check the path, or give a model of"
            " the Hugging Face hub as ORG/NAME, and --calibration MANIFEST with it"
        )
    manifest = pipeline.calibration_manifest(request.calibration, request.recipe)
    return pipeline.quantize(
        request.source,
        manifest,
        request.recipe,
        notify,
        window_samples=request.window_samples,
        language=request.language,
    )


def _accuracy(
    request: BuildRequest,
    package: SpeechPackage | None,
    notify: Notify,
    progress: Progress | None,
) -> Accuracy | None:
    if request.data is None:
        if package is not None:
            notify("WER is not measured: no --data")
        return None
    if package is None:
        raise UserError(
            f"{request.source}: WER needs a speech package, this is a .tflite; leave out --data"
        )
    notify(f"measuring WER on {request.data}")
    resolver = measure.DEFAULT_RESOLVER
    report = measure.measure(
        package,
        request.data,
        measure.recognizer(package, resolver),
        measure.interpreter_name(resolver),
        jobs=request.jobs,
        progress=progress,
    )
    return measure.accuracy(report)


def _compile(
    project: Mapping[str, bytes], compiled: Compiled, inputs: EmitInputs
) -> tuple[dict[str, bytes], Footprint]:
    """The firmware's file, and what it takes: linked for a board, predicted for this computer."""
    from codegen.emit.project import MARKER as PROJECT_MARKER
    from codegen.emit.write import write_folder
    from codegen.toolchain.project import build as compile_project

    with tempfile.TemporaryDirectory(prefix="stapes-build-") as scratch:
        folder = Path(scratch) / "project"
        write_folder(project, folder, PROJECT_MARKER)
        # debug information would name the folder, which has another name each time
        nameless = f"-ffile-prefix-map={scratch}=."
        firmware = compile_project(folder, Path(scratch) / "build", extra_cflags=nameless)
        footprint = pipeline.predicted_footprint(compiled, inputs.weights)
        if firmware.suffix == ".elf":
            footprint = pipeline.linked_footprint(firmware, compiled, inputs.name, inputs.weights)
        return {firmware.name: firmware.read_bytes()}, footprint


_WHAT = {
    "package": "speech package: .tflite, vocabulary, front end, provenance",
    "project": "C project: runtime/, model/, board/",
    "firmware.elf": "the project, compiled and linked",
    "firmware": "the project, compiled for this computer",
}


def _rows(files: Mapping[str, bytes]) -> tuple[FileRow, ...]:
    """A row for each folder or file at the top."""
    from codegen.report.types import FileRow

    sizes: dict[str, int] = {}
    for path, data in files.items():
        top = path.split("/")[0]
        sizes[top] = sizes.get(top, 0) + len(data)
    return tuple(FileRow(top, _WHAT[top], size) for top, size in sorted(sizes.items()))
