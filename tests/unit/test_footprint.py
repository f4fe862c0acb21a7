# SPDX-License-Identifier: Apache-2.0
"""Predicted and linked footprints, fit, and the stack walk, on inputs made by hand."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.data import data_folder
from codegen.errors import StapesError, UserError
from codegen.footprint import predict as predict_module
from codegen.footprint.elf import NOWHERE, model_prefixes, read_elf
from codegen.footprint.fit import check_fit, fits
from codegen.footprint.predict import (
    WEIGHTS_SECTION,
    greedy_rows,
    predict,
    speech_rows,
    with_weights_file,
)
from codegen.footprint.stack import worst_stack
from codegen.frontend.log_mel import LogMel
from codegen.frontend.raw_pcm import RawPcm
from codegen.frontend.whisper_mel import WhisperMel
from codegen.memory.place import place
from codegen.memory.plan import plan
from codegen.memory_plan import UNATTRIBUTED, Footprint, FootprintRow
from codegen.program import Buffer, BufferRef, Constant, Params, Program, Step
from codegen.target import Region, Target

FLASH, RAM = 0x0800_0000, 0x2000_0000
TARGET = Target(
    name="board",
    title="A board",
    cpu="cortex-m4",
    features=(),
    clock_hz=1,
    board="host",
    stack_bytes=512,
    regions=(
        Region("flash", "flash", FLASH, 4096, "-"),
        Region("ram", "sram", RAM, 1024, "-"),
    ),
    code="flash",
    constants="flash",
    arena="ram",
    stack="ram",
    source="-",
)


def program() -> Program:
    weights = Constant("weights", np.zeros(7, np.int8))
    bias = Constant("bias", np.zeros(3, np.int64))
    params = Params("stapes_fully_connected_params", (("rows", 1), ("depth", 7), ("bias", bias)))
    operands = (params, BufferRef(0, "int8_t"), weights, bias, BufferRef(1, "int8_t"))
    return Program(
        "p",
        (Step("s", "stapes_fully_connected_s8", "h", operands, (0,), (1,), 1),),
        (Buffer("x", 100, "input"), Buffer("y", 50, "output")),
        (weights, bias),
        (0,),
        (1,),
    )


def predicted() -> Footprint:
    return predict([program()], place(plan([program()]), TARGET), TARGET)


def test_prediction_counts_each_component() -> None:
    footprint = predicted()
    expected = {
        "arena": 112 + 64,
        "stack": 512,
        "weights": 8 + 24,  # seven bytes, then int64 from a multiple of eight
        "kernel parameters": 12,
        "model description": 24 + 20 + 2 * 12 + 4,
    }
    assert {row.component: row.size_bytes for row in footprint.rows} == expected
    assert footprint.kind_bytes("ram") == 176 + 512
    assert footprint.total_bytes("flash") == sum(
        row.size_bytes for row in footprint.rows if row.region == "flash"
    )
    assert footprint.regions == ("ram", "flash")


def test_speech_adds_tables_vocabulary_text_and_the_callers_pcm_apart() -> None:
    heard = (112, {"window": np.zeros(201, np.int16)})
    rows = speech_rows(TARGET, heard, ("", "yes", "nö"), 100, 320)
    sizes = {row.component: row.size_bytes for row in rows}
    assert sizes["front-end tables"] == 404
    assert sizes["vocabulary"] == 3 + 3 + 1 + 6
    footprint = Footprint(rows)
    assert footprint.kind_bytes("ram") == 100
    assert footprint.kind_bytes("caller") == 320


def test_fit_says_required_available_and_excess_by_region() -> None:
    fine = predicted()
    check_fit(fine, TARGET, "m")
    assert [each.excess_bytes for each in fits(fine, TARGET)] == [0, 0]
    more = Footprint((*fine.rows, FootprintRow("state", ".bss", "ram", 1000, "ram")))
    with pytest.raises(UserError) as caught:
        check_fit(more, TARGET, "m")
    message = str(caught.value)
    for part in ("'m'", "'board'", "'ram'", "1,688", "1,024", "664", "state, 1,000"):
        assert part in message
    assert "'flash'" not in message


def elf(
    sections: list[tuple[str, int, int, int, int]], symbols: list[tuple[str, int, int]]
) -> bytes:
    """A 32-bit little-endian Arm ELF: (name, address, load address, size, flags), NOBITS if "b"."""
    names = [name for name, *_ in sections] + [".symtab", ".strtab", ".shstrtab"]
    shstr = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    strtab = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in symbols)
    symtab = bytes(16)
    for name, address, size in symbols:
        kind = 2 if address % 2 else 1
        at = strtab.index(b"\0" + name.encode() + b"\0") + 1
        symtab += struct.pack("<IIIBBH", at, address, size, 0x10 | kind, 0, 1)
    body = b""
    headers = [bytes(40)]
    segments = []
    start = 52 + 32 * len(sections)

    def header(
        name: str, kind: int, flags: int, address: int, data: bytes, size: int, link: int = 0
    ) -> None:
        nonlocal body
        at = shstr.index(b"\0" + name.encode() + b"\0") + 1
        entry = 16 if kind == 2 else 0
        headers.append(
            struct.pack(
                "<10I", at, kind, flags, address, start + len(body), size, link, 0, 4, entry
            )
        )
        body += data

    for name, address, load, size, flags in sections:
        empty = name in (".bss", ".stack", ".stapes_arena")
        offset, stored = start + len(body), 0 if empty else size
        segments.append(struct.pack("<8I", 1, offset, address, load, stored, size, flags, 4))
        header(name, 8 if empty else 1, flags, address, bytes(stored), size)
    header(".symtab", 2, 0, 0, symtab, len(symtab), len(sections) + 2)
    header(".strtab", 3, 0, 0, strtab, len(strtab))
    header(".shstrtab", 3, 0, 0, shstr, len(shstr))
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    shoff = start + len(body)
    fields = (
        2,
        40,
        1,
        FLASH,
        52,
        shoff,
        0,
        52,
        32,
        len(segments),
        40,
        len(headers),
        len(headers) - 1,
    )
    return (
        ident
        + struct.pack("<HHIIIIIHHHHHH", *fields)
        + b"".join(segments)
        + body
        + b"".join(headers)
    )


def small_elf() -> bytes:
    return elf(
        [
            (".text", FLASH, FLASH, 100, 2 | 4),
            (".stapes_weights", FLASH + 100, FLASH + 100, 60, 2),
            (".data", RAM, FLASH + 160, 8, 1 | 2),
            (".bss", RAM + 8, RAM + 8, 24, 1 | 2),
            (".stack", 0x1000, 0x1000, 64, 1 | 2),
        ],
        [
            ("stapes_run", FLASH + 1, 40),
            ("stapes_alias", FLASH + 1, 40),
            ("run", FLASH + 40 + 1, 20),
            ("inside", FLASH + 50 + 1, 20),
            ("text", RAM + 8, 20),
        ],
    )


REGIONS = (("flash", FLASH, 4096), ("ram", RAM, 1024))


def test_elf_rows_sum_to_sections_and_count_no_byte_twice() -> None:
    footprint = read_elf(small_elf(), REGIONS, model_prefixes("m"))
    text = {row.component: row.size_bytes for row in footprint.rows if row.section == ".text"}
    assert text == {
        "kernels and runtime": 40,
        "model code": 20,
        "other code and data": 10,
        UNATTRIBUTED: 30,
    }
    assert footprint.total_bytes("flash") == 100 + 60 + 8
    assert footprint.total_bytes("ram") == 8 + 24
    assert footprint.total_bytes(NOWHERE) == 64
    assert footprint.component_bytes("weights") == 60
    assert footprint.component_bytes("initial values") == 8
    assert footprint.component_bytes("transcript") == 20
    assert footprint.kind_bytes("ram") == 8 + 24 + 64
    assert footprint.kind_bytes("code") == 100


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" + bytes(100), bytes(1000)])
def test_what_is_no_elf_is_the_users_mistake(data: bytes) -> None:
    with pytest.raises(UserError, match="not an ELF"):
        read_elf(data, REGIONS)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_elf_gives_rows_or_a_user_error(damage: list[tuple[int, int]]) -> None:
    data = bytearray(small_elf())
    for position, value in damage:
        data[position % len(data)] = value
    try:
        footprint = read_elf(bytes(data), REGIONS)
    except UserError:
        return
    assert all(row.size_bytes > 0 for row in footprint.rows)


GRAPHS = (
    """graph: { title: "board/main.c"
node: { title: "main" label: "main\\nboard/main.c:1:1\\n32 bytes (static)\\n0 dynamic objects" }
node: { title: "stapes_run" label: "stapes_run\\nstapes.h:1:1" shape : ellipse }
edge: { sourcename: "main" targetname: "stapes_run" label: "board/main.c:2:1" }
edge: { sourcename: "main" targetname: "memset" label: "board/main.c:3:1" }
}
""",
    """graph: { title: "model.c"
node: { title: "stapes_run" label: "stapes_run\\nr.c:1:1\\n8 bytes (static)\\n0 dynamic objects" }
edge: { sourcename: "stapes_run" targetname: "__indirect_call" label: "r.c:2:1" }
node: { title: "model.c:run" label: "run\\nmodel.c:1:1\\n16 bytes (static)\\n0 dynamic objects" }
node: { title: "deep" label: "deep\\nk.c:1:1\\n400 bytes (dynamic,bounded)\\n1 dynamic objects" }
node: { title: "wide" label: "wide\\nk.c:1:1\\n40 bytes (static)\\n0 dynamic objects" }
edge: { sourcename: "model.c:run" targetname: "wide" label: "model.c:2:1" }
edge: { sourcename: "model.c:run" targetname: "deep" label: "model.c:3:1" }
}
""",
)


def test_stack_is_the_heaviest_path_through_the_graphs_pointer() -> None:
    found = worst_stack(GRAPHS)
    assert found.path == (("main", 32), ("stapes_run", 8), ("run", 16), ("deep", 400))
    assert found.total_bytes == 456
    assert found.unknown == ("memset",)
    assert worst_stack(GRAPHS, calls={}).unknown == ("memset", "stapes_run, through a pointer")


def test_stack_without_a_bound_or_a_root_is_an_error() -> None:
    circle = 'edge: { sourcename: "deep" targetname: "model.c:run" label: "k.c:1:1" }\n'
    with pytest.raises(StapesError, match="run -> deep -> run"):
        worst_stack((*GRAPHS, circle))
    with pytest.raises(StapesError, match="reset_handler"):
        worst_stack(GRAPHS, "reset_handler")


STRUCTS = {
    "struct stapes_speech": predict_module._SPEECH_BYTES,
    "stapes_log_mel_input": LogMel().runtime(2, 0.01, 0, "int8").struct_bytes,
    "stapes_raw_pcm_input": RawPcm().runtime(64, "int8").struct_bytes,
    "stapes_whisper_mel_input": WhisperMel().runtime(640, "int8").struct_bytes,
    "stapes_ctc_params": predict_module._CTC_BYTES,
    "stapes_greedy_params": predict_module._GREEDY_BYTES,
    "stapes_row_table": predict_module._ROW_TABLE_BYTES,
    "stapes_row_state": predict_module._ROW_STATE_BYTES,
}


def test_structs_have_the_predicted_sizes(tmp_path: Path) -> None:
    headers = ("speech", "log_mel", "raw_pcm", "whisper_mel", "ctc", "greedy")
    lines = [f'#include "stapes/{header}.h"' for header in headers]
    lines += [f'_Static_assert(sizeof({name}) == {size}, "");' for name, size in STRUCTS.items()]
    (tmp_path / "sizes.c").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = ["arm-none-eabi-gcc", "-std=c11", "-mcpu=cortex-m55", "-fsyntax-only"]
    command += [f"-I{data_folder('firmware') / 'include'}", str(tmp_path / "sizes.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_repeating_program_has_its_caches_as_rows() -> None:
    handed, cache = Buffer("crossed", 64, "shared"), Buffer("cache", 48, "shared")
    tokens, logits = Buffer("[tokens]", 20, "shared"), Buffer("logits", 16, "output")
    make = Step("s", "k", "k.h", (), (), (0,), 1)
    cross = Program("cross", (make,), (handed,), (), (), (0,))
    choose = Step("s", "k", "k.h", (), (0, 1), (3,), 1)
    buffers = (handed, cache, tokens, logits)
    decoder = Program("decoder", (choose,), buffers, (), (0, 1), (3,), repeats=True)
    programs = (cross, decoder)
    memory = place(plan(programs), TARGET)
    rows = {r.component: r.size_bytes for r in predict(programs, memory, TARGET).rows}
    assert rows["KV cache"] == 48
    assert rows["cross keys and values"] == 64
    assert rows["tokens"] == 20
    assert sum(map(rows.__getitem__, ("arena", "KV cache", "cross keys and values", "tokens"))) == (
        memory.total_bytes
    )


def test_greedy_decoding_adds_its_tables() -> None:
    table = np.zeros((10, 4), np.int16)
    heard = (48, {"sine": np.zeros(3, np.int16)})
    rows = greedy_rows(TARGET, heard, {"embedding": [table]}, (b"", b"ab"), 3, 100, 320)
    sizes = {row.component: row.size_bytes for row in rows}
    assert sizes["table embedding"] == 80
    assert sizes["vocabulary"] == 2 + 8
    assert sizes["front-end tables"] == 8
    assert sizes["speech description"] == 20 + 48 + 148 + 60 + 3 * 40


def test_a_file_of_weights_is_rows_of_its_own_region() -> None:
    regions = (*TARGET.regions, Region("octal", "flash", 0x7000_0000, 4096, "-"))
    before = Footprint(
        (
            FootprintRow("weights", WEIGHTS_SECTION, "flash", 100, "constant"),
            FootprintRow("table x", WEIGHTS_SECTION, "flash", 40, "constant"),
            FootprintRow("model description", ".rodata", "flash", 30, "constant"),
            FootprintRow("stack", ".stack", "ram", 8, "ram"),
        )
    )
    after = with_weights_file(before, replace(TARGET, regions=regions, weights="octal"), 64 + 144)
    assert after.total_bytes("octal") == 208
    assert after.total_bytes("flash") == 30 + 20  # stapes_weights
    assert after.component_bytes("table x") == 40
    assert after.component_bytes("weights' header and padding") == 64 + 4
    assert after.total_bytes("ram") == 8
