# SPDX-License-Identifier: Apache-2.0
"""Runs an engine over many recordings, in as many processes as asked for.

An engine is a callable from int16 PCM (samples,) to text. Engines hold interpreters and compiled
programs, which do not travel between processes, so what travels is an `EngineFactory`: a picklable
callable that makes the engine where it is used.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

Engine = Callable[[np.ndarray], str]
EngineFactory = Callable[[], Engine]
#: Called with the number of clips finished so far.
Progress = Callable[[int], None]

_engine: Engine | None = None


def _start(make_engine: EngineFactory) -> None:
    global _engine
    _engine = make_engine()


def _apply(pcm: np.ndarray) -> str:
    assert _engine is not None
    return _engine(pcm)


def transcribe(
    make_engine: EngineFactory,
    clips: Sequence[np.ndarray],
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """The text of each clip, in the clips' order whatever the number of processes."""
    texts = []
    with _mapper(make_engine, min(jobs, len(clips))) as apply:
        for text in apply(clips):
            texts.append(text)
            if progress is not None:
                progress(len(texts))
    return tuple(texts)


@contextmanager
def _mapper(
    make_engine: EngineFactory, jobs: int
) -> Iterator[Callable[[Sequence[np.ndarray]], Iterator[str]]]:
    if jobs <= 1:
        engine = make_engine()
        yield lambda clips: map(engine, clips)
        return
    # spawn: a forked copy of an interpreter's threads would hang
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_start, initargs=(make_engine,)) as pool:
        yield lambda clips: pool.imap(_apply, clips, chunksize=4)
