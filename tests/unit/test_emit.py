# SPDX-License-Identifier: Apache-2.0
"""Emitted projects: the same bytes everywhere, whole or not at all, no text that becomes code."""

from __future__ import annotations

import os
import re
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen.emit.inputs import EmitInputs
from codegen.emit.project import RUNTIME_VERSION, emit, project_files
from codegen.emit.weights import FORMAT_VERSION, HEADER_BYTES
from codegen.errors import StapesError, UserError
from codegen.memory_plan import MemoryPlan, Placement
from codegen.program import Buffer, BufferRef, Constant, Params, Program, Row0, Rows, Step
from codegen.target import Target, load_target, target_names

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '*/ "\n#error evil ??/ {{ x }} é'


def dense(name: str = "dense") -> Program:
    """A program of one FULLY_CONNECTED by hand, whose every string is `name`."""
    weights = Constant("weights", np.arange(-4, 4, dtype=np.int8))
    multipliers = Constant("multipliers", np.array([2**30, -(2**31)], np.int32))
    params = Params(
        "stapes_made_up_params", (("inputs", 4), ("multipliers", multipliers), ("table", None))
    )
    step = Step(
        name,
        "stapes_fully_connected_s8",
        "stapes/fully_connected.h",
        (params, Row0(), Rows(), BufferRef(0, "int8_t"), weights, BufferRef(1, "int16_t")),
        (0,),
        (1,),
        rows=1,
        macs=8,
    )
    buffers = (Buffer(name, 4, "input"), Buffer(name, 4, "output"))
    return Program(name, (step,), buffers, (weights, multipliers), (0,), (1,))


def inputs(program: Program, target: Target | None = None, name: str = "demo") -> EmitInputs:
    """`program` planned by hand."""
    target = target or load_target("mps3-an547")
    row = (
        Placement(0, 0, "x", target.arena, 0, 4, -1, 0),
        Placement(0, 1, "y", target.arena, 16, 4, 0, 1),
    )
    plan = MemoryPlan((row,), ((target.arena, 32),), 32)
    return EmitInputs(name, target, (program,), plan, "ab" * 32, program.name)


def test_files_of_a_project(tmp_path: Path) -> None:
    files = emit(inputs(dense()), tmp_path / "new" / "demo")
    assert [str(file) for file in files] == sorted(
        str(path.relative_to(tmp_path / "new" / "demo"))
        for path in (tmp_path / "new" / "demo").rglob("*")
        if path.is_file()
    )
    names = {str(file) for file in files}
    assert names >= {
        "CMakeLists.txt",
        "LICENSE",
        "Makefile",
        "NOTICE",
        "board/board.ld",
        "board/cortex_m/startup.c",
        "model/demo.c",
        "model/demo.h",
        "model/demo.ld",
        "model/demo_arena.h",
        "model/demo_weights.c",
        "runtime/include/stapes/stapes.h",
        "runtime/model.c",
        "stapes.json",
        "zephyr/module.yml",
    }
    assert "runtime/transcribe.c" not in names
    kernels = [name for name in names if "/kernels/" in name]
    assert [Path(name).name for name in kernels] == ["stapes_fully_connected_s8.c"]
    assert os.listdir(tmp_path / "new") == ["demo"]


def test_generated_text() -> None:
    files = project_files(inputs(dense()))
    source = files["model/demo.c"].decode()
    assert "    .multipliers = demo_multipliers,\n    .table = NULL,\n" in source
    assert "&step_0, 0, 1, (int8_t *)(arena + DEMO_AT_0_DENSE)" in source
    assert "(int16_t *)(void *)(arena + DEMO_AT_1_DENSE)" in source
    weights = files["model/demo_weights.c"].decode()
    assert "    -4, -3, -2, -1, 0, 1, 2, 3,\n" in weights
    assert "    1073741824, (-2147483647 - 1),\n" in weights
    arena = files["model/demo_arena.h"].decode()
    assert "#define DEMO_ARENA_BYTES 32u\n" in arena
    assert "#define DEMO_AT_1_DENSE 16u" in arena
    assert all(b"ab" * 32 in data for path, data in files.items() if path.startswith("model/demo"))


def test_runtime_version_is_that_of_the_header() -> None:
    header = (ROOT / "firmware/include/stapes/stapes.h").read_text()
    assert f"#define STAPES_RUNTIME_VERSION {RUNTIME_VERSION}\n" in header


def test_hostile_names_stay_in_comments() -> None:
    plain, hostile = project_files(inputs(dense())), project_files(inputs(dense(HOSTILE)))
    assert plain.keys() == hostile.keys()

    def bare(files: dict[str, bytes], path: str) -> str:
        text = re.sub(r"/\*.*?\*/", "", files[path].decode(), flags=re.DOTALL)
        return re.sub(r"DEMO_AT_[A-Z0-9_]+", "AT", text)

    def packed(text: str) -> str:
        return re.sub(r"\s+", " ", text)

    for path in plain:
        if path.endswith((".c", ".h", ".ld")):
            assert packed(bare(hostile, path)) == packed(bare(plain, path)), path
            hostile[path].decode("ascii")


