# SPDX-License-Identifier: Apache-2.0
"""Targets and boards: every file loads, every mistake is named."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.data import data_folder
from codegen.emit.layout import lay_out
from codegen.errors import StapesError, UserError
from codegen.target import board_names, load_board, load_target, read_target, target_names

GOOD = """
title = "A chip"
cpu = "cortex-m4"
features = ["dsp"]
clock_hz = 1_000_000
board = "mps2-an386"
stack_bytes = 2048
code = "flash"
constants = "flash"
arena = "sram"
stack = "sram"
source = "a document"

[regions.flash]
kind = "flash"
base = 0x0
size_bytes = 0x1000
source = "a document"

[regions.sram]
kind = "sram"
base = 0x20000000
size_bytes = 0x1000
source = "a document"
"""


def _read(folder: Path, text: str) -> None:
    path = folder / "chip.toml"
    path.write_text(text, encoding="utf-8")
    read_target(path)


@pytest.mark.parametrize("name", target_names())
def test_every_target_fits_its_board(name: str) -> None:
    target = load_target(name)
    assert target.source
    assert all(region.source for region in target.regions)
    board = load_board(target.board)
    if not board.machine:
        return
    layout = lay_out(target, board)
    by_name = {memory.name: memory for memory in layout.memories}
    for role in (target.code, target.constants, target.arena, target.stack):
        memory, region = by_name[role], target.region(role)
        assert memory.length == region.size_bytes or memory.clipped
        window = next(
            w
            for w in board.windows
            if w.base <= memory.origin and memory.origin + memory.length <= w.base + w.size_bytes
        )
        assert window.executable or role != target.code
    spans = sorted((m.origin, m.origin + m.length) for m in layout.memories)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert by_name[layout.vectors].origin == board.windows[0].base


def test_the_emulated_boards_are_targets() -> None:
    assert set(board_names()) <= set(target_names())
    for name in board_names():
        assert load_target(name).board == name


def test_good_file_reads(tmp_path: Path) -> None:
    _read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('cpu = "cortex-m4"', 'cpuu = "cortex-m4"', "unknown key 'cpuu'; did you mean 'cpu'"),
        ('cpu = "cortex-m4"', "", "key 'cpu' is missing"),
        ('cpu = "cortex-m4"', "cpu = 4", "cpu is 4; it must be a string"),
        ("1_000_000", '"fast"', "clock_hz is 'fast'; it must be an integer"),
        ("1_000_000", "true", "it must be an integer"),
        ("1_000_000", "0", "must be positive"),
        ("2048", "2047", "a multiple of 8"),
        ('["dsp"]', '"dsp"', "must be a list of strings"),
        ('["dsp"]', '["simd"]', "feature 'simd' is unknown"),
        ('kind = "flash"', 'kind = "disk"', "kind is 'disk'"),
        ('kind = "flash"', 'kind = "flash"\nspeed = 3', "region 'flash': unknown key 'speed'"),
        ("base = 0x0\nsize_bytes = 0x1000", "base = 0x0\nsize_bytes = 0", "size_bytes is 0"),
        ("base = 0x0\n", "base = 0x20000800\n", "'sram' ends at 0x20001000, inside 'flash'"),
        ("base = 0x0\n", "base = 0xfffff001\n", "end within 32 bits"),
        ("base = 0x0\n", "base = -1\n", "base is -1"),
        ('arena = "sram"', 'arena = "ram"', "arena = 'ram' names no region"),
        ('arena = "sram"', 'arena = "flash"', "cannot be written to"),
        ("mps2-an386", "mps9", "board 'mps9' is unknown"),
        ("[regions.sram]", "[regions.sram", "cannot be read"),
        ("[regions.sram]", '[regions."a } b"]', "region 'a } b': a region's name is"),
        ("[regions.flash]", "[regions2.flash]", "unknown key 'regions2'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        _read(tmp_path, GOOD.replace(old, new, 1))
    assert "chip.toml" in str(caught.value)
    assert message in str(caught.value)


def test_a_file_name_that_no_banner_could_hold(tmp_path: Path) -> None:
    path = tmp_path / "a } b.toml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(UserError, match="name has letters"):
        read_target(path)


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'mps3-an574' is unknown; did you mean mps3-an547"):
        load_target("mps3-an574")
    with pytest.raises(UserError, match=r"'\.\./x' is unknown"):
        load_target("../x")


def test_a_file_of_weights_ends_its_region() -> None:
    target = load_target("mps3-an547")
    board = load_board(target.board)
    plain, layout = lay_out(target, board), lay_out(target, board, 1001)
    before, after = ({m.name: m for m in each.memories} for each in (plain, layout))
    assert layout.weights_address % 16 == 0
    assert layout.weights_address + 1001 <= before["ddr"].origin + before["ddr"].length
    assert after["ddr"].origin + after["ddr"].length == layout.weights_address
    assert {**after, "ddr": before["ddr"]} == before
    apart = lay_out(replace(target, weights="sram", arena="dtcm"), board, 1001)
    (sram,) = [memory for memory in apart.memories if memory.name == "sram"]
    assert sram.origin + sram.length == apart.weights_address
    with pytest.raises(StapesError, match="'ddr', the file of weights has"):
        lay_out(target, board, 1 << 29)


def test_the_region_of_a_file_of_weights_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    text = (data_folder("targets") / "mps3-an547.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('stack = "dtcm"', 'stack = "dtcm"\nweights = "octal"'))
    with pytest.raises(UserError, match="weights = 'octal' names no region"):
        read_target(path)


@pytest.mark.parametrize("key", ["stack_bytes", "speech_stack_bytes"])
@pytest.mark.parametrize("value", [0, 1001])
def test_a_stack_is_a_multiple_of_eight(tmp_path: Path, key: str, value: int) -> None:
    path = tmp_path / "x.toml"
    text = (data_folder("targets") / "mps3-an547.toml").read_text(encoding="utf-8")
    path.write_text(re.sub(rf"(?m)^{key} = \d+", f"{key} = {value}", text))
    with pytest.raises(UserError, match=f"{key} is {value}; it must be positive, a multiple of 8"):
        read_target(path)


def test_firmware_with_speech_has_the_stack_for_it() -> None:
    board, chip = load_target("mps3-an547"), load_target("nrf5340")
    assert board.stack_bytes < board.with_speech().stack_bytes == board.speech_stack_bytes
    assert chip.with_speech().stack_bytes == chip.stack_bytes
