# SPDX-License-Identifier: Apache-2.0
"""Word errors against a second way of counting, and the paired interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.evaluate.wer import Score, compare, count_errors, score

_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=7)


def _distance(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != heard))
    return row[-1]


@given(_WORDS, _WORDS)
def test_errors_are_the_edit_distance(reference: list[str], hypothesis: list[str]) -> None:
    errors = count_errors(" ".join(reference), " ".join(hypothesis))
    wrong = errors.substitutions + errors.deletions + errors.insertions
    assert wrong == _distance(reference, hypothesis)
    assert errors.words == len(reference)
    assert errors.insertions - errors.deletions == len(hypothesis) - len(reference)


def _score(texts: list[str], references: list[str]) -> Score:
    return score("x", "0" * 64, [str(i) for i in range(len(texts))], references, texts)


def test_a_corpus_is_summed_over_words_and_not_over_clips() -> None:
    total = _score(["a", "a b c d"], ["b", "a b c d"]).errors
    assert (total.substitutions, total.words) == (1, 5)
    assert total.wer == pytest.approx(20.0)


def test_equal_texts_differ_by_nothing() -> None:
    references = ["a b", "c", "d d d"]
    heard = ["a", "c", "d e"]
    difference = compare(_score(heard, references), _score(heard, references))
    assert (difference.points, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_the_interval_holds_the_difference_and_repeats() -> None:
    generator = np.random.default_rng(1)
    references = ["a b c d"] * 300
    worse = ["a b c x" if generator.random() < 0.2 else "a b c d" for _ in references]
    first = compare(_score(worse, references), _score(references, references))
    assert first.low < first.points < first.high
    assert first.low > 0
    assert first == compare(_score(worse, references), _score(references, references))
    # a binomial share of 0.2 over 300 clips of 4 words: standard error 0.58 points
    assert first.high - first.low == pytest.approx(4 * 0.58, rel=0.25)
