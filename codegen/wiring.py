# SPDX-License-Identifier: Apache-2.0
"""What a package of several graphs adds, written as schema 2 of package.json.

    graphs      each entry has "inputs" and "outputs" too: a name for each, in the file's order
    state       [{"name", "shape", "axis", "rows_from"}]
    tables      [{"name", "by", "file", "sha256", "float_file", "float_sha256", "dtype", "shape"}],
                and "scales_file", "scales_sha256" where each row has a scale of its own, with
                "block_size" too where so many values of a row have
    front_end   {"kind": "raw_pcm", "sample_rate_hz", "row_samples", "multiplier", "offset",
                "shift"} or {"kind": "whisper_mel", "bands", "multiplier", "offset", "shift"}: see
                the file of that name in frontend/
    decoding    {"kind": "greedy", ...}: see `GREEDY_KEYS` below and evaluate/greedy.py

Graphs run in the order of phases. The first takes the front end's rows; the last is the decoder's
step, which runs once a token, and whose output "logits" has a value a word of the vocabulary. The
others run once a recording. An input is the earlier graph's output of the same name, byte for
byte: both have one type, shape, scale and zero point. So do a state buffer and the decoder's output
`rows_from`, which has length 1 along `axis`: entry n of the buffer is the output of step n. All of
a buffer is set to the zero point when a recording starts. Types are int8, int16 or, in dynamic8,
float32, which has no scale and the zero 0.0.

The decoder's other inputs are "mask", (1, 1, positions + 1), and the tables, whose rows are in the
type, scale and zero point of the input of that name: a table's file holds (entries, width) little-
endian values, row by row, and `by` says whether the token that is fed or the number of the step
chooses the row. Where there is a file of scales, a float32 a row, each positive and below 2^121,
the values are int8, whatever the input's type, and value * scale is what they stand for:
row_scales.py says how that becomes the input's integers or floats. In front of floats, each
`block_size` values of a row, 32, 64, 128 or 256, which divide it, may have a scale of their own:
the file then holds (entries, blocks), float32 whose lower halves are 0. An int8 is a byte here,
whatever values there are; in flash they take the least bits that hold them all, as weights do
(docs/packing.md). A float file holds the same table in float32, for the float graphs; a float32
table needs none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from codegen.graph import Tensor
from codegen.row_scales import row_scales

WIRED_SCHEMA = 2
MASK, LOGITS = "mask", "logits"
MAX_PORTS = 512
MAX_STATE_VALUES = 1 << 28
MAX_TABLE_BYTES = 1 << 30
MAX_DIMENSIONS = 6
_TABLE_TYPES = ("int8", "int16", "float32")
_BLOCK_SIZES = (32, 64, 128, 256)

#: The keys of a greedy decoding rule -> least and most of those that are whole numbers.
#:
#: masked, attended   the mask's integers for rows that are not there, and for those that are; both
#:                    0 where the mask is float32
#: float_masked       `masked` for a float mask, whose `attended` is 0.0
#: tokens_per_10_s    a recording's length bounds its steps: see evaluate/greedy.py
#: least_tokens       the least such bound
#: repeat_tokens      the repetition guard: the least passage that may not be said twice
#: silence            mean square of PCM under which the text is empty
GREEDY_KEYS: Mapping[str, tuple[int, int] | None] = {
    "kind": None,
    "start": None,
    "end": None,
    "suppress": None,
    "begin_suppress": None,
    "most_tokens": (1, 1 << 16),
    "masked": (-(1 << 15), (1 << 15) - 1),
    "attended": (-(1 << 15), (1 << 15) - 1),
    "float_masked": None,
    "tokens_per_10_s": (1, 100_000),
    "least_tokens": (1, 1 << 16),
    "repeat_tokens": (2, 1 << 16),
    "silence": (0, 1 << 30),
    "vocabulary": None,
}


@dataclass(frozen=True)
class StateBuffer:
    """What outlives a step: entry n along `axis` is the output `rows_from` of step n."""

    name: str
    shape: tuple[int, ...]
    axis: int
    rows_from: str

    def to_dict(self) -> dict[str, Any]:
        """The buffer as it stands in package.json."""
        shape = list(self.shape)
        return {"name": self.name, "shape": shape, "axis": self.axis, "rows_from": self.rows_from}


@dataclass(frozen=True, eq=False)
class Table:
    """Rows for a decoder's input: `floats` are what its `values` and `scales` were made of.

    Scales are float32 (entries,), or (entries, blocks).
    """

    name: str
    by: str
    values: np.ndarray
    floats: np.ndarray | None = None
    scales: np.ndarray | None = None

    def rows(self, tensor: Tensor) -> np.ndarray:
        """What the decoder takes as its input `tensor`, as the C computes it."""
        if self.scales is None:
            return self.values
        return row_scales(self.scales, tensor).rows(self.values)

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        kind = self.values.dtype.newbyteorder("<")
        return np.ascontiguousarray(self.values, kind).tobytes()

    def entry(self, files: dict[str, bytes]) -> dict[str, Any]:
        """The table as it stands in package.json; adds its files to `files`."""
        entry: dict[str, Any] = {"name": self.name, "by": self.by}
        stored = [("", ".bin", self.data), ("float_", ".float.bin", _float_data(self.floats))]
        if self.scales is not None:
            stored.append(("scales_", ".scales.bin", _float_data(self.scales)))
            if self.scales.ndim == 2:
                entry["block_size"] = self.values.shape[1] // self.scales.shape[1]
        for key, end, data in stored:
            entry[f"{key}file"] = entry[f"{key}sha256"] = None
            if data is not None:
                entry[f"{key}file"] = self.name + end
                entry[f"{key}sha256"] = hashlib.sha256(data).hexdigest()
                files[self.name + end] = data
        return entry | {"dtype": self.values.dtype.name, "shape": list(self.values.shape)}


def _float_data(floats: np.ndarray | None) -> bytes | None:
    return None if floats is None else np.ascontiguousarray(floats, "<f4").tobytes()


class Ports(Protocol):
    """A graph's name and the names of what goes in and out."""

    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...


