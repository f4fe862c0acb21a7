# SPDX-License-Identifier: Apache-2.0
"""Writes one self-contained C project, whole or not at all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import codegen
from codegen.data import data_folder
from codegen.emit.context import ModelContext, model_context
from codegen.emit.inputs import MAX_ARRAY_BYTES, EmitInputs
from codegen.emit.layout import Layout, lay_out
from codegen.emit.render import render
from codegen.emit.sources import board_files, runtime_files
from codegen.emit.weights import LAYOUT_BYTES, layout_of, pack, weights_file
from codegen.emit.write import write_folder
from codegen.target import Board, load_board

#: The file that says that a folder is a stapes project.
MARKER = "stapes.json"

#: STAPES_RUNTIME_VERSION of firmware/include/stapes/stapes.h.
RUNTIME_VERSION = 3

#: Compiler flags under which floats have the same bits everywhere: no fused multiply-add, and no
#: vectors, since those of Armv8.1-M flush subnormal numbers to zero.
FLOAT_FLAGS = ("-ffp-contract=off", "-fno-tree-vectorize", "-fno-tree-slp-vectorize")

#: Virtual nanoseconds an instruction takes under QEMU's -icount, as a power of two.
ICOUNT_SHIFT = 6


def emit(inputs: EmitInputs, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write the project into `folder` and return its files, relative and sorted.

    Raises UserError when the folder exists (unless it holds a stapes project and `overwrite` is
    set), StapesError when it cannot be written; then nothing is left behind.
    """
    files = project_files(inputs)
    write_folder(files, folder, MARKER, overwrite=overwrite)
    return tuple(map(Path, files))


def project_files(inputs: EmitInputs) -> dict[str, bytes]:
    """Every file of the project by its path, sorted; a pure function of `inputs`."""
    model = model_context(inputs)
    board = load_board(inputs.target.board)
    kernels = dict.fromkeys(step.kernel for program in inputs.programs for step in program.steps)
    sources = inputs.speech.sources if inputs.speech else ()
    runtime = runtime_files(
        kernels, inputs.target, speech=sources, incbin=_is_binary(inputs, model)
    )
    hand = board_files(board, inputs.speech.records if inputs.speech else ("records_tensors",))
    regions = [use.region for use in inputs.plan.uses]
    emulated = bool(board.machine)
    layout = lay_out(inputs.target, board, model.bound_bytes, regions) if emulated else None
    values = {
        "model": model,
        "target": inputs.target,
        "board": board,
        "version": codegen.__version__,
        "runtime_version": RUNTIME_VERSION,
        "sha256": inputs.sha256,
        "source_name": inputs.source_name,
        "icount_shift": ICOUNT_SHIFT,
        "float_flags": FLOAT_FLAGS,
    }
    file = f"{model.name}_weights.bin"
    values["weights_file"] = file if _is_binary(inputs, model) else ""
    values["layout"] = bytes(LAYOUT_BYTES)
    binary = {}
    if values["weights_file"]:
        binary[f"model/{file}"], values["pieces"] = pack(model.data)
    if model.pieces:
        nameless = {**values, "version": "", "sha256": "", "source_name": ""}
        hashed = layout_of(_model(model, nameless))
        values["layout"] = hashed
        binary[f"model/{file}"] = weights_file(model.payload, hashed, inputs.sha256)
    texts = _model(model, values) | _board(board, layout, values)
    files = {path: text.encode("ascii") for path, text in texts.items()} | binary
    files |= {f"runtime/{path}": data for path, data in runtime.items()}
    files |= {f"board/{path}": data for path, data in hand.items()}
    lists = {
        "runtime_sources": _sources(files, "runtime/"),
        "model_sources": _sources(files, "model/"),
        "board_sources": _sources(files, "board/"),
        "board_folders": _folders(files, "board/"),
    }
    for path, template in _BUILD_FILES.items():
        files[path] = render(template, **values, **lists).encode("ascii")
    files["LICENSE"] = (data_folder("firmware").parent / "LICENSE").read_bytes()
    address = layout.weights_address if layout else 0
    files[MARKER] = _description(inputs, model, runtime, address).encode("ascii")
    return {path: files[path] for path in sorted(files)}


def _is_binary(inputs: EmitInputs, model: ModelContext) -> bool:
    """Whether the assembler includes the weights out of a binary file."""
    large = model.data_bytes > MAX_ARRAY_BYTES
    return bool(model.data) and (inputs.weights == "incbin" or (inputs.weights == "auto" and large))


