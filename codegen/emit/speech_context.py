# SPDX-License-Identifier: Apache-2.0
"""A speech model's input and decoder as the plain values that templates print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.emit.speech import HISTORY, CtcDecoder, RowTable, SpeechInputs
from codegen.emit.values import Data, Slot
from codegen.errors import StapesError
from codegen.program import Program, same


@dataclass(frozen=True, eq=False)
class Places:
    """Where one program's inputs, outputs and named buffers lie."""

    inputs: Sequence[Slot]
    outputs: Sequence[Slot]
    named: Callable[[str], Slot]


@dataclass(frozen=True, eq=False)
class TableContext:
    """A stapes_row_table: its array, that of its scales, bytes a row, and where a row goes."""

    data: Data
    scales: Data | None
    row_bytes: int
    by_token: int
    target: Slot
    row_values: int = 0
    value_bytes: int = 0
    bits: int = 0
    block_size: int = 0
    shift: int = 0
    zero_point: int = 0


@dataclass(frozen=True)
class StateContext:
    """A stapes_row_state."""

    buffer: Slot
    rows: Slot
    blocks: int
    entries: int
    row_bytes: int
    zero: int


@dataclass(frozen=True, eq=False)
class SpeechContext:
    """What the templates of a speech model print, beside `inputs` itself.

    `arrays` stand in its own file, `data` with the weights, where `tables` also have arrays of the
    programs. What the input or the decoder at hand has no use for is empty.
    """

    inputs: SpeechInputs
    input_template: str
    decoder_template: str
    headers: tuple[str, ...]
    values: Slot
    arrays: tuple[tuple[str, Data], ...]
    input_slots: tuple[tuple[str, Slot], ...]
    decoder_slots: tuple[tuple[str, Slot], ...] = ()
    data: tuple[Data, ...] = ()
    separator_bytes: int = 0
    lists: tuple[tuple[str, Data | None], ...] = ()
    tables: tuple[TableContext, ...] = ()
    states: tuple[StateContext, ...] = ()


def speech_context(
    speech: SpeechInputs,
    name: str,
    programs: Sequence[Program],
    places: Sequence[Places],
    weights: Sequence[Data] = (),
) -> SpeechContext:
    """The values of one speech model; `name` prefixes the symbols that other files see.

    `weights` are the arrays of the programs: a table of the same values is that array.
    """
    first = places[0]
    front_end = speech.input
    tables = front_end.tables.items()
    arrays = tuple((key, Data.of(f"front_end_{key}", table)) for key, table in tables)
    slots = tuple((each, first.named(each)) for each in front_end.buffers)
    common = (
        speech,
        f"input_{front_end.kind}.j2",
        f"decoder_{speech.decoder.symbol.removeprefix('stapes_')}.j2",
        (front_end.header, speech.decoder.header),
        first.inputs[0],
    )
    if isinstance(speech.decoder, CtcDecoder):
        lists, separator_bytes = _ctc(speech.decoder)
        return SpeechContext(*common, arrays, slots, separator_bytes=separator_bytes, lists=lists)
    decoder, last = speech.decoder, places[-1]
    if not programs[-1].repeats:
        raise StapesError(f"program '{programs[-1].name:.60}' decodes but does not repeat.")
    row_tables = tuple(
        _row_table(f"{name}_table_{table.name}", table, last.inputs[table.input], weights)
        for table in decoder.tables
    )
    ends = np.cumsum([len(word) for word in decoder.words]).astype(np.uint32)
    text = np.frombuffer(b"".join(decoder.words) or b"\0", np.uint8)
    words = (Data.of(f"{name}_token_bytes", text), Data.of(f"{name}_token_ends", ends))
    return SpeechContext(
        *common,
        arrays,
        slots,
        (
            ("mask", last.inputs[decoder.mask]),
            ("logits", last.outputs[decoder.logits]),
            ("history", last.named(HISTORY)),
        ),
        data=(
            *(
                data
                for table in row_tables
                for data in (table.data, table.scales)
                if data is not None and data not in weights
            ),
            *words,
        ),
        lists=tuple(
            (key, _tokens(key, decoder.rule[key]))
            for key in ("start", "suppress", "begin_suppress")
        ),
        tables=row_tables,
        states=tuple(
            StateContext(
                last.inputs[state.input],
                last.outputs[state.output],
                state.blocks,
                state.entries,
                state.row_bytes,
                state.zero,
            )
            for state in decoder.states
        ),
    )


def _row_table(symbol: str, table: RowTable, target: Slot, weights: Sequence[Data]) -> TableContext:
    row_bytes = table.values.shape[1] * table.values.itemsize
    data, scales = _stored(symbol, table.values, weights), table.scales
    plain = TableContext(data, None, row_bytes, int(table.by_token), target)
    if scales is None:
        return plain
    return replace(
        plain,
        scales=_stored(f"{symbol}_scales", scales.factors, weights),
        row_values=table.width,
        value_bytes=scales.value_bytes,
        bits=table.bits,
        block_size=scales.block_size,
        shift=scales.shift,
        zero_point=scales.zero_point,
    )


def _stored(symbol: str, values: np.ndarray, weights: Sequence[Data]) -> Data:
    """The array among the weights that has these values, else a new one."""
    data = Data.of(symbol, values.reshape(-1))
    return next((each for each in weights if same(each.values, data.values)), data)


def _tokens(key: str, tokens: Sequence[int]) -> Data | None:
    return Data.of(f"{key}_tokens", np.array(tokens, np.int32)) if tokens else None


def _ctc(decoder: CtcDecoder) -> tuple[tuple[tuple[str, Data | None], ...], int]:
    """Where each class's text ends; StapesError where it exceeds 64 KiB."""
    ends = np.cumsum([len(word.encode()) for word in decoder.words])
    if ends[-1] > np.iinfo(np.uint16).max:
        raise StapesError(f"the vocabulary has {ends[-1]} bytes of text; 65535 are supported.")
    word_ends = Data.of("word_ends", ends.astype(np.uint16))
    return (("word_ends", word_ends),), len(decoder.separator.encode())
