# SPDX-License-Identifier: Apache-2.0
"""Recordings longer than a model's window: cut where they are quiet, transcribed piece by piece.

1.  A recording that fits the window is one piece. Otherwise the first piece ends within the last
    two thirds of the window, in the middle of the quietest 300 ms there: of all runs of so many
    samples that lie within these, the one with the least sum of squares, of equal ones the first.
    Where two thirds of the window are shorter than 300 ms, the run is all of them.
2.  What is left is cut by the same rule until it fits.
3.  Pieces are transcribed each by itself. The text is theirs, in order, with a space between; empty
    ones are left out.

Everything is integers, so the cuts are the same on every computer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.evaluate.engines import Engine, EngineFactory

#: The quiet place that is looked for; it and the two thirds were chosen on a development set, whose
#: sentences stood one behind the other. Pauses between words are mostly shorter.
QUIET_MS = 300


def cut(
    pcm: NDArray[np.int16], window_samples: int, sample_rate_hz: int
) -> list[NDArray[np.int16]]:
    """The pieces of a recording (samples,), by rules 1 and 2; none is empty or exceeds the window.

    >>> pcm = np.array([9, 9, 9, 9, 9, 9, 9, 0, 9, 9, 9], np.int16)
    >>> [len(piece) for piece in cut(pcm, 9, 10)]
    [7, 4]
    """
    pieces = []
    while len(pcm) > window_samples:
        end = _end(pcm[:window_samples], sample_rate_hz)
        pieces.append(pcm[:end])
        pcm = pcm[end:]
    return [*pieces, pcm]


def _end(window: NDArray[np.int16], sample_rate_hz: int) -> int:
    """Where the piece ends that starts with this window."""
    searched = -(-2 * len(window) // 3)
    run = min(max(sample_rate_hz * QUIET_MS // 1000, 1), searched)
    squares = window[-searched:].astype(np.int64) ** 2
    before = np.concatenate(([0], np.cumsum(squares)))
    quietest = int(np.argmin(before[run:] - before[:-run]))
    return len(window) - searched + quietest + (run + 1) // 2


def joined(texts: Iterable[str]) -> str:
    """The text of a recording from its pieces', by rule 3.

    >>> joined(["lights", "", "on"])
    'lights on'
    """
    return " ".join(text for text in texts if text)


@dataclass(frozen=True)
class InPieces:
    """Makes engines that cut what is longer than the window, out of engines that refuse it."""

    make_engine: EngineFactory
    window_samples: int
    sample_rate_hz: int

    def __call__(self) -> Engine:
        """A new engine."""
        engine = self.make_engine()

        def whole(pcm: NDArray[np.int16]) -> str:
            return joined(map(engine, cut(pcm, self.window_samples, self.sample_rate_hz)))

        return whole
