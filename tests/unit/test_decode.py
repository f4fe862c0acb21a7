# SPDX-License-Identifier: Apache-2.0
"""Greedy CTC decoding against its definition, and the packed vocabulary."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.errors import UserError
from codegen.evaluate.decode import ctc_greedy, pack_vocabulary

WORDS = ("<blank>", "on", "off", "zwölf")


@given(path=st.lists(st.integers(0, 3), max_size=20), blank=st.integers(0, 3))
def test_best_path_merges_repeats_and_drops_blanks(path: list[int], blank: int) -> None:
    logits = np.eye(4, dtype=np.int8)[path].reshape(-1, 4)
    wanted = "+".join(WORDS[c] for c, _ in groupby(path) if c != blank)
    assert ctc_greedy(logits, blank, WORDS, "+") == wanted


def test_the_first_of_equal_logits_wins() -> None:
    logits = np.array([[-5, 3, 3, 1], [7, 7, 7, 7], [0, 0, 1, 1]], np.int16)
    assert ctc_greedy(logits, 0, WORDS) == "on off"


def test_blank_between_repeats_keeps_both() -> None:
    assert ctc_greedy(np.eye(4)[[1, 0, 1, 1]], 0, WORDS) == "on on"


@pytest.mark.parametrize("blank", [0, 2, 3])
def test_packed_words_unpack(blank: int) -> None:
    packed, ends = pack_vocabulary(WORDS, blank)
    starts = [0, *ends[:-1].tolist()]
    words = [packed[a:b].decode() for a, b in zip(starts, ends.tolist(), strict=True)]
    assert words == ["" if c == blank else word for c, word in enumerate(WORDS)]


def test_a_vocabulary_too_large_is_refused() -> None:
    assert len(pack_vocabulary(["", "x" * 65535], 0)[0]) == 65535
    with pytest.raises(UserError, match="65536 bytes"):
        pack_vocabulary(["", "x" * 65536], 0)