def test_long_names_make_short_identifiers() -> None:
    text = project_files(inputs(dense("x" * 10_000)))["model/demo_arena.h"].decode()
    assert max(map(len, re.findall(r"\w+", text.split("*/", 2)[2]))) < 80


@pytest.mark.parametrize("name", ["model", "speech"])
def test_constants_cannot_take_the_models_symbols(name: str) -> None:
    program = dense()
    constants = (replace(program.constants[0], name=name), program.constants[1])
    with pytest.raises(StapesError, match="share a name"):
        project_files(inputs(replace(program, constants=constants)))


@pytest.mark.parametrize("values", [np.zeros((2, 2), np.int8), np.zeros(0, np.int8)])
def test_constants_that_c_cannot_hold(values: np.ndarray) -> None:
    program = dense()
    constants = (replace(program.constants[0], values=values), program.constants[1])
    with pytest.raises(StapesError, match="one-dimensional"):
        project_files(inputs(replace(program, constants=constants)))


@pytest.mark.parametrize("target", target_names())
def test_every_target_can_be_emitted_for(target: str) -> None:
    assert project_files(inputs(dense(), load_target(target)))


def test_bytes_depend_on_nothing_else(tmp_path: Path) -> None:
    script = (
        "import hashlib, sys; sys.path.insert(0, 'tests/unit'); import test_emit as t\n"
        "files = t.project_files(t.inputs(t.dense()))\n"
        "print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())\n"
    )
    digests = set()
    for number in ("0", "1"):
        elsewhere = tmp_path / f"checkout{number}"
        elsewhere.mkdir()
        for name in ("codegen", "firmware", "templates", "targets", "tests", "LICENSE"):
            (elsewhere / name).symlink_to(ROOT / name)
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=elsewhere,
            env={**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": str(elsewhere)},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_texts_name_no_path_and_no_time() -> None:
    for path, data in project_files(inputs(dense())).items():
        if path != "LICENSE":
            assert str(ROOT).encode() not in data
            assert not re.search(rb"20[2-9]\d-\d\d-\d\d", data), path


def _refusals() -> list[tuple[str, Callable[[Path], object], str]]:
    return [
        ("file", lambda folder: folder.write_text("mine"), "exists and is not a folder"),
        ("foreign", lambda f: (f.mkdir(), (f / "mine").write_text("")), "stapes did not write it"),
        ("project", lambda folder: emit(inputs(dense()), folder), "exists already"),
        ("link", lambda folder: folder.symlink_to(folder.parent), "exists and is not a folder"),
    ]


@pytest.mark.parametrize(("kind", "prepare", "message"), _refusals())
def test_what_is_in_the_way_stays(
    tmp_path: Path, kind: str, prepare: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "out"
    prepare(folder)
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(UserError, match=message):
        emit(inputs(dense()), folder)
    if kind != "project":
        with pytest.raises(UserError, match=message):
            emit(inputs(dense()), folder, overwrite=True)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_overwriting_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    emit(inputs(dense(), name="first"), tmp_path / "out")
    emit(inputs(dense(), name="second"), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out/model/first.c").exists()
    assert (tmp_path / "out/model/second.c").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert emit(inputs(dense()), tmp_path / "out")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    script = (
        "import signal, sys; sys.path.insert(0, 'tests/unit'); import test_emit as t\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"try: t.emit(t.inputs(t.dense()), Path({str(tmp_path / 'new' / 'out')!r}))\n"
        "except t.StapesError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=True,
    )
    assert done.stdout.startswith("StapesError cannot write ")
    assert not list(tmp_path.iterdir())


def test_weights_in_a_binary_file_are_the_same_arrays() -> None:
    made = replace(inputs(dense()), weights="incbin")
    files = project_files(made)
    source = files["model/demo_weights.c"].decode()
    blob = files["model/demo_weights.bin"]
    found = re.findall(r'STAPES_INCBIN\((\w+), (\d+), "demo_weights.bin", (\d+), (\d+)\);', source)
    arrays = {name: blob[int(skip) : int(skip) + int(size)] for name, _, skip, size in found}
    constants = made.programs[0].constants
    assert arrays == {f"demo_{c.name}": c.values.tobytes() for c in constants}
    assert all(int(skip) % int(alignment) == 0 for _, alignment, skip, _ in found)
    assert files["model/demo_weights.h"] == project_files(inputs(dense()))["model/demo_weights.h"]


def test_large_weights_go_to_a_binary_file_unless_asked_otherwise() -> None:
    program = dense()
    large = Constant("weights", np.zeros((1 << 20) + 1, np.int8))
    step = replace(
        program.steps[0],
        operands=tuple(large if isinstance(o, Constant) else o for o in program.steps[0].operands),
    )
    grown = replace(program, steps=(step,), constants=(large, program.constants[1]))
    assert "model/demo_weights.bin" in project_files(inputs(grown))
    array = replace(inputs(grown), weights="array")
    assert "model/demo_weights.bin" not in project_files(array)
    assert "model/demo_weights.bin" not in project_files(inputs(program))
    with pytest.raises(UserError, match="array, incbin"):
        replace(inputs(program), weights="flash")


def _layout(program: Program, target: Target | None = None) -> bytes:
    """Of the file of weights, whose checksum is checked."""
    made = replace(inputs(program, target), weights="bin")
    data = project_files(made)["model/demo_weights.bin"]
    assert struct.unpack("<4sIII", data[:16]) == (
        b"STPW",
        FORMAT_VERSION,
        len(data) - HEADER_BYTES,
        zlib.crc32(data[16:]),
    )
    assert data[32:64] == b"\xab" * 32
    return data[16:32]


def test_weights_to_bind_are_offsets() -> None:
    made = replace(inputs(dense()), weights="bin")
    files = project_files(made)
    source = files["model/demo.c"].decode()
    assert "    .multipliers = NULL,\n    .table = NULL,\n" in source
    assert "params.multipliers = stapes_bound(context, OFFSET_DEMO_MULTIPLIERS);" in source
    assert "stapes_bound(context, OFFSET_DEMO_WEIGHTS)" in source
    assert "model/demo_weights.c" not in files
    blob = files["model/demo_weights.bin"][HEADER_BYTES:]
    found = re.findall(r"OFFSET_DEMO_(\w+) (\d+)u", files["model/demo_weights.h"].decode())
    assert [int(offset) % 16 for _, offset in found] == [0, 0]
    for constant in made.programs[0].constants:
        offset = int(dict(found)[constant.name.upper()])
        assert blob[offset : offset + constant.size_bytes] == constant.values.tobytes()
    assert "board_weights = 0x7fffffa0;" in files["board/board.ld"].decode()


def test_constants_whose_names_differ_in_case_have_offsets_of_their_own() -> None:
    program = dense()
    weights = replace(program.constants[0], name="MULTIPLIERS")
    step = program.steps[0]
    operands = tuple(weights if o is program.constants[0] else o for o in step.operands)
    renamed = replace(
        program,
        steps=(replace(step, operands=operands),),
        constants=(weights, *program.constants[1:]),
    )
    files = project_files(replace(inputs(renamed), weights="bin"))
    header = files["model/demo_weights.h"].decode()
    names = re.findall(r"#define (OFFSET_\w+)", header)
    assert len(set(names)) == len(names) == 2


def test_a_layout_is_that_of_everything_but_values() -> None:
    """And of everything compiled in: a number, a length, another target."""
    program = dense()
    step = program.steps[0]
    params = step.operands[0]
    assert isinstance(params, Params)
    weights = replace(program.constants[0], values=program.constants[0].values[::-1].copy())
    operands = tuple(weights if o is program.constants[0] else o for o in step.operands)
    retrained = replace(
        program,
        steps=(replace(step, operands=operands),),
        constants=(weights, program.constants[1]),
    )
    number = replace(params, fields=(("inputs", 5), *params.fields[1:]))
    other = replace(program, steps=(replace(step, operands=(number, *step.operands[1:])),))
    longer = replace(program.constants[0], values=np.zeros(20, np.int8))
    grown = replace(program, constants=(longer, program.constants[1]))
    layouts = [_layout(each) for each in (program, other, grown)]
    layouts.append(_layout(program, load_target("mps2-an386")))
    assert _layout(retrained) == layouts[0]
    assert len(set(layouts)) == 4


@pytest.mark.parametrize("compiler", [["gcc"], [sys.executable, "-m", "ziglang", "cc"]])
def test_a_binary_file_becomes_the_arrays(tmp_path: Path, compiler: list[str]) -> None:
    emit(replace(inputs(dense(), load_target("host")), weights="incbin"), tmp_path / "c")
    folder = tmp_path / "c"
    (tmp_path / "main.c").write_text(
        '#include "demo_weights.h"\n'
        "int main(void) { return demo_weights[0] == -4 && demo_weights[7] == 3 &&"
        " demo_multipliers[1] == INT32_MIN && sizeof demo_multipliers == 8 ? 0 : 1; }\n",
        encoding="ascii",
    )
    command = [*compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'model'}"]
    command += [f"-I{folder / 'runtime' / 'include'}", str(tmp_path / "main.c")]
    command += [str(folder / "model" / "demo_weights.c"), "-o", str(tmp_path / "main")]
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "zig")}
    subprocess.run(command, check=True, env=environment)
    subprocess.run([tmp_path / "main"], check=True)
