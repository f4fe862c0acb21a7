# SPDX-License-Identifier: Apache-2.0
"""A chip or board with its memories, read from one TOML of targets/, and the board emulating it."""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from codegen.data import data_folder
from codegen.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MEMORY_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
REGION_KINDS = ("tcm", "sram", "psram", "flash", "mram")
READ_ONLY_KINDS = ("flash", "mram")
#: What `Region.holds` may list, with what it is.
HOLDS = {
    "arena": "activations and scratch",
    "state": "KV cache, cross keys and values, and what else outlives a graph",
    "weights": "const arrays, which start-up copies from the constants' region where it is RAM",
    "copies": "const arrays for as long as a step needs them, copied in front of it",
}
#: STAPES_MAX_ARENAS of firmware/include/stapes/stapes.h.
MAX_ARENAS = 4
#: Bytes a cycle read and written where a target says nothing: an order of memories, of no chip.
BYTES_PER_CYCLE = {"tcm": 8.0, "sram": 4.0, "mram": 2.0, "psram": 1.0, "flash": 0.5}
FEATURES = ("dsp", "fpu", "mve")
_TYPE_NAMES = {
    "str": "a string",
    "int | None": "an integer",
    "int": "an integer",
    "bool": "true or false",
    "tuple[str, ...]": "a list of strings",
    "float | None": "a number",
    "str | None": "a string",
}


@dataclass(frozen=True)
class Region:
    """One memory; `kind` is "tcm", "sram", "psram", "flash" or "mram".

    `holds` lists what of HOLDS may lie there beside what the target's own keys put there;
    `reserve_bytes` are for what no plan knows, such as code. `section` is its name in linker
    sections.
    """

    name: str
    kind: str
    base: int
    size_bytes: int
    source: str
    bytes_per_cycle: float | None = None
    write_bytes_per_cycle: float | None = None
    alignment_bytes: int = 16
    reserve_bytes: int = 0
    section: str = ""
    holds: tuple[str, ...] = ()

    @property
    def writable(self) -> bool:
        """Whether a program can write to it."""
        return self.kind not in READ_ONLY_KINDS

    @property
    def available_bytes(self) -> int:
        """Its size without the reserve."""
        return self.size_bytes - self.reserve_bytes

    @property
    def section_name(self) -> str:
        """What its linker sections end with."""
        return self.section or self.name

    def cycles(self, read_bytes: int, written_bytes: int) -> float:
        """What reading and writing so many bytes takes."""
        read = self.bytes_per_cycle or BYTES_PER_CYCLE[self.kind]
        return read_bytes / read + written_bytes / (self.write_bytes_per_cycle or read)


@dataclass(frozen=True)
class Target:
    """A chip or board; `code`, `constants`, `arena`, `stack` name the regions that hold them.

    `weights` names that of a file of weights, which is the constants' where it is left out.
    `speech_stack_bytes` is the stack of firmware with a speech model, where it needs more.
    """

    name: str
    title: str
    cpu: str
    features: tuple[str, ...]
    clock_hz: int
    board: str
    stack_bytes: int
    regions: tuple[Region, ...]
    code: str
    constants: str
    arena: str
    stack: str
    source: str
    npu: str | None = None
    weights: str | None = None
    speech_stack_bytes: int | None = None

    def with_speech(self) -> Target:
        """The target of firmware with a speech model."""
        return replace(self, stack_bytes=self.speech_stack_bytes or self.stack_bytes)

    @property
    def weights_region(self) -> str:
        """The region of a file of weights."""
        return self.constants if self.weights is None else self.weights

    def region(self, name: str) -> Region:
        """The region called `name`."""
        return next(region for region in self.regions if region.name == name)

    def holding(self, what: str) -> tuple[Region, ...]:
        """The regions that may hold this of HOLDS, first that of the target's own key, if any."""
        keys = {"arena": self.arena, "state": self.arena, "weights": self.constants}
        own = [region for region in self.regions if region.name == keys.get(what)]
        return (*own, *(r for r in self.regions if what in r.holds and r not in own))


@dataclass(frozen=True)
class Window:
    """A span of the board's memory; code runs only where `executable`."""

    name: str
    base: int
    size_bytes: int
    executable: bool


@dataclass(frozen=True)
class Board:
    """What runs the firmware: a QEMU machine, or this computer where `machine` is empty.

    `windows[0]` starts at the address of the vector table.
    """

    name: str
    title: str
    cpu: str
    features: tuple[str, ...]
    machine: str
    gcc_flags: tuple[str, ...]
    zig_flags: tuple[str, ...]
    systick_hz: int
    source: str
    windows: tuple[Window, ...] = ()


