# SPDX-License-Identifier: Apache-2.0
"""Emitted projects compile without a warning and give LiteRT's bits on every board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from codegen.emit.project import RUNTIME_VERSION
from codegen.errors import StapesError, UserError
from codegen.target import load_target, target_names
from codegen.toolchain.project import build, run
from codegen.toolchain.records import RunRecord
from tests.e2e._models import MICRO_SPEECH, PERSON_DETECT, emitted, expected, payloads

BOARDS = ("host", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")


@pytest.mark.parametrize("source", [MICRO_SPEECH, PERSON_DETECT], ids=lambda path: path.stem)
@pytest.mark.parametrize("board", BOARDS)
def test_bits_of_every_board(tmp_path: Path, source: Path, board: str) -> None:
    project = emitted(source, board, tmp_path / "project")
    firmware = build(project)
    inputs = payloads(source, 4)
    answers = run(project, inputs, firmware=firmware)
    assert [answer.outputs for answer in answers] == expected(source, inputs)
    assert {answer.status for answer in answers} == {0}
    counts = [answer.instructions for answer in answers]
    if board == "host":
        assert counts == [0] * 4
    else:
        assert min(counts) > 100_000
        assert run(project, inputs, firmware=firmware) == answers  # counts repeat


@pytest.mark.parametrize("board", ["host", "mps2-an386", "mps2-an505", "mps3-an547"])
def test_a_second_compiler_gives_the_same_bits(tmp_path: Path, board: str) -> None:
    project = emitted(MICRO_SPEECH, board, tmp_path / "project")
    firmware = build(project, tmp_path / "zig", toolchain="zig")
    inputs = payloads(MICRO_SPEECH, 3)
    answers = run(project, inputs, firmware=firmware)
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("target", [name for name in target_names() if name not in BOARDS])
def test_every_target_runs_on_its_board(tmp_path: Path, target: str) -> None:
    project = emitted(MICRO_SPEECH, target, tmp_path / "project")
    inputs = payloads(MICRO_SPEECH, 2)
    answers = run(project, inputs, firmware=build(project))
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "host", tmp_path / "project")
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    inputs = payloads(MICRO_SPEECH, 3)
    answers = run(project, inputs, firmware=build(project, extra_cflags=flags))
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)


def test_sections_of_the_elf(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "mps3-an547", tmp_path / "project")
    with build(project).open("rb") as file:
        elf = ELFFile(file)
        sizes = {section.name: section["sh_size"] for section in elf.iter_sections()}
        symbols = {s.name: s for s in elf.get_section_by_name(".symtab").iter_symbols()}
        kinds = {section.name: section["sh_type"] for section in elf.iter_sections()}
    target = load_target("mps3-an547")
    assert sizes[".text"] + sizes[".vectors"] + sizes[".rodata"] < 20 * 1024
    assert sizes[".stack"] == target.stack_bytes
    assert sizes.get(".data", 0) == 0
    assert sizes[".bss"] <= 64
    assert sizes[".stapes_arena"] == symbols["arena"]["st_size"]
    assert kinds[".stapes_arena"] == kinds[".stack"] == "SHT_NOBITS"
    assert not {"malloc", "printf", "_sbrk", "stapes_begin"} & symbols.keys()
    weights = [s for name, s in symbols.items() if name.endswith("_weights")]
    ddr = 0x70000000
    assert weights
    assert all(ddr <= symbol["st_value"] < ddr + 2**25 for symbol in weights)


@pytest.mark.parametrize("board", ["host", "mps2-an386"])
def test_a_wrong_record_does_not_stop_the_next(tmp_path: Path, board: str) -> None:
    project = emitted(MICRO_SPEECH, board, tmp_path / "project")
    (good,) = payloads(MICRO_SPEECH, 1)
    answers = run(project, [good[:-1], good, b"", good + good], firmware=build(project))
    assert [answer.status for answer in answers] == [1, 0, 1, 1]
    assert answers[0] == RunRecord(1, 0, "", b"")
    assert answers[0].status_text == "wrong argument"
    assert answers[1].outputs == expected(MICRO_SPEECH, [good])[0]


def test_instructions_are_counted_exactly(tmp_path: Path) -> None:
    """A loop of known length, across many wraps of the 24-bit counter."""
    project = emitted(MICRO_SPEECH, "mps2-an386", tmp_path / "project")
    source = project / "runtime" / "model.c"
    loop = '__asm volatile("1: subs %0, #1\\n bne 1b" : "+r"(n) : : "cc");'
    text = source.read_text()
    for loops in (10_000_000, 40_000_000):
        source.write_text(
            text.replace(
                "stapes_status stapes_run(const stapes_model *model,",
                f"static void spin(void) {{ uint32_t n = {loops}u; {loop} }}\n"
                "stapes_status stapes_run(const stapes_model *model,",
            ).replace("return model->graphs[graph].run(context);", "spin();\n    return STAPES_OK;")
        )
        assert source.read_text() != text
        (answer,) = run(project, payloads(MICRO_SPEECH, 1), firmware=build(project))
        assert answer.instructions == pytest.approx(2 * loops, abs=1000)


def _broken(tmp_path: Path, statement: str) -> Path:
    project = emitted(MICRO_SPEECH, "mps3-an547", tmp_path / "project")
    main = project / "board" / "main.c"
    text = main.read_text()
    first = "    stapes_context context"
    main.write_text(text.replace(first, f"    {statement}\n{first}", 1))
    assert main.read_text() != text
    return project


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('__asm volatile("udf #0");', "the core took a fault"),
        ("*(volatile int *)0x00000000 = 1;", "the core took a fault"),
        ("volatile char deep[5000]; for (int i = 4999; i >= 0; i--) deep[i] = 1;", "took a fault"),
        ("for (;;) { }", "it took more than 2 s"),
        ("return 5;", "its input ends inside a record"),
        ("return 0;", "answered 0 of 1 records"),
    ],
)
def test_a_crash_is_told(tmp_path: Path, statement: str, message: str) -> None:
    project = _broken(tmp_path, statement)
    flags = "-Wno-error -w"
    firmware = build(project, extra_cflags=flags)
    timeout_s = 2.0 if "for (;;)" in statement else 60.0
    with pytest.raises(StapesError, match=message):
        run(project, payloads(MICRO_SPEECH, 1), firmware=firmware, timeout_s=timeout_s)


def test_what_does_not_compile_is_told(tmp_path: Path) -> None:
    with pytest.raises(StapesError, match=r"did not compile for mps3-an547:[\s\S]*main\.c"):
        build(_broken(tmp_path, "int unused;"))


@pytest.mark.parametrize(
    ("board", "tool", "message"),
    [
        ("host", "gcc", "apt-get install gcc libc6-dev"),
        ("mps2-an386", "arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi"),
    ],
)
def test_a_missing_compiler_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: str, tool: str, message: str
) -> None:
    project = emitted(MICRO_SPEECH, board, tmp_path / "project")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=message):
        build(project)


def test_a_missing_emulator_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = emitted(MICRO_SPEECH, "mps2-an386", tmp_path / "project")
    firmware = build(project)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install qemu-system-arm"):
        run(project, payloads(MICRO_SPEECH, 1), firmware=firmware)


def test_a_folder_without_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no stapes project"):
        build(tmp_path)
    (tmp_path / "stapes.json").write_text('{"name": 3}')
    with pytest.raises(UserError, match="emit the project again"):
        build(tmp_path)
    with pytest.raises(UserError, match="toolchain 'icc' is unknown"):
        build(tmp_path, toolchain="icc")


def test_the_arena_must_fit_its_region(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "mps3-an547", tmp_path / "project")
    flags = "-DMICRO_SPEECH_QUANTIZED_ARENA_REGION_BYTES=1024u"
    with pytest.raises(StapesError, match="does not fit the memory sram"):
        build(project, extra_cflags=flags)


def test_another_runtime_is_refused(tmp_path: Path) -> None:
    project = emitted(MICRO_SPEECH, "host", tmp_path / "project")
    header = project / "runtime/include/stapes/stapes.h"
    text = header.read_text()
    mine, other = (f"_RUNTIME_VERSION {RUNTIME_VERSION + n}" for n in (0, 1))
    header.write_text(text.replace(mine, other))
    assert header.read_text() != text
    with pytest.raises(StapesError, match="Regenerate"):
        build(project)


def test_payload_generator_saturates() -> None:
    low, high, *_ = payloads(MICRO_SPEECH, 3)
    assert set(np.frombuffer(low, np.int8)) == {-128}
    assert set(np.frombuffer(high, np.int8)) == {127}
