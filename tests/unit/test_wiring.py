# SPDX-License-Identifier: Apache-2.0
"""Packages of several graphs: wires, state, tables and the greedy rule, read without trust."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Quantization, Tensor
from codegen.package import PackagedGraph, SpeechPackage, load_package, save_package
from codegen.wiring import StateBuffer, Table

RULE: dict[str, Any] = {
    "kind": "greedy",
    "start": [1],
    "end": 2,
    "suppress": [],
    "begin_suppress": [3],
    "most_tokens": 5,
    "masked": -32767,
    "attended": 0,
    "float_masked": -60.0,
    "tokens_per_10_s": 65,
    "least_tokens": 4,
    "repeat_tokens": 8,
    "silence": 1024,
    "vocabulary": "latin-1",
}
TABLES = (
    Table("embedding", "token", np.arange(12, dtype=np.int16).reshape(4, 3), np.ones((4, 3))),
    Table("cos", "position", np.arange(10, dtype=np.int8).reshape(5, 2)),
)
PACKAGE = SpeechPackage(
    name="tiny",
    graphs=(
        PackagedGraph("encoder", "encoder", b"e", b"E", ("pcm",), ("encoded",)),
        PackagedGraph("cross", "cross", b"c", b"C", ("encoded",), ("cross_key_0",)),
        PackagedGraph(
            "decoder",
            "decoder",
            b"d",
            b"D",
            ("embedding", "cos", "mask", "self_key_0", "cross_key_0"),
            ("logits", "new_key_0"),
        ),
    ),
    phases=("encoder", "cross", "decoder"),
    front_end={"kind": "raw_pcm"},
    decoding=RULE,
    vocabulary=("", "a", "b", "\xc3\xa4"),
    recipe={"mode": "static16"},
    calibration={"utterances": 1},
    source={"name": "tiny"},
    window_samples=16000,
    state=(StateBuffer("self_key_0", (2, 5, 3), 1, "new_key_0"),),
    tables=TABLES,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_package(PACKAGE, tmp_path / "package")
    return tmp_path / "package"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    loaded = load_package(folder)
    assert loaded.sha256 == PACKAGE.sha256
    assert loaded.state == PACKAGE.state
    assert [(g.inputs, g.outputs) for g in loaded.graphs] == [
        (g.inputs, g.outputs) for g in PACKAGE.graphs
    ]
    for table, wanted in zip(loaded.tables, TABLES, strict=True):
        assert (table.name, table.by, table.values.dtype) == (
            wanted.name,
            wanted.by,
            wanted.values.dtype,
        )
        assert np.array_equal(table.values, wanted.values)
    assert loaded.tables[0].floats is not None
    assert loaded.tables[1].floats is None
    described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert described["schema"] == 2
    assert (folder / "embedding.bin").read_bytes() == np.arange(12, dtype="<i2").tobytes()


def test_one_graph_is_still_schema_1() -> None:
    one = replace(PACKAGE, graphs=PACKAGE.graphs[:1], state=(), tables=())
    described = json.loads(one.files()["package.json"])
    assert described["schema"] == 1
    assert "tables" not in described
    assert "inputs" not in described["graphs"][0]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tables", [], "tables has 0 entries"),
        ("tables.0.by", "width", "is by 'width'"),
        ("tables.0.dtype", "float64", "has the dtype"),
        ("tables.0.dtype", "float32", "has 24 bytes"),
        ("tables.0.scales_file", "cos.bin", "lacks scales_sha256"),
        ("tables.0.dtype", [], "has the dtype"),
        ("tables.0.shape", [4, 4], "has 24 bytes"),
        ("tables.0.shape", [4], "1 dimensions"),
        ("tables.0.shape", [1 << 20, 1 << 20], "values are allowed"),
        ("tables.0.file", "../x", "plain name"),
        ("tables.0.sha256", "0", "changed or damaged"),
        ("tables.0.name", "cos", "two tables collide"),
        ("tables.0.name", "mask", "comes from two places"),
        ("tables.0.by", "position", "has 4 rows, 5 are needed"),
        ("tables.1.by", "token", "has 5 rows, 4 are needed"),
        ("state.0.shape", [2, 4, 3], "has 4 rows, 5 are needed"),
        ("state.0.shape", [], "has 0 entries"),
        ("state.0.axis", 3, "0 to 2"),
        ("state.0.rows_from", "encoded", "no output of decoder"),
        ("state.0.name", "other", "nothing gives decoder's input self_key_0"),
        ("graphs.1.inputs", ["logits"], "nothing gives cross's input logits"),
        ("graphs.1.inputs", ["mask"], "nothing gives cross's input mask"),
        ("graphs.1.outputs", ["encoded"], "comes from two places"),
        ("graphs.0.inputs", ["pcm", "more"], "must have one input"),
        ("graphs.2.inputs", ["embedding", "cos", "mask", "cross_key_0"], "no input self_key_0"),
        ("graphs.2.outputs", ["new_key_0"], "no output logits"),
        ("graphs.2.outputs", ["new_key_0", "new_key_0"], "a name twice"),
        ("phases", ["cross", "encoder", "decoder"], "not in one order"),
        ("decoding.end", 4, "0 to 3"),
        ("decoding.start", [], "0 entries"),
        ("decoding.start", [9], "0 to 3"),
        ("decoding.suppress", [0, 1, 2], "suppresses every token"),
        ("decoding.most_tokens", 1 << 40, "1 to"),
        ("decoding.most_tokens", 6, "has 5 rows, 6 are needed"),
        ("decoding.masked", 1, "smaller than"),
        ("decoding.float_masked", 1.0, "float_masked"),
        ("decoding.repeat_tokens", 1, "2 to 65536"),
        # of a package made when the guard knew loops of up to so many tokens alone
        ("decoding.repeat_period", 4, "unknown keys 'repeat_period'; make the package again"),
        ("decoding.vocabulary", "utf-8", "supported is latin-1"),
        ("decoding.kind", "ctc_greedy", "must be greedy"),
        ("decoding.surprise", 1, "unknown keys"),
    ],
)
def test_a_wrong_manifest_is_named(folder: Path, path: str, value: Any, message: str) -> None:
    described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    place = described
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    (folder / "package.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_package(folder)


def _floats(rows: np.ndarray, scales: np.ndarray, steps: np.ndarray) -> SpeechPackage:
    """The package with a float mask, rows by token with scales, and float rows by position."""
    tables = (Table("embedding", "token", rows, None, scales), Table("cos", "position", steps))
    return replace(PACKAGE, tables=tables, decoding={**RULE, "masked": 0, "attended": 0})


ROWS = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
SCALES = np.array([0.5, 1, 2, 0.1], np.float32)
STEPS = np.linspace(-1, 1, 10, dtype=np.float32).reshape(5, 2)


def test_rows_with_scales_and_float_rows_are_loaded(tmp_path: Path) -> None:
    package = _floats(ROWS, SCALES, STEPS)
    save_package(package, tmp_path / "package")
    loaded = load_package(tmp_path / "package")
    assert loaded.sha256 == package.sha256
    embedding, cos = loaded.tables
    assert embedding.scales is not None
    taken = embedding.rows(Tensor("embedding", (1, 3), "float32"))
    assert np.array_equal(taken, ROWS * SCALES[:, None])
    assert taken.dtype == np.float32
    assert np.array_equal(cos.rows(Tensor("cos", (1, 2), "float32")), STEPS)
    integers = Tensor("embedding", (1, 3), "int16", Quantization((0.01,), (4,)))
    assert embedding.rows(integers).tolist() == [
        [-296, -246, -196],
        [-296, -196, -96],
        [4, 204, 404],
        [34, 44, 54],
    ]
    assert embedding.rows(replace(integers, dtype="int8"))[:, 0].tolist() == [-128, -128, 4, 34]
    described = json.loads((tmp_path / "package" / "package.json").read_text(encoding="utf-8"))
    assert "scales_file" not in described["tables"][1]
    assert (tmp_path / "package" / "embedding.scales.bin").read_bytes() == SCALES.tobytes()


WIDE = np.arange(4 * 64, dtype=np.uint8).view(np.int8).reshape(4, 64)
BLOCKS = np.array([[0.5, 1], [2, 0.125], [3, 1], [1, 0.75]], np.float32)


def test_rows_with_scales_of_blocks_are_loaded(tmp_path: Path) -> None:
    package = _floats(WIDE, BLOCKS, STEPS)
    save_package(package, tmp_path / "package")
    loaded = load_package(tmp_path / "package")
    assert loaded.sha256 == package.sha256
    described = json.loads((tmp_path / "package" / "package.json").read_text(encoding="utf-8"))
    assert described["tables"][0]["block_size"] == 32
    taken = loaded.tables[0].rows(Tensor("embedding", (1, 64), "float32"))
    assert np.array_equal(taken, WIDE * np.repeat(BLOCKS, 32, axis=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_size": 0}, "has blocks of 0 values, supported are 32, 64, 128, 256"),
        ({"block_size": -32}, "has blocks of -32 values"),
        ({"block_size": True}, "has blocks of True values"),
        ({"block_size": "32"}, "has blocks of '32' values"),
        ({"block_size": 2**70}, "has blocks of 1180591620717411303424 values"),
        ({"block_size": 128}, "rows of 64 values, which blocks of 128 do not divide"),
        ({"block_size": 64}, "file has 32 bytes"),
        ({"block_size": "DROP"}, "file has 32 bytes"),
        ({"scales_file": "DROP", "scales_sha256": "DROP"}, "unknown keys 'block_size'"),
    ],
)
def test_wrong_blocks_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save_package(_floats(WIDE, BLOCKS, STEPS), tmp_path / "package")
    path = tmp_path / "package" / "package.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    entry = described["tables"][0] | changes
    described["tables"][0] = {key: value for key, value in entry.items() if value != "DROP"}
    path.write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_package(tmp_path / "package")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (_floats(WIDE, BLOCKS * np.float32(1 / 3), STEPS), "a block that is no bfloat16"),
        (_floats(WIDE, -BLOCKS, STEPS), "a scale that is not positive"),
        (_floats(ROWS.astype(np.int16), SCALES, STEPS), "has scales, which int8 alone may have"),
        (_floats(ROWS, SCALES[1:], STEPS), "has 12 bytes"),
        (_floats(ROWS, SCALES * np.float32(np.nan), STEPS), "a scale that is not positive"),
        (_floats(ROWS, SCALES * np.float32(2**120), STEPS), "a scale that is not positive"),
        (_floats(ROWS, SCALES - 1, STEPS), "a scale that is not positive"),
        (_floats(ROWS, SCALES, STEPS * np.float32(np.inf)), "table cos is not finite"),
    ],
)
def test_wrong_scales_and_floats_are_named(
    tmp_path: Path, package: SpeechPackage, message: str
) -> None:
    save_package(package, tmp_path / "package")
    with pytest.raises(UserError, match=message):
        load_package(tmp_path / "package")
