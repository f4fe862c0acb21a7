# SPDX-License-Identifier: Apache-2.0
"""Word error rate with its parts, beside a baseline's on the same recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codegen.evaluate.normalize import PLAIN, Normalizer

BOOTSTRAP_SAMPLES = 2_000
_BOOTSTRAP_SEED = 20_261_123


@dataclass(frozen=True)
class Errors:
    """Word errors of one clip or of many."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def wer(self) -> float:
        """Errors by words spoken, in percent; of silence, 100 for each word inserted."""
        wrong = self.substitutions + self.deletions + self.insertions
        return 100.0 * wrong / max(self.words, 1)


@dataclass(frozen=True)
class ClipResult:
    """One clip's reference, what was heard, and the errors between the two."""

    name: str
    reference: str
    hypothesis: str
    errors: Errors


@dataclass(frozen=True)
class Score:
    """Errors over a corpus, and clip by clip."""

    engine: str
    sha256: str
    errors: Errors
    clips: tuple[ClipResult, ...]


@dataclass(frozen=True)
class Difference:
    """WER minus the baseline's in points, paired by clip, with a bootstrap 95 % interval."""

    points: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class WerReport:
    """A score, the baseline's on the same clips if there is one, and what was measured how."""

    score: Score
    baseline: Score | None
    difference: Difference | None
    normalizer: str
    corpus_sha256: str


def count_errors(reference: str, hypothesis: str, normalizer: Normalizer = PLAIN) -> Errors:
    """The fewest substitutions, deletions and insertions that turn one text into the other.

    Minimum edit distance over normalised words, as jiwer counts them.

    >>> count_errors("lights on", "light on now")
    Errors(substitutions=1, deletions=0, insertions=1, words=2)
    """
    import jiwer

    spoken, heard = normalizer.apply(reference), normalizer.apply(hypothesis)
    if not spoken:
        return Errors(0, 0, len(heard.split()), 0)
    output = jiwer.process_words(spoken, heard)
    words = len(spoken.split())
    return Errors(output.substitutions, output.deletions, output.insertions, words)


def total(errors: Sequence[Errors]) -> Errors:
    """The sum of several clips' errors."""
    return Errors(
        sum(e.substitutions for e in errors),
        sum(e.deletions for e in errors),
        sum(e.insertions for e in errors),
        sum(e.words for e in errors),
    )


def score(
    engine: str,
    sha256: str,
    names: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
    normalizer: Normalizer = PLAIN,
) -> Score:
    """One engine's score; `sha256` is of the very .tflite that it ran."""
    clips = tuple(
        ClipResult(name, reference, hypothesis, count_errors(reference, hypothesis, normalizer))
        for name, reference, hypothesis in zip(names, references, hypotheses, strict=True)
    )
    return Score(engine, sha256, total([clip.errors for clip in clips]), clips)


def compare(measured: Score, baseline: Score, samples: int = BOOTSTRAP_SAMPLES) -> Difference:
    """WER minus the baseline's, and its 95 % interval by resampling clips with their pairs.

    Percentile bootstrap over clips: Efron and Tibshirani, An Introduction to the Bootstrap,
    chapter 13; paired for recognisers as in Bisani and Ney, ICASSP 2004.
    """
    words = np.array([clip.errors.words for clip in measured.clips])
    wrong = np.array([_wrong(clip.errors) for clip in measured.clips])
    extra = wrong - np.array([_wrong(clip.errors) for clip in baseline.clips])
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    points = np.empty(samples)
    for i in range(samples):
        drawn = generator.integers(0, len(words), len(words))
        points[i] = 100.0 * extra[drawn].sum() / max(int(words[drawn].sum()), 1)
    low, high = np.percentile(points, [2.5, 97.5])
    return Difference(measured.errors.wer - baseline.errors.wer, float(low), float(high), samples)


def _wrong(errors: Errors) -> int:
    return errors.substitutions + errors.deletions + errors.insertions