def target_names() -> tuple[str, ...]:
    """The names of all targets, sorted."""
    return tuple(sorted(path.stem for path in data_folder("targets").glob("*.toml")))


def board_names() -> tuple[str, ...]:
    """The names of all boards, sorted."""
    return tuple(sorted(path.stem for path in data_folder("firmware").glob("boards/*.toml")))


def load_target(name: str) -> Target:
    """The target called `name`; raises UserError with the nearest names if there is none such."""
    names = target_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}."
        raise UserError(f"target '{name}' is unknown; {hint} `stapes targets` lists them all.")
    return read_target(data_folder("targets") / f"{name}.toml")


def load_board(name: str) -> Board:
    """The board called `name`; raises UserError if there is none such."""
    names = board_names()
    if name not in names:
        raise UserError(f"board '{name}' is unknown; known: {', '.join(names)}.")
    return read_board(data_folder("firmware") / "boards" / f"{name}.toml")


def read_target(path: Path) -> Target:
    """The target of one TOML; raises UserError naming the file and the key at fault."""
    where = f"target {path.name}"
    table = _parse(path, where)
    regions = tuple(
        _record(Region, {"name": name, **entry}, f"{where}, region '{name}'")
        for name, entry in _tables(table, "regions", where)
    )
    target: Target = _record(Target, {**table, "name": path.stem, "regions": regions}, where)
    _check_features(target.features, where)
    if not _NAME.fullmatch(target.name):
        raise UserError(f"{where}: a target's name has letters, digits, '.', '_' and '-' only.")
    for region in regions:
        if not _MEMORY_NAME.fullmatch(region.name):
            raise UserError(
                f"{where}, region '{region.name}': a region's name is a lower-case letter, then "
                "lower-case letters, digits and underscores, 32 at most."
            )
        if region.kind not in REGION_KINDS:
            raise UserError(
                f"{where}, region '{region.name}': kind is '{region.kind}'; "
                f"allowed: {', '.join(REGION_KINDS)}."
            )
    _check_spans([(r.name, r.base, r.size_bytes) for r in regions], where)
    roles = (
        "code",
        "constants",
        "arena",
        "stack",
        *(["weights"] if target.weights is not None else []),
    )
    for role in roles:
        if getattr(target, role) not in [region.name for region in regions]:
            raise UserError(
                f"{where}: {role} = '{getattr(target, role)}' names no region; "
                f"regions: {', '.join(region.name for region in regions)}."
            )
    for role in ("arena", "stack"):
        if not target.region(getattr(target, role)).writable:
            raise UserError(f"{where}: {role} = '{getattr(target, role)}' cannot be written to.")
    for name, entry in _tables(table, "regions", where):
        if "holds" in entry and not entry["holds"]:
            raise UserError(
                f"{where}, region '{name}': holds = [] lets nothing use it; list some of "
                f"{', '.join(HOLDS)}, or leave the key out."
            )
    check_regions(target, where)
    if target.board not in board_names():
        raise UserError(
            f"{where}: board '{target.board}' is unknown; known: {', '.join(board_names())}."
        )
    for key in ("clock_hz", "stack_bytes", "speech_stack_bytes"):
        value, step = getattr(target, key), 1 if key == "clock_hz" else 8
        if value is not None and (value <= 0 or value % step):
            raise UserError(
                f"{where}: {key} is {value}; it must be positive, a multiple of {step}."
            )
    return target


def check_regions(target: Target, where: str) -> None:
    """Raise UserError where regions cannot hold what they are to, or can hold nothing."""
    roles = {target.code, target.constants, target.arena, target.stack, target.weights_region}
    shared = any(region.holds for region in target.regions)
    for region in target.regions:
        idle = shared and region.name not in roles
        problem = next(_region_problems(region, target, idle), None)
        if problem is not None:
            raise UserError(f"{where}, region '{region.name}': {problem}")
    arenas = {region for what in ("arena", "state", "copies") for region in target.holding(what)}
    if len(arenas) > MAX_ARENAS:
        raise UserError(
            f"{where}: {len(arenas)} regions may hold arena, state or copies, the runtime has at "
            f"most {MAX_ARENAS} arenas; take these from the `holds` of some."
        )
    sections = [region.section_name for region in target.regions]
    for name in sections:
        if sections.count(name) > 1:
            raise UserError(f"{where}: two regions have the section '{name}'; give each its own.")


