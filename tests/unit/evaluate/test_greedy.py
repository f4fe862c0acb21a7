# SPDX-License-Identifier: Apache-2.0
"""The decoding loop's rules, over decoders made of lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from codegen.evaluate.greedy import (
    choose,
    detokenized,
    greedy_tokens,
    is_silent,
    most_steps,
    repeated,
)

RULE: dict[str, Any] = {
    "start": [1],
    "end": 2,
    "suppress": [],
    "begin_suppress": [],
    "repeat_tokens": 3,
}


class Decoder:
    """Says the given tokens, whatever it is fed, and remembers what that was."""

    def __init__(self, said: Sequence[int], words: int = 10):
        self.said, self.words = said, words
        self.fed: list[tuple[int, int]] = []

    def __call__(self, token: int, number: int) -> np.ndarray:
        self.fed.append((token, number))
        logits = np.zeros(self.words, np.int16)
        logits[self.said[number % len(self.said)]] = 100
        return logits


def test_tokens_are_fed_back_until_the_end() -> None:
    decoder = Decoder([5, 6, 7, 2, 8])
    assert greedy_tokens(RULE, 9, decoder) == (5, 6, 7)
    assert decoder.fed == [(1, 0), (5, 1), (6, 2), (7, 3)]


def test_a_start_of_several_tokens_is_fed_first() -> None:
    decoder = Decoder([2, 2, 5, 2])
    assert greedy_tokens(RULE | {"start": [1, 3, 4]}, 9, decoder) == (5,)
    assert decoder.fed == [(1, 0), (3, 1), (4, 2), (5, 3)]


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_the_bound_counts_steps(steps: int) -> None:
    decoder = Decoder([5, 6, 7, 8, 9])
    assert greedy_tokens(RULE, steps, decoder) == (5, 6, 7, 8, 9)[:steps]
    assert len(decoder.fed) == steps


def test_suppressed_tokens_are_passed_over() -> None:
    decoder = Decoder([5, 5, 2])
    assert greedy_tokens(RULE | {"suppress": [0, 5]}, 3, decoder) == (1, 1)
    assert greedy_tokens(RULE | {"begin_suppress": [0, 5]}, 3, Decoder([5, 5, 2])) == (1, 5)
    # the end may be suppressed too: an empty text is then refused
    assert greedy_tokens(RULE | {"begin_suppress": [2]}, 3, Decoder([2, 2])) == (0,)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
def test_the_first_of_equal_logits_wins(dtype: type) -> None:
    low = -128 if dtype is np.int8 else -32768
    assert choose(np.array([low, 3, 3], dtype), []) == 1
    assert choose(np.array([low, 3, 3], dtype), {1}) == 2
    # the lowest value that the type has is still greater than what is passed over
    assert choose(np.full(3, low, dtype), {0}) == 1


def test_what_is_no_number_is_passed_over() -> None:
    nan = np.float32(np.nan)
    assert choose(np.array([nan, -np.inf, -2, nan], np.float32), []) == 2
    assert choose(np.array([nan, -np.inf], np.float32), []) == 1
    assert choose(np.array([nan, 1], np.float32), [1]) is None

    def step(token: int, number: int) -> np.ndarray:
        return np.full(10, nan if number == 3 else 0, np.float32)

    assert greedy_tokens(RULE, 9, step) == (0, 0, 0)


def test_a_loop_ends_the_text() -> None:
    assert greedy_tokens(RULE, 30, Decoder([5, 6, 7, 7, 7, 7, 7, 7, 7, 7])) == (5, 6, 7)
    decoder = Decoder([7, 8])
    assert greedy_tokens(RULE, 30, decoder) == (7, 8)
    assert len(decoder.fed) == 6


def test_a_sentence_said_twice_ends_the_text() -> None:
    decoder = Decoder([9, 5, 6, 7, 8, 4, 5, 6, 7, 8, 4, 3])
    assert greedy_tokens(RULE, 30, decoder) == (9, 5, 6, 7, 8, 4)
    assert len(decoder.fed) == 11


SENTENCE = [11, 12, 13, 14, 15, 16, 17, 18]


@pytest.mark.parametrize(
    ("tokens", "dropped"),
    [
        (SENTENCE * 2, 8),
        ([1, 2, *SENTENCE, *SENTENCE], 8),
        ([*SENTENCE, 19] * 2, 9),
        (SENTENCE * 3, 16),
        # not to the end yet, past it, or with one token that differs
        ((SENTENCE * 2)[:-1], 0),
        ([*SENTENCE * 2, 1], 0),
        *(([*SENTENCE, *SENTENCE[:n], 1, *SENTENCE[n + 1 :]], 0) for n in range(8)),
        # something in between
        ([*SENTENCE, 1, *SENTENCE], 0),
        # one token less may be said twice, but does not fill sixteen
        (SENTENCE[:7] * 2, 0),
        ((SENTENCE[:7] * 3)[:15], 0),
        ((SENTENCE[:7] * 3)[:16], 9),
        ([1] * 15, 0),
        ([1] * 16, 15),
        (([1, 2] * 8)[1:], 0),
        ([3, *[1, 2] * 8], 14),
        # the smallest period counts
        ([1, 1, 2] * 6, 15),
        ([], 0),
        ([1], 0),
    ],
)
def test_what_is_dropped(tokens: list[int], dropped: int) -> None:
    assert repeated(tokens, 8) == dropped


def test_at_the_bound_a_part_of_a_sentence_is_dropped() -> None:
    sentence = [*SENTENCE, *range(20, 32)]
    for said in range(len(sentence)):
        cut = [1, *sentence, *sentence[:said]]
        assert repeated(cut, 8) == 0
        assert repeated(cut, 8, last_step=True) == (said if said >= 8 else 0)
    assert repeated([1] * 8, 8, last_step=True) == 0
    assert repeated([1] * 9, 8, last_step=True) == 8


def test_the_bound_is_the_last_step() -> None:
    said = [5, 6, 7, 8, 9, 5, 6, 7, 8, 4]
    assert greedy_tokens(RULE, 8, Decoder(said)) == (5, 6, 7, 8, 9)
    assert greedy_tokens(RULE, 9, Decoder(said)) == (5, 6, 7, 8, 9)
    for steps in (7, 10):
        assert greedy_tokens(RULE, steps, Decoder(said)) == tuple(said[:steps])
    # the end, said by the last step, is an end
    assert greedy_tokens(RULE, 9, Decoder([*said[:8], 2])) == tuple(said[:8])


def test_the_gate_is_a_mean_square() -> None:
    quiet = np.full(1000, 31, np.int16)
    assert is_silent(quiet, 1024)
    assert not is_silent(quiet + 1, 1024)
    assert is_silent(np.zeros(0, np.int16), 0)
    assert not is_silent(np.full(1 << 20, -32768, np.int16), (1 << 30) - 1)


def test_short_recordings_get_some_steps() -> None:
    rule = {"most_tokens": 35, "least_tokens": 8, "tokens_per_10_s": 65, "start": [1]}
    assert most_steps(rule, 1, 16000) == 8
    assert most_steps(rule | {"most_tokens": 5}, 1, 16000) == 5
    assert most_steps(rule, 80000, 16000) == 35


def test_bytes_of_several_tokens_make_a_letter() -> None:
    words = [" a", "\xc3", "\xa4", " "]
    assert detokenized([0, 1, 2, 3], words) == "aä"
    assert detokenized([1, 0], words) == "\ufffd a"
    assert detokenized([], words) == ""
