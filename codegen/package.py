# SPDX-License-Identifier: Apache-2.0
"""A speech package: a folder of .tflite files, a vocabulary, and package.json that ties them.

package.json, schema 1 (no key may be missing or added), for a model of one graph; wiring.py says
what schema 2 adds for models of several:

    schema          1
    name            a plain name: letters, digits, ".", "_", "-"
    graphs          [{"name", "phase", "file", "sha256", "float_file", "float_sha256"}]; the last
                    two are null where the float model was not kept
    phases          the order in which the graphs run, such as ["network"]
    state           buffers that graphs share, [] for one graph
    front_end       {"kind": "log_mel", ...}, as the front end of that kind defines it
    decoding        {"kind": "ctc_greedy", "blank": 0, "separator": " "}
    vocabulary      {"file", "sha256"}: a JSON list of strings, one a class of the output
    recipe          how it was quantized
    calibration     {"utterances", "source", "sha256"}, or {} where no ranges were needed
    source          {"name", "sha256"} of the checkpoint; from a hub also "revision", its commit
    window_samples  PCM samples that fill the network's window

Files are plain names inside the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codegen import wiring
from codegen.errors import StapesError, UserError
from codegen.wiring import WIRED_SCHEMA, StateBuffer, Table

SCHEMA = 1
MANIFEST = "package.json"
VOCABULARY = "vocabulary.json"
MAX_JSON_BYTES = 1 << 24
MAX_MODEL_BYTES = 1 << 30
MAX_GRAPHS = 16
MAX_WORDS = 1 << 18
MAX_WINDOW_SAMPLES = 1 << 26

#: What a model, graph or file of a package may be called.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, eq=False)
class PackagedGraph:
    """One .tflite file and the phase that runs it; `float_data` is the model before quantizing.

    In packages with tables, `inputs` and `outputs` name what goes in and out, in the file's order.
    """

    name: str
    phase: str
    data: bytes
    float_data: bytes | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the .tflite file."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, eq=False)
class SpeechPackage:
    """Everything that a transcript depends on; the fields are those of package.json."""

    name: str
    graphs: tuple[PackagedGraph, ...]
    phases: tuple[str, ...]
    front_end: Mapping[str, Any]
    decoding: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    recipe: Mapping[str, Any]
    calibration: Mapping[str, Any]
    source: Mapping[str, Any]
    window_samples: int
    state: tuple[StateBuffer, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def wired(self) -> bool:
        """Whether the package has several graphs, tables and state, as wiring.py describes."""
        return bool(self.tables)

    @property
    def sha256(self) -> str:
        """Of package.json, which names the hash of every other file."""
        return hashlib.sha256(self.files()[MANIFEST]).hexdigest()

    def files(self) -> dict[str, bytes]:
        """The folder's files by name."""
        vocabulary = _json(list(self.vocabulary))
        files = {VOCABULARY: vocabulary}
        graphs = []
        for graph in self.graphs:
            entry: dict[str, Any] = {"name": graph.name, "phase": graph.phase}
            entry |= {"file": f"{graph.name}.tflite", "sha256": graph.sha256}
            entry |= {"float_file": None, "float_sha256": None}
            files[entry["file"]] = graph.data
            if graph.float_data is not None:
                entry["float_file"] = f"{graph.name}.float.tflite"
                entry["float_sha256"] = hashlib.sha256(graph.float_data).hexdigest()
                files[entry["float_file"]] = graph.float_data
            if self.wired:
                entry |= {"inputs": list(graph.inputs), "outputs": list(graph.outputs)}
            graphs.append(entry)
        manifest = {
            "schema": WIRED_SCHEMA if self.wired else SCHEMA,
            "name": self.name,
            "graphs": graphs,
            "phases": list(self.phases),
            "state": [state.to_dict() for state in self.state],
            "front_end": dict(self.front_end),
            "decoding": dict(self.decoding),
            "vocabulary": {
                "file": VOCABULARY,
                "sha256": hashlib.sha256(vocabulary).hexdigest(),
            },
            "recipe": dict(self.recipe),
            "calibration": dict(self.calibration),
            "source": dict(self.source),
            "window_samples": self.window_samples,
        }
        if self.wired:
            manifest["tables"] = [table.entry(files) for table in self.tables]
        files[MANIFEST] = _json(manifest)
        return files


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def is_package(folder: Path) -> bool:
    """Whether `folder` looks like a speech package."""
    return (folder / MANIFEST).is_file()