def _region_problems(region: Region, target: Target, must_hold: bool) -> Iterator[str]:
    for what in region.holds:
        if what not in HOLDS:
            yield f"holds '{what}'; allowed: {', '.join(HOLDS)}."
        if what != "weights" and not region.writable:
            yield f"holds '{what}', but {region.kind} cannot be written to; allowed: weights."
    if must_hold and not region.holds:
        yield (
            "nothing may use it, though other regions say what they hold; give it holds = "
            f"{[*HOLDS]} or some of them, or leave the region out."
        )
    align = region.alignment_bytes
    if align < 16 or align & (align - 1) or align > region.size_bytes:
        yield (
            f"alignment_bytes is {align}; it must be a power of two from 16 to the region's size."
        )
    if region.base % align and (region.holds or align > 16):
        yield (
            f"base {region.base:#x} is no multiple of its alignment_bytes, {align}; move the base, "
            "or take a smaller alignment."
        )
    for key in ("bytes_per_cycle", "write_bytes_per_cycle"):
        speed = getattr(region, key)
        if speed is not None and not 0.001 <= speed <= 1024:
            yield f"{key} is {speed:g}; it must be from 0.001 to 1024."
    if region.reserve_bytes >= region.size_bytes:
        yield f"reserve_bytes is {region.reserve_bytes}; it must be below {region.size_bytes}."
    if region.holds and region.name == target.code and not region.reserve_bytes:
        yield "holds more than code, whose size no plan knows; give it reserve_bytes for the code."
    if not _MEMORY_NAME.fullmatch(region.section_name):
        yield (
            f"section is '{region.section[:40]}'; it must be a lower-case letter, then lower-case "
            "letters, digits and underscores, 32 at most."
        )


def read_board(path: Path) -> Board:
    """The board of one TOML; raises UserError naming the file and the key at fault."""
    where = f"board {path.name}"
    table = _parse(path, where)
    windows = tuple(
        _record(Window, {"name": name, **entry}, f"{where}, window '{name}'")
        for name, entry in _tables(table, "windows", where)
    )
    board: Board = _record(Board, {**table, "name": path.stem, "windows": windows}, where)
    _check_features(board.features, where)
    _check_spans([(w.name, w.base, w.size_bytes) for w in windows], where)
    return board


def _parse(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{where} cannot be read: {error}") from error


def _tables(table: dict[str, Any], key: str, where: str) -> list[tuple[str, dict[str, Any]]]:
    entries = table.get(key, {})
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise UserError(f"{where}: {key} must be tables, as in [{key}.sram].")
    return list(entries.items())


def _record(kind: type, table: dict[str, Any], where: str) -> Any:
    """`table` as the dataclass `kind`, with every key and type checked."""
    known = {f.name: f for f in fields(kind)}
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"allowed: {', '.join(known)}."
            raise UserError(f"{where}: unknown key '{key}'; {hint}")
    for key, entry in known.items():
        if key not in table and entry.default is MISSING:
            raise UserError(f"{where}: key '{key}' is missing; it is {_wanted(str(entry.type))}.")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    for key, value in values.items():
        if not _is_a(value, str(known[key].type)):
            raise UserError(
                f"{where}: {key} is {value!r:.60}; it must be {_wanted(str(known[key].type))}."
            )
    return kind(**values)


def _wanted(annotation: str) -> str:
    return _TYPE_NAMES.get(annotation, "a table")


def _is_a(value: object, annotation: str) -> bool:
    if annotation in ("int", "int | None"):
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
    if annotation == "bool":
        return isinstance(value, bool)
    if annotation == "float | None":
        return isinstance(value, (int, float)) and value > 0
    if annotation.startswith("str"):
        return isinstance(value, str)
    if annotation == "tuple[str, ...]":
        return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    return isinstance(value, tuple)


def _check_features(features: tuple[str, ...], where: str) -> None:
    for feature in features:
        if feature not in FEATURES:
            raise UserError(
                f"{where}: feature '{feature}' is unknown; allowed: {', '.join(FEATURES)}."
            )


def _check_spans(spans: list[tuple[str, int, int]], where: str) -> None:
    """No span is empty, leaves the 32-bit address space, or overlaps another."""
    for name, base, size_bytes in spans:
        if size_bytes == 0 or base + size_bytes > 2**32:
            raise UserError(
                f"{where}, '{name}': size_bytes is {size_bytes} at {base:#x}; it must be positive "
                "and end within 32 bits of address."
            )
    ordered = sorted(spans, key=lambda span: span[1])
    for (name, base, size_bytes), (other, other_base, _) in itertools.pairwise(ordered):
        if base + size_bytes > other_base:
            raise UserError(
                f"{where}: '{name}' ends at {base + size_bytes:#x}, inside '{other}', which "
                f"starts at {other_base:#x}."
            )
