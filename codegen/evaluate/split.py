# SPDX-License-Identifier: Apache-2.0
"""Recordings longer than a model's window: cut where they are quiet, transcribed piece by piece.

1.  A recording that fits the window is one piece. Otherwise the first piece ends within the last
    third of the window, in the middle of the quietest 100 ms there: of all runs of so many samples
    that lie within that third, the one with the least sum of squares, of equal ones the first.
    Where the third is shorter than 100 ms, the run is the third itself.
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

#: The quiet place's share of a second: 100 ms.
RUNS_A_SECOND = 10


def cut(
    pcm: NDArray[np.int16], window_samples: int, sample_rate_hz: int
) -> list[NDArray[np.int16]]:
    """The pieces of a recording (samples,), by rules 1 and 2; none is empty or exceeds the window.

    >>> pcm = np.array([9, 9, 9, 9, 9, 9, 9, 0, 9, 9, 9], np.int16)
    >>> [len(piece) for piece in cut(pcm, 9, 10)]
    [8, 3]
    """
    pieces = []
    while len(pcm) > window_samples:
        end = _end(pcm[:window_samples], sample_rate_hz)
        pieces.append(pcm[:end])
        pcm = pcm[end:]
    return [*pieces, pcm]


def _end(window: NDArray[np.int16], sample_rate_hz: int) -> int:
    """Where the piece ends that starts with this window."""
    third = -(-len(window) // 3)
    run = min(max(sample_rate_hz // RUNS_A_SECOND, 1), third)
    squares = window[-third:].astype(np.int64) ** 2
    before = np.concatenate(([0], np.cumsum(squares)))
    quietest = int(np.argmin(before[run:] - before[:-run]))
    return len(window) - third + quietest + (run + 1) // 2


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