class Checker(Protocol):
    """Raises UserError in the name of one package.json."""

    def that(self, holds: bool, problem: str) -> None: ...
    def keys(self, value: Any, wanted: list[str], what: str) -> None: ...
    def list_of(self, value: Any, what: str, least: int, most: int) -> list[Any]: ...
    def integer(self, value: Any, what: str, least: int, most: int) -> int: ...
    def plain_name(self, value: Any, what: str) -> str: ...


#: Reads a file of a name and a sha256, of at most so many bytes.
ReadFile = Callable[[Any, Any, int], bytes]


def read_ports(check: Checker, value: Any, what: str) -> tuple[str, ...]:
    """The names of a graph's inputs or outputs."""
    names = check.list_of(value, what, 1, MAX_PORTS)
    for name in names:
        check.plain_name(name, what)
    check.that(len(set(names)) == len(names), f"{what} has a name twice")
    return tuple(names)


def read_state(check: Checker, value: Any, least: int, most: int) -> tuple[StateBuffer, ...]:
    """The state buffers, so many as allowed, each of bounded size."""
    buffers = []
    for entry in check.list_of(value, "state", least, most):
        check.keys(entry, ["name", "shape", "axis", "rows_from"], "an entry of state")
        name = check.plain_name(entry["name"], "a state buffer's name")
        shape = _shape(check, entry["shape"], f"shape of state {name}", MAX_STATE_VALUES)
        axis = check.integer(entry["axis"], f"axis of state {name}", 0, len(shape) - 1)
        rows_from = check.plain_name(entry["rows_from"], f"rows_from of state {name}")
        buffers.append(StateBuffer(name, shape, axis, rows_from))
    return tuple(buffers)


