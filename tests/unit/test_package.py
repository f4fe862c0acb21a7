# SPDX-License-Identifier: Apache-2.0
"""Speech packages: written whole, read without trust."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from codegen.errors import StapesError, UserError
from codegen.package import PackagedGraph, SpeechPackage, load_package, save_package

PACKAGE = SpeechPackage(
    name="commands",
    graphs=(PackagedGraph("network", "network", b"integers", b"floats"),),
    phases=("network",),
    front_end={"kind": "log_mel", "bands": 40},
    decoding={"kind": "ctc_greedy", "blank": 0, "separator": " "},
    vocabulary=("<blank>", "on", "größer", '*/ "quoted"\n'),
    recipe={"mode": "static8"},
    calibration={"utterances": 200, "source": "synthetic", "sha256": "0" * 64},
    source={"name": "commands_ctc", "sha256": "1" * 64},
    window_samples=48400,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_package(PACKAGE, tmp_path / "package")
    return tmp_path / "package"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    loaded = load_package(folder)
    for field in dataclasses.fields(SpeechPackage):
        if field.name != "graphs":
            assert getattr(loaded, field.name) == getattr(PACKAGE, field.name), field.name
    (graph,) = loaded.graphs
    assert (graph.name, graph.phase, graph.data, graph.float_data) == (
        "network",
        "network",
        b"integers",
        b"floats",
    )
    assert loaded.sha256 == PACKAGE.sha256
    assert loaded.sha256 == hashlib.sha256((folder / "package.json").read_bytes()).hexdigest()


def test_the_same_package_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    save_package(load_package(folder), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "package"]


def test_an_existing_folder_is_left_alone(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        save_package(PACKAGE, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not a speech package"):
        save_package(PACKAGE, tmp_path / "mine", overwrite=True)
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(UserError, match=r"also holds notes\.txt"):
        save_package(PACKAGE, folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "precious"
    with pytest.raises(UserError, match="not a speech package"):
        save_package(PACKAGE, tmp_path / "mine" / "thesis.txt", overwrite=True)


def test_a_package_may_be_replaced(folder: Path, tmp_path: Path) -> None:
    save_package(dataclasses.replace(PACKAGE, name="other"), folder, overwrite=True)
    assert load_package(folder).name == "other"
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StapesError, match="No space left"):
        save_package(PACKAGE, tmp_path / "package")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StapesError, match="cannot be written"):
        save_package(dataclasses.replace(PACKAGE, name="other"), folder, overwrite=True)
    assert load_package(folder).name == "commands"


@pytest.mark.parametrize("stage", ["old", "new"])
def test_an_interrupted_replacement_keeps_the_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Behind the first of two renames, and in front of the second."""
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new" and stage == "new":
            raise KeyboardInterrupt
        made = rename(self, target)
        if target.name == "old" and stage == "old":
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_package(dataclasses.replace(PACKAGE, name="other"), folder, overwrite=True)
    assert load_package(folder).name == "commands"
    assert list(folder.parent.iterdir()) == [folder]


def _edit(folder: Path, path: str, value: Any) -> None:
    manifest = json.loads((folder / "package.json").read_text())
    *parents, last = path.split(".")
    place = manifest
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    (folder / "package.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 3, "schema is 3, supported are 1 and 2"),
        ("schema", 2, "lacks tables"),
        ("schema", KeyError, "lacks schema"),
        ("surprise", 1, "unknown keys 'surprise'"),
        ("name", "../evil", "plain name"),
        ("name", 7, "plain name"),
        ("graphs", [], "graphs has 0 entries"),
        ("graphs", {}, "graphs is not a list"),
        ("graphs", [1], "not a table"),
        ("graphs.0.file", "../package.json", "plain name"),
        ("graphs.0.file", "/etc/passwd", "plain name"),
        ("graphs.0.file", "absent.tflite", "is not a file"),
        ("graphs.0.sha256", "0" * 64, "changed or damaged"),
        ("graphs.0.sha256", None, "changed or damaged"),
        ("graphs.0.float_sha256", [], "changed or damaged"),
        ("graphs.0.phase", "decoder", "not one of phases"),
        ("graphs.0.phase", [], "not one of phases"),
        ("phases", [[]], "plain name"),
        ("state", [{}], "state has 1 entries"),
        ("vocabulary.sha256", "x", "changed or damaged"),
        ("vocabulary", "words", "not a table"),
        ("front_end", [], "not a table"),
        ("front_end.kind", None, r"front_end\.kind"),
        ("decoding.blank", 4, "0 to 3"),
        ("decoding.blank", True, "0 to 3"),
        ("decoding.separator", "x" * 99, "at most 8"),
        ("window_samples", 0, "1 to"),
        ("window_samples", 1e99, "1 to"),
        ("window_samples", 10**30, "1 to"),
        ("recipe", None, "recipe is not a table"),
    ],
)
def test_a_wrong_manifest_is_named(folder: Path, path: str, value: Any, message: str) -> None:
    _edit(folder, path, value)
    with pytest.raises(UserError, match=message):
        load_package(folder)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 200_000, b'{"schema": NaN}']
)
def test_a_manifest_that_is_none(folder: Path, data: bytes) -> None:
    (folder / "package.json").write_bytes(data)
    with pytest.raises(UserError, match=r"package\.json"):
        load_package(folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "list of 1 to"),
        ({}, "list of 1 to"),
        ([1], "word 0 of the vocabulary is not a string"),
        (["a" * 1001], "longer"),
        (["a", "\ud800"], "word 1 of the vocabulary is not Unicode"),
    ],
)
def test_a_wrong_vocabulary_is_named(folder: Path, words: Any, message: str) -> None:
    data = json.dumps(words).encode()
    (folder / "vocabulary.json").write_bytes(data)
    _edit(folder, "vocabulary.sha256", hashlib.sha256(data).hexdigest())
    with pytest.raises(UserError, match=message):
        load_package(folder)


def test_not_a_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        load_package(tmp_path / "absent")
    with pytest.raises(UserError, match="stapes quantize"):
        load_package(tmp_path)


def test_a_changed_model_is_refused(folder: Path) -> None:
    (folder / "network.tflite").write_bytes(b"Integers")
    with pytest.raises(UserError, match=r"network\.tflite has sha256"):
        load_package(folder)
