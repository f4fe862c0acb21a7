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
    "repeat_tokens": 6,
    "repeat_period": 2,
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
    assert greedy_tokens(RULE, 30, Decoder([7, 8])) == (7, 8)
    # of period 3, which the rule leaves alone
    assert len(greedy_tokens(RULE, 30, Decoder([7, 8, 9]))) == 30


def test_the_smallest_period_counts() -> None:
    assert repeated([4] * 6, 6, 3) == 5
    assert repeated([4] * 5, 6, 3) == 0
    assert repeated([4, 4, 5] * 2, 6, 3) == 3


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