def read_tables(check: Checker, value: Any, read_file: ReadFile) -> tuple[Table, ...]:
    """The tables and their files' values."""
    keys = "name by file sha256 float_file float_sha256 dtype shape".split()
    tables = []
    for entry in check.list_of(value, "tables", 1, MAX_PORTS):
        scaled = isinstance(entry, dict) and "scales_file" in entry
        blocks = scaled and "block_size" in entry
        wanted = keys + _SCALES_KEYS * scaled + ["block_size"] * blocks
        check.keys(entry, wanted, "an entry of tables")
        name = check.plain_name(entry["name"], "a table's name")
        by, dtype = entry["by"], entry["dtype"]
        check.that(by in ("token", "position"), f"table {name} is by {by!r:.40}")
        check.that(dtype in _TABLE_TYPES, f"table {name} has the dtype {dtype!r:.40}")
        shape = _shape(check, entry["shape"], f"shape of table {name}", MAX_TABLE_BYTES // 4)
        check.that(len(shape) == 2, f"table {name} has {len(shape)} dimensions, 2 are needed")
        data = read_file(entry["file"], entry["sha256"], MAX_TABLE_BYTES)
        values = _array(check, name, data, dtype, shape)
        check.that(bool(np.isfinite(values).all()), f"table {name} is not finite")
        floats = scales = None
        if entry["float_file"] is not None:
            data = read_file(entry["float_file"], entry["float_sha256"], MAX_TABLE_BYTES)
            floats = _array(check, name, data, "float32", shape)
            check.that(bool(np.isfinite(floats).all()), f"table {name} is not finite")
        if scaled:
            check.that(dtype == "int8", f"table {name} has scales, which int8 alone may have")
            data = read_file(entry["scales_file"], entry["scales_sha256"], MAX_TABLE_BYTES)
            each = _blocks(check, name, entry["block_size"], shape) if blocks else shape[:1]
            scales = _array(check, name, data, "float32", each)
            usable = bool(((scales > 0) & (scales < _SCALES_BELOW)).all())
            check.that(usable, f"table {name} has a scale that is not positive and below 2^121")
            halves = not blocks or not (scales.view(np.uint32) & 0xFFFF).any()
            check.that(halves, f"table {name} has a scale of a block that is no bfloat16")
        tables.append(Table(name, by, values, floats, scales))
    return tuple(tables)


_SCALES_BELOW = np.float32(2**121)  # so that 127 times a scale, and -128 times it, are finite
_SCALES_KEYS = ["scales_file", "scales_sha256"]


def _blocks(check: Checker, name: str, size: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the scales of blocks of so many values of rows of `shape`."""
    known = type(size) is int and size in _BLOCK_SIZES
    allowed = ", ".join(map(str, _BLOCK_SIZES))
    check.that(known, f"table {name} has blocks of {size!r:.40} values, supported are {allowed}")
    problem = f"table {name} has rows of {shape[1]} values, which blocks of {size} do not divide"
    check.that(shape[1] % size == 0, problem)
    return shape[0], shape[1] // size


def _shape(check: Checker, value: Any, what: str, most: int) -> tuple[int, ...]:
    lengths = check.list_of(value, what, 1, MAX_DIMENSIONS)
    shape = tuple(check.integer(length, what, 1, most) for length in lengths)
    check.that(math.prod(shape) <= most, f"{what} is {lengths}, at most {most} values are allowed")
    return shape


def _array(
    check: Checker, name: str, data: bytes, dtype: str, shape: tuple[int, ...]
) -> np.ndarray:
    kind = np.dtype(dtype).newbyteorder("<")
    wanted = math.prod(shape) * kind.itemsize
    problem = f"table {name}'s file has {len(data)} bytes, {list(shape)} of {dtype} take {wanted}"
    check.that(len(data) == wanted, problem)
    return np.frombuffer(data, kind).reshape(shape).astype(dtype, copy=False)


def check_wires(
    check: Checker,
    graphs: tuple[Ports, ...],
    phases: tuple[str, ...],
    state: tuple[StateBuffer, ...],
    tables: tuple[Table, ...],
) -> None:
    """Every input has one source, every phase one graph, in order; every buffer its rows."""
    check.that(len(graphs) >= 2, "a package with tables has 1 graph, at least 2 are needed")
    check.that(tuple(g.phase for g in graphs) == phases, "graphs and phases are not in one order")
    first, step = graphs[0], graphs[-1]
    check.that(len(first.inputs) == 1, f"graph {first.name} must have one input, the front end's")
    sources = [MASK, *(s.name for s in state), *(t.name for t in tables)]
    made = [name for graph in graphs for name in graph.outputs]
    everything = [*sources, *made, *first.inputs]
    twice = sorted({name for name in everything if everything.count(name) > 1})
    check.that(not twice, f"{', '.join(twice[:3])} comes from two places")
    known = set(graphs[0].outputs)
    for graph in graphs[1:]:
        allowed = known | set(sources) if graph is step else known
        lost = [name for name in graph.inputs if name not in allowed]
        check.that(not lost, f"nothing gives {graph.name}'s input {', '.join(lost[:3])}")
        known |= set(graph.outputs)
    unread = [name for name in sources if name not in step.inputs]
    check.that(not unread, f"{step.name} has no input {', '.join(unread[:3])}")
    check.that(LOGITS in step.outputs, f"{step.name} has no output {LOGITS}")
    for buffer in state:
        check.that(
            buffer.rows_from in step.outputs,
            f"state {buffer.name} has rows from {buffer.rows_from}, no output of {step.name}",
        )


def check_greedy(
    check: Checker,
    rule: Mapping[str, Any],
    words: tuple[str, ...],
    state: tuple[StateBuffer, ...],
    tables: tuple[Table, ...],
) -> None:
    """The decoding rule has every key, in range, and the tables have a row for each choice."""
    check.keys(rule, list(GREEDY_KEYS), "decoding")
    check.that(rule["kind"] == "greedy", "decoding.kind must be greedy where there are tables")
    for key, bounds in GREEDY_KEYS.items():
        if bounds is not None:
            check.integer(rule[key], f"decoding.{key}", *bounds)
    most, last = rule["most_tokens"], len(words) - 1
    check.integer(rule["end"], "decoding.end", 0, last)
    for key, least, longest in (
        ("start", 1, most - 1),
        ("suppress", 0, last),
        ("begin_suppress", 0, last),
    ):
        for token in check.list_of(rule[key], f"decoding.{key}", least, longest):
            check.integer(token, f"decoding.{key}", 0, last)
    forbidden = {*rule["suppress"], *rule["begin_suppress"]}
    check.that(len(forbidden) < len(words), "decoding suppresses every token")
    masked = rule["float_masked"]
    check.that(
        type(masked) is float and -1e4 <= masked < 0,
        f"decoding.float_masked is {masked!r:.40}, -10000.0 to below 0 is allowed",
    )
    check.that(
        rule["masked"] < rule["attended"] or rule["masked"] == rule["attended"] == 0,
        "decoding.masked must be smaller than decoding.attended",
    )
    check.that(
        rule["vocabulary"] == "latin-1",
        f"decoding.vocabulary is {rule['vocabulary']!r:.40}, supported is latin-1",
    )
    check.that(all(ord(c) < 256 for w in words for c in w), "the vocabulary is not latin-1")
    for buffer in state:
        length = buffer.shape[buffer.axis]
        check.that(length >= most, f"state {buffer.name} has {length} rows, {most} are needed")
    for table in tables:
        entries = len(table.values)
        wanted = len(words) if table.by == "token" else most
        right = entries == wanted if table.by == "token" else entries >= wanted
        check.that(right, f"table {table.name} has {entries} rows, {wanted} are needed")
