# SPDX-License-Identifier: Apache-2.0
"""runtime/ and model/ in other people's builds: a foreign firmware, two models, CMake, C++."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.toolchain.project import build, run
from tests.e2e._models import MICRO_SPEECH, PERSON_DETECT, emitted, expected, payloads

ROOT = Path(__file__).resolve().parents[2]
STRICT = "-std=c11 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Werror".split()
M55 = ["-mcpu=cortex-m55", "-mfloat-abi=hard", "-mthumb"]

TWO_MODELS = """
#include <string.h>
#include "second.h"
#include "first.h"
#include "stapes/generated.h"

_Alignas(STAPES_ARENA_ALIGNMENT) static uint8_t one[FIRST_ARENA_BYTES] STAPES_ARENA_SECTION;
_Alignas(STAPES_ARENA_ALIGNMENT) static uint8_t two[SECOND_ARENA_BYTES] STAPES_ARENA_SECTION;

int main(void) {
    const stapes_context a = {.arena = {one}, .arena_bytes = {sizeof one}};
    const stapes_context b = {.arena = {two}, .arena_bytes = {sizeof two}};
    memset(stapes_input(&first_model, &a, 0, 0), 127, FIRST_INPUT_0_BYTES);
    memset(stapes_input(&second_model, &b, 0, 0), 127, SECOND_INPUT_0_BYTES);
    if (stapes_run(&first_model, &a, 0) != STAPES_OK ||
        stapes_run(&second_model, &b, 0) != STAPES_OK) {
        return 1;
    }
    const int8_t *const x = stapes_output(&first_model, &a, 0, 0);
    const int8_t *const y = stapes_output(&second_model, &b, 0, 0);
    return (x[0] + 128) %% 100 == %d && (y[0] + 128) %% 100 == %d ? 42 : 2;
}
"""


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def _check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr, done.stderr


def _emulate(elf: Path) -> int:
    done = _run(
        "qemu-system-arm",
        *("-machine", "mps3-an547", "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native", "-kernel", elf),
    )
    return done.returncode


def test_foreign_firmware(tmp_path: Path) -> None:
    project = emitted(PERSON_DETECT, "mps3-an547", tmp_path / "project")
    for name in ("board", "zephyr", "Makefile", "CMakeLists.txt"):  # it takes none of these
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    product = shutil.copytree(ROOT / "examples" / "foreign_main", tmp_path / "product")
    _check(_run("make", "-s", f"PROJECT={project}", cwd=product))

    ramp = (np.arange(96 * 96) % 251 - 125).astype(np.int8).tobytes()
    (output,) = expected(PERSON_DETECT, [ramp])
    checksum = 0
    for byte in output:
        checksum = (checksum * 31 + byte) % 2**32
    assert _emulate(product / "build" / "product.elf") == (checksum ^ checksum >> 8) % 251


def _sources(*projects: Path) -> list[Path]:
    """model/ of each, and every runtime source once."""
    runtime = {
        path.relative_to(project): path
        for project in projects
        for path in project.glob("runtime/**/*.c")
    }
    models = [path for project in projects for path in project.glob("model/*.c")]
    return sorted(runtime.values()) + sorted(models)


def _two(tmp_path: Path, target: str) -> tuple[Path, Path, Path]:
    first = emitted(MICRO_SPEECH, target, tmp_path / "a", "first")
    second = emitted(PERSON_DETECT, target, tmp_path / "b", "second")
    high = [
        expected(source, [payloads(source, 2)[1]])[0] for source in (MICRO_SPEECH, PERSON_DETECT)
    ]
    wanted = tuple((np.frombuffer(data, np.int8)[0].astype(int) + 128) % 100 for data in high)
    main = tmp_path / "main.c"
    main.write_text(TWO_MODELS % wanted)
    return first, second, main


def test_two_models_on_the_host(tmp_path: Path) -> None:
    first, second, main = _two(tmp_path, "host")
    includes = [f"-I{p}/{name}" for p in (first, second) for name in ("model", "runtime/include")]
    program = tmp_path / "both"
    _check(_run("gcc", *STRICT, *includes, *_sources(first, second), main, "-o", program))
    assert _run(program).returncode == 42


def test_two_models_on_a_cortex_m55(tmp_path: Path) -> None:
    first, second, main = _two(tmp_path, "mps3-an547")
    includes = [f"-I{p}/{name}" for p in (first, second) for name in ("model", "runtime/include")]
    board = first / "board"
    start_up = [board / "cortex_m" / f"{name}.c" for name in ("startup", "counter", "semihosting")]
    elf = tmp_path / "both.elf"
    _check(
        _run(
            *("arm-none-eabi-gcc", *M55, *STRICT, "-O2", *includes, f"-I{board}"),
            *(*_sources(first, second), *start_up, main),
            *("-nostartfiles", "-T", board / "board.ld", "-Wl,--gc-sections", "-o", elf),
        )
    )
    assert _emulate(elf) == 42


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("target", ["host", "mps2-an386"])
def test_cmake_builds_the_project(tmp_path: Path, target: str) -> None:
    project = emitted(MICRO_SPEECH, target, tmp_path / "project")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={project}/board/toolchain.cmake"
    options = [] if target == "host" else [toolchain]
    _check(_run("cmake", "-S", project, "-B", tmp_path / "out", *options))
    _check(_run("cmake", "--build", tmp_path / "out"))
    firmware = tmp_path / "out" / ("firmware" if target == "host" else "firmware.elf")
    inputs = payloads(MICRO_SPEECH, 2)
    answers = run(project, inputs, firmware=firmware)
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_joins_two_models(tmp_path: Path) -> None:
    first, second, _ = _two(tmp_path, "host")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(both C)\n"
        f"add_subdirectory({first.name})\nadd_subdirectory({second.name})\n"
        "add_executable(both main.c)\ntarget_link_libraries(both first second)\n"
    )
    _check(_run("cmake", "-S", tmp_path, "-B", tmp_path / "out"))
    _check(_run("cmake", "--build", tmp_path / "out"))
    assert _run(tmp_path / "out" / "both").returncode == 42


def test_headers_are_cplusplus(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "host", tmp_path / "project", "demo")
    source = tmp_path / "main.cpp"
    source.write_text(
        '#include "demo.h"\n'
        "alignas(STAPES_ARENA_ALIGNMENT) static uint8_t arena[DEMO_ARENA_BYTES];\n"
        "int main() { return stapes_input(&demo_model, nullptr, 0, 0) == arena; }\n"
    )
    _check(
        _run(
            *(sys.executable, "-m", "ziglang", "c++", "-Wall", "-Wextra", "-Werror"),
            *(f"-I{project}/model", f"-I{project}/runtime/include"),
            *("-c", source, "-o", tmp_path / "main.o"),
        )
    )


def test_linker_fragment_places_weights_and_arena(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "mps3-an547", tmp_path / "project", "demo")
    script = project / "board" / "board.ld"
    text = script.read_text()
    start = text.index("    .stapes_weights")
    end = text.index("    .rodata")
    arena = text.index("    .stapes_arena")
    bss = text.index("    .bss")
    aliases = 'REGION_ALIAS("STAPES_WEIGHTS", itcm)\nREGION_ALIAS("STAPES_ARENA", dtcm)\n\nSECTIONS'
    script.write_text(
        (text[:start] + "INCLUDE model/demo.ld\n" + text[end:arena] + text[bss:]).replace(
            "SECTIONS", aliases, 1
        )
    )
    inputs = payloads(MICRO_SPEECH, 2)
    answers = run(project, inputs, firmware=build(project))
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)
    symbols = _run("arm-none-eabi-nm", project / "build" / "firmware.elf").stdout
    (line,) = [line for line in symbols.splitlines() if line.endswith(" arena")]
    assert line.startswith("3000")
