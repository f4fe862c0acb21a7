# SPDX-License-Identifier: Apache-2.0
"""What the linker put where: an ELF's sections and symbols as a footprint."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen.errors import UserError
from codegen.memory_plan import UNATTRIBUTED, Footprint, FootprintRow
from codegen.package import MAX_GRAPHS

#: The region's name of addresses in none of the regions.
NOWHERE = "[no region]"

_MAX_SECTIONS = 4096
_MAX_SYMBOLS = 1_000_000
_WRITABLE, _ALLOCATED, _CODE = 0x1, 0x2, 0x4  # SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR

#: RAM that is the caller's, not the model's.
CALLERS_PCM = "caller's PCM"

#: Whole sections that are one component here, by the start of their names.
WHOLE_SECTIONS = {
    ".stapes_weights": "weights",
    ".stapes_arena": "arena",
    ".stack": "stack",
    ".vectors": "vector table",
}
#: Components of other symbols by the start of their names; the first match counts.
_PREFIXES = {
    "stapes_": "kernels and runtime",
    "board_": "board",
    "semihosting_": "board",
    "pcm_block": CALLERS_PCM,
}


def model_prefixes(model: str) -> dict[str, str]:
    """Components of the symbols that a generated model called `model` defines."""
    return {
        f"{model}_model": "model description",
        f"{model}_speech": "speech description",
        f"{model}_": "weights",
        "step_": "kernel parameters",
        "graph_": "kernel parameters",
        "graphs": "model description",
        "arena_bytes": "model description",
        "weights_file": "model description",
        "run_inputs": "model description",
        "run_outputs": "model description",
        **{f"run_{number}_": "model description" for number in range(MAX_GRAPHS)},
        "run": "model code",
        "speech_": "speech description",
        "words": "vocabulary",
        "word_ends": "vocabulary",
        "text": "transcript",
        "front_end_": "front-end tables",
    }


@dataclass(frozen=True)
class _Symbol:
    name: str
    address: int
    size_bytes: int


@dataclass(frozen=True)
class _Section:
    name: str
    address: int
    load_address: int
    size_bytes: int
    stored: bool
    kind: str


def read_elf(
    data: bytes,
    regions: Sequence[tuple[str, int, int]],
    prefixes: Mapping[str, str] | None = None,
) -> Footprint:
    """The footprint of a linked firmware; rows of a section sum to its size.

    `regions` are (name, base, bytes) as linked: a board's addresses where it stands in for a
    target. `prefixes` (such as `model_prefixes`) come before the runtime's own. Variables
    with first values count twice: where they live and where those are stored. UserError for
    bytes that are no ELF.
    """
    sections, symbols = _parse(data)
    names = {**(prefixes or {}), **_PREFIXES}
    rows: list[FootprintRow] = []
    for section in sections:
        region = _region(section.address, regions)
        for component, size in _components(section, symbols, names).items():
            kind = "caller" if component == CALLERS_PCM else section.kind
            rows.append(FootprintRow(component, section.name, region, size, kind))
        if section.load_address != section.address:
            stored_in = _region(section.load_address, regions)
            rows.append(
                FootprintRow(
                    "initial values", section.name, stored_in, section.size_bytes, "constant"
                )
            )
    return Footprint(tuple(rows), "linked")


def _region(address: int, regions: Sequence[tuple[str, int, int]]) -> str:
    found = (name for name, base, length in regions if base <= address < base + length)
    return next(found, NOWHERE)


def _components(
    section: _Section, symbols: Sequence[_Symbol], prefixes: Mapping[str, str]
) -> dict[str, int]:
    """Bytes by component; a byte counts for the first symbol that covers it."""
    for prefix, whole in WHOLE_SECTIONS.items():
        if section.name.startswith(prefix):
            return {whole: section.size_bytes}
    found: dict[str, int] = {}
    reached, end = section.address, section.address + section.size_bytes
    for symbol in symbols:
        start = max(symbol.address, reached)
        stop = min(symbol.address + symbol.size_bytes, end)
        if section.address <= symbol.address < end and stop > start:
            matches = (c for prefix, c in prefixes.items() if symbol.name.startswith(prefix))
            component = next(matches, "other code and data")
            found[component] = found.get(component, 0) + stop - start
            reached = stop
    rest = section.size_bytes - sum(found.values())
    return {**dict(sorted(found.items())), **({UNATTRIBUTED: rest} if rest else {})}


def _parse(data: bytes) -> tuple[list[_Section], list[_Symbol]]:
    """Allocated sections and sized symbols, by address."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    sections: list[_Section] = []
    symbols: list[_Symbol] = []
    try:
        elf = ELFFile(io.BytesIO(data))
        if elf.num_sections() > _MAX_SECTIONS or elf.num_segments() > _MAX_SECTIONS:
            raise ValueError(f"more than {_MAX_SECTIONS} sections")
        loads = [s.header for s in elf.iter_segments() if s.header.p_type == "PT_LOAD"]
        thumb = elf.header.e_machine == "EM_ARM"
        for section in elf.iter_sections():
            header = section.header
            if header.sh_flags & _ALLOCATED and header.sh_size > 0:
                address, stored = int(header.sh_addr), header.sh_type != "SHT_NOBITS"
                load = next(
                    (
                        s.p_paddr + address - s.p_vaddr
                        for s in loads
                        if stored and s.p_vaddr <= address < s.p_vaddr + s.p_filesz
                    ),
                    address,
                )
                writable, code = header.sh_flags & _WRITABLE, header.sh_flags & _CODE
                copied = load != address
                kind = "ram" if writable or copied else "code" if code else "constant"
                size = int(header.sh_size)
                sections.append(_Section(section.name, address, load, size, stored, kind))
            if isinstance(section, SymbolTableSection):
                if section.num_symbols() > _MAX_SYMBOLS:
                    raise ValueError(f"more than {_MAX_SYMBOLS} symbols")
                for symbol in section.iter_symbols():
                    kind = symbol.entry.st_info.type
                    if kind in ("STT_FUNC", "STT_OBJECT") and symbol.entry.st_size > 0:
                        odd = 1 if thumb and kind == "STT_FUNC" else 0
                        address = int(symbol.entry.st_value) & ~odd
                        symbols.append(_Symbol(symbol.name, address, int(symbol.entry.st_size)))
    except Exception as error:  # the parser lets anything through that hostile bytes provoke
        reason = str(error) or type(error).__name__
        raise UserError(
            f"the file is not an ELF that can be read ({reason[:200]}); give the firmware as the "
            "linker wrote it."
        ) from error
    return sections, sorted(symbols, key=lambda s: (s.address, -s.size_bytes, s.name))