def save_package(package: SpeechPackage, folder: Path, overwrite: bool = False) -> None:
    """Write the folder whole or not at all; `overwrite` replaces an existing speech package.

    Raises UserError where `folder` exists and may not be replaced; StapesError where the disk
    refuses.
    """
    files = package.files()
    if folder.exists() or folder.is_symlink():
        _check_replaceable(folder, overwrite)
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{folder.name}.") as scratch:
            fresh, old = Path(scratch) / "new", Path(scratch) / "old"
            fresh.mkdir()
            for name, data in files.items():
                with (fresh / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            try:
                if folder.exists():
                    folder.rename(old)
                fresh.rename(folder)
            except BaseException:  # an interruption, too, puts back what was there
                if old.exists() and not folder.exists():
                    old.rename(folder)
                raise
    except OSError as error:
        raise StapesError(
            f"{folder} cannot be written: {error.strerror or error}; nothing was left there:"
            " free some space or choose another place."
        ) from error


def _check_replaceable(folder: Path, overwrite: bool) -> None:
    if not folder.is_dir() or folder.is_symlink() or not is_package(folder):
        raise UserError(
            f"{folder} exists and is not a speech package; it is left alone: choose another"
            " output folder."
        )
    if not overwrite:
        raise UserError(
            f"{folder} exists already; choose another output folder, or allow overwriting it."
        )
    known = set(load_package(folder).files())
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if foreign:
        raise UserError(
            f"{folder} also holds {', '.join(foreign[:5])}, which overwriting would delete; move"
            " that away or choose another output folder."
        )


def read_bytes(path: Path, most: int) -> bytes:
    """A file of at most `most` bytes; raises UserError where it is larger or cannot be read."""
    try:
        if not path.is_file():
            raise UserError(f"{path} is not a file; check the path.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path.") from error
    if len(data) > most:
        raise UserError(f"{path} is larger than the {most} bytes that are allowed; check the path.")
    return data


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises UserError where it is none."""
    raw = read_bytes(path, MAX_JSON_BYTES)

    def refused(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        return json.loads(raw.decode("utf-8"), parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}; write or download it again.") from error


def load_package(folder: Path) -> SpeechPackage:
    """Read and check a speech package; raises UserError naming the file and the key at fault."""
    manifest = folder / MANIFEST
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a speech package.")
    if not manifest.is_file():
        raise UserError(
            f"{folder} has no {MANIFEST}, so it is not a speech package; make one with"
            " `stapes quantize`."
        )
    data = read_json(manifest)
    check = _Checker(manifest)
    wired = isinstance(data, dict) and data.get("schema") == WIRED_SCHEMA
    check.keys(data, _TOP_KEYS + ["tables"] * wired, "it")
    schema = data["schema"]
    known = f"supported are {SCHEMA} and {WIRED_SCHEMA}"
    check.that(schema in (SCHEMA, WIRED_SCHEMA), f"schema is {schema!r:.40}, {known}")
    words = check.hashed_file(folder, data["vocabulary"], "vocabulary", MAX_JSON_BYTES)
    graphs = check.list_of(data["graphs"], "graphs", 1, MAX_GRAPHS)
    phases = check.list_of(data["phases"], "phases", 1, MAX_GRAPHS)
    for phase in phases:
        check.plain_name(phase, "phases")
    tables: tuple[Table, ...] = ()
    if wired:
        tables = wiring.read_tables(check, data["tables"], partial(check.hashed, folder))
    package = SpeechPackage(
        name=check.plain_name(data["name"], "name"),
        graphs=tuple(_graph(check, folder, entry, phases, wired) for entry in graphs),
        phases=tuple(phases),
        front_end=check.kind(data["front_end"], "front_end"),
        decoding=check.kind(data["decoding"], "decoding"),
        vocabulary=words,
        recipe=check.table(data["recipe"], "recipe"),
        calibration=check.table(data["calibration"], "calibration"),
        source=check.table(data["source"], "source"),
        window_samples=check.integer(
            data["window_samples"], "window_samples", 1, MAX_WINDOW_SAMPLES
        ),
        state=wiring.read_state(
            check, data["state"], *((1, wiring.MAX_PORTS) if wired else (0, 0))
        ),
        tables=tables,
    )
    for what, parts in (("graphs", package.graphs), ("tables", package.tables)):
        names = [part.name + end for part in parts for end in ("", ".float")]
        check.that(len(set(names)) == len(names), f"the names of two {what} collide")
    if "blank" in package.decoding:
        check.integer(package.decoding["blank"], "decoding.blank", 0, len(words) - 1)
    separator = package.decoding.get("separator", "")
    check.that(
        isinstance(separator, str) and len(separator) <= 8,
        f"decoding.separator is {separator!r:.40}, at most 8 characters are allowed",
    )
    if wired:
        wires = (package.state, package.tables)
        wiring.check_wires(check, package.graphs, package.phases, *wires)
        wiring.check_greedy(check, package.decoding, words, *wires)
    return package


_TOP_KEYS = (
    "schema name graphs phases state front_end decoding vocabulary recipe calibration source"
    " window_samples"
).split()
_GRAPH_KEYS = "name phase file sha256 float_file float_sha256".split()
_PORTS = ("inputs", "outputs")


def _graph(
    check: _Checker, folder: Path, entry: Mapping[str, Any], phases: list[str], wired: bool
) -> PackagedGraph:
    check.keys(entry, _GRAPH_KEYS + [*_PORTS] * wired, "an entry of graphs")
    name = check.plain_name(entry["name"], "a graph's name")
    phase = entry["phase"]
    check.that(phase in phases, f"graph {name} has the phase {phase!r:.40}, not one of phases")
    float_data = None
    if entry["float_file"] is not None:
        float_data = check.hashed(
            folder, entry["float_file"], entry["float_sha256"], MAX_MODEL_BYTES
        )
    data = check.hashed(folder, entry["file"], entry["sha256"], MAX_MODEL_BYTES)
    if not wired:
        return PackagedGraph(name, phase, data, float_data)
    ports = (wiring.read_ports(check, entry[key], f"{key} of {name}") for key in _PORTS)
    return PackagedGraph(name, phase, data, float_data, *ports)


class _Checker:
    """Raises UserError in the name of one package.json."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def that(self, holds: bool, problem: str) -> None:
        if not holds:
            raise UserError(f"{self.path}: {problem}; make the package again.")

    def keys(self, value: Any, wanted: list[str], what: str) -> None:
        self.that(isinstance(value, dict), f"{what} is not a table")
        lacking = [key for key in wanted if key not in value]
        unknown = [f"{key!r:.40}" for key in value if key not in wanted]
        self.that(not lacking, f"{what} lacks {', '.join(lacking)}")
        self.that(not unknown, f"{what} has the unknown keys {', '.join(unknown[:5])}")

    def table(self, value: Any, what: str) -> dict[str, Any]:
        self.that(isinstance(value, dict), f"{what} is not a table")
        return dict(value)

    def kind(self, value: Any, what: str) -> dict[str, Any]:
        table = self.table(value, what)
        self.plain_name(table.get("kind"), f"{what}.kind")
        return table

    def list_of(self, value: Any, what: str, least: int, most: int) -> list[Any]:
        self.that(isinstance(value, list), f"{what} is not a list")
        self.that(
            least <= len(value) <= most,
            f"{what} has {len(value)} entries, {least} to {most} are allowed",
        )
        return list(value)

    def integer(self, value: Any, what: str, least: int, most: int) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        self.that(
            whole and least <= value <= most,
            f"{what} is {value!r:.40}, whole numbers from {least} to {most} are allowed",
        )
        return int(value)

    def plain_name(self, value: Any, what: str) -> str:
        self.that(
            isinstance(value, str) and PLAIN_NAME.fullmatch(value) is not None,
            f"{what} is {value!r:.40}, a plain name of letters, digits, '.', '_' and '-' is needed",
        )
        return str(value)

    def hashed(self, folder: Path, name: Any, sha256: Any, most: int) -> bytes:
        data = read_bytes(folder / self.plain_name(name, "a file name"), most)
        actual = hashlib.sha256(data).hexdigest()
        self.that(
            actual == sha256,
            f"{name} has sha256 {actual}, recorded is {sha256!r:.80}: it was changed or damaged",
        )
        return data

    def hashed_file(self, folder: Path, entry: Any, what: str, most: int) -> tuple[str, ...]:
        self.keys(entry, ["file", "sha256"], what)
        self.hashed(folder, entry["file"], entry["sha256"], most)
        return check_vocabulary(read_json(folder / entry["file"]), str(folder / entry["file"]))


def check_vocabulary(value: Any, where: str) -> tuple[str, ...]:
    """The words of a vocabulary as JSON holds them; raises UserError naming `where`."""
    rules: tuple[tuple[Callable[[str], bool], str], ...] = (
        (lambda word: isinstance(word, str), "is not a string"),
        (lambda word: len(word) <= 1000, "is longer than 1000 characters"),
        (lambda word: word == word.encode("utf-8", "replace").decode("utf-8"), "is not Unicode"),
    )
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_WORDS:
        raise UserError(f"{where}: the vocabulary must be a list of 1 to {MAX_WORDS} words.")
    for index, word in enumerate(value):
        for holds, problem in rules:
            if not holds(word):
                raise UserError(f"{where}: word {index} of the vocabulary {problem}; correct it.")
    return tuple(value)