_BUILD_FILES = {
    "CMakeLists.txt": "CMakeLists.txt.j2",
    "Makefile": "Makefile.j2",
    "NOTICE": "NOTICE.j2",
    "README.md": "README.md.j2",
    "model/CMakeLists.txt": "model.cmake.j2",
    "runtime/CMakeLists.txt": "runtime.cmake.j2",
    "zephyr/CMakeLists.txt": "zephyr.cmake.j2",
    "zephyr/Kconfig": "zephyr.kconfig.j2",
    "zephyr/module.yml": "zephyr.module.yml.j2",
}


def _model(model: ModelContext, values: dict[str, Any]) -> dict[str, str]:
    stem = f"model/{model.name}"
    templates = {
        f"{stem}.h": "model.h.j2",
        f"{stem}.c": "model.c.j2",
        f"{stem}_arena.h": "arena.h.j2",
        f"{stem}.ld": "fragment.ld.j2",
    }
    if model.pieces:
        templates |= {f"{stem}_weights.h": "weights_bin.h.j2"}
    elif model.data:
        source = "weights_incbin.c.j2" if values["weights_file"] else "weights.c.j2"
        templates |= {f"{stem}_weights.h": "weights.h.j2", f"{stem}_weights.c": source}
    if model.speech:
        templates |= {f"{stem}_speech.h": "speech.h.j2", f"{stem}_speech.c": "speech.c.j2"}
    return {path: render(template, **values) for path, template in templates.items()}


def _board(board: Board, layout: Layout | None, values: dict[str, Any]) -> dict[str, str]:
    texts = {"board/main.c": render("main.c.j2", **values)}
    if layout:
        rate = Fraction(10**9, board.systick_hz * 2**ICOUNT_SHIFT)
        texts["board/board.ld"] = render("board.ld.j2", **{**values, "layout": layout})
        texts["board/board_config.h"] = render(
            "board_config.h.j2",
            **values,
            numerator=rate.numerator,
            shift=rate.denominator.bit_length() - 1,
        )
        texts["board/toolchain.cmake"] = render("toolchain.cmake.j2", **values)
    return texts


def _sources(files: dict[str, bytes], folder: str) -> list[str]:
    return sorted(path for path in files if path.startswith(folder) and path.endswith(".c"))


def _folders(files: dict[str, bytes], folder: str) -> list[str]:
    """Folders below `folder` whose headers are included, the compiler's stand-ins left out."""
    found = {path.rsplit("/", 1)[0] for path in files if path.startswith(folder)}
    return sorted(found - {"board/freestanding"})


def _description(
    inputs: EmitInputs, model: ModelContext, runtime: dict[str, bytes], weights_address: int
) -> str:
    """stapes.json: what this project is, for programs; it holds no time and no path."""
    description = {
        "schema": 1,
        "stapes": codegen.__version__,
        "runtime_version": RUNTIME_VERSION,
        "name": inputs.name,
        "target": inputs.target.name,
        "board": inputs.target.board,
        "sha256": inputs.sha256,
        "speech": model.speech is not None,
        "icount_shift": ICOUNT_SHIFT,
        "arenas": [{"region": a.region, "bytes": a.size_bytes} for a in model.arenas],
        "lower_bound_bytes": inputs.plan.lower_bound_bytes,
        "stack_bytes": inputs.target.stack_bytes,
        "constants": {
            "region": inputs.target.constants,
            "weights_bytes": model.data_bytes,
        },
        "graphs": [
            {
                "inputs_bytes": [slot.size_bytes for slot in graph.inputs],
                "outputs_bytes": [slot.size_bytes for slot in graph.outputs],
                "macs": sum(call.macs for call in graph.calls),
            }
            for graph in model.graphs
        ],
        "kernels": sorted(path for path in runtime if path.startswith("kernels/")),
    }
    if model.shares:
        description["regions"] = [
            {
                "region": share.region,
                "arena_bytes": share.arena.size_bytes if share.arena else 0,
                "weights_bytes": share.weights_bytes,
            }
            for share in model.shares
        ]
    if model.pieces:
        description["weights"] = {
            "region": inputs.target.weights_region,
            "address": weights_address,
            "bytes": model.bound_bytes,
        }
    if model.speech:
        description["window_samples"] = model.speech.inputs.window_samples
        description["sample_rate_hz"] = model.speech.inputs.sample_rate_hz
        description["text_bytes"] = model.speech.inputs.text_bytes
    return json.dumps(description, indent=2, ensure_ascii=True) + "\n"
