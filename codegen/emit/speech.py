# SPDX-License-Identifier: Apache-2.0
"""What emit is given of a speech model: how PCM comes in and how text comes out, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codegen.frontend._kinds import RuntimeInput
from codegen.row_scales import RowScales

#: The buffer of a greedy decoder's last program that holds the tokens chosen so far; no wire has
#: such a name.
HISTORY = "[tokens]"


@dataclass(frozen=True)
class CtcDecoder:
    """Best path over the first program's only output; `words` is each class's text."""

    words: tuple[str, ...]
    separator: str
    blank: int
    frames: int
    logit_bytes: int
    symbol: ClassVar[str] = "stapes_ctc"
    header: ClassVar[str] = "stapes/ctc.h"
    sources: ClassVar[tuple[str, ...]] = ("stapes_ctc.c",)
    records: ClassVar[str] = "records_speech"
    step_words: ClassVar[int] = 0

    @property
    def text_bytes(self) -> int:
        """The longest transcript, a word a logit frame, with its NUL."""
        longest = max(len(word.encode()) for word in self.words)
        return self.frames * (longest + len(self.separator.encode())) + 1


@dataclass(frozen=True, eq=False)
class RowTable:
    """Rows (entries, row values) for input `input` of the last program.

    Where there are scales, `values` hold `width` integers of `bits` a row, packed below 8 bits.
    """

    name: str
    values: np.ndarray
    by_token: bool
    input: int
    scales: RowScales | None = None
    width: int = 0
    bits: int = 0

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the C reads."""
        return (self.values,) if self.scales is None else (self.values, self.scales.factors)


@dataclass(frozen=True)
class RowState:
    """Input `input` (blocks, entries, row_bytes) collects output `output` (blocks, row_bytes)."""

    input: int
    output: int
    blocks: int
    entries: int
    row_bytes: int
    zero: int


@dataclass(frozen=True, eq=False)
class GreedyDecoder:
    """A token a run of the last program, which repeats; `rule` is that of wiring.GREEDY_KEYS.

    The program has a buffer HISTORY of an int32 a token, role "shared".
    """

    rule: Mapping[str, Any]
    words: tuple[bytes, ...]
    sample_rate_hz: int
    tables: tuple[RowTable, ...]
    states: tuple[RowState, ...]
    mask: int
    positions: int
    mask_bytes: int
    logits: int
    logit_bytes: int
    symbol: ClassVar[str] = "stapes_greedy"
    header: ClassVar[str] = "stapes/greedy.h"
    sources: ClassVar[tuple[str, ...]] = ("stapes_greedy.c", "stapes_greedy_text.c")
    records: ClassVar[str] = "records_greedy"

    @property
    def text_bytes(self) -> int:
        """The longest transcript, a token a step behind the start, with its NUL."""
        tokens = self.rule["most_tokens"] - len(self.rule["start"]) + 1
        return int(tokens) * max(map(len, self.words)) + 1

    @property
    def step_words(self) -> int:
        """Of what the board's main notes of the steps: see firmware/boards/records_greedy.c."""
        return 2 * int(self.rule["most_tokens"]) + 1

    @property
    def history_bytes(self) -> int:
        """Of the buffer HISTORY."""
        return 4 * int(self.rule["most_tokens"])


@dataclass(frozen=True, eq=False)
class SpeechInputs:
    """Both ends of a speech model."""

    input: RuntimeInput
    decoder: CtcDecoder | GreedyDecoder
    sample_rate_hz: int

    @property
    def window_samples(self) -> int:
        """The longest recording."""
        return self.input.window_samples

    @property
    def text_bytes(self) -> int:
        """The longest transcript with its NUL."""
        return self.decoder.text_bytes

    @property
    def sources(self) -> tuple[str, ...]:
        """The files of firmware/speech/ that it needs."""
        return (*self.input.sources, *self.decoder.sources)

    @property
    def records(self) -> tuple[str, ...]:
        """The handlers of firmware/boards/ that the board's main needs."""
        return tuple(dict.fromkeys(("records_speech", self.decoder.records)))
