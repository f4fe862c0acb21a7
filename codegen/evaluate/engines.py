# SPDX-License-Identifier: Apache-2.0
"""Runs an engine over many recordings, in as many processes as asked for.

An engine is a callable from int16 PCM (samples,) to text. Engines hold interpreters and compiled
programs, which do not travel between processes, so what travels is an `EngineFactory`: a picklable
callable that makes the engine where it is used.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache

import numpy as np

from codegen.errors import StapesError

Engine = Callable[[np.ndarray], str]
EngineFactory = Callable[[], Engine]
#: Called with the number of clips finished so far.
Progress = Callable[[int], None]

_make_engine: EngineFactory | None = None


def _start(make_engine: EngineFactory) -> None:
    global _make_engine
    _make_engine = cache(make_engine)


def _apply(pcm: np.ndarray) -> str:
    # made here and not in _start: what goes wrong then reaches the caller as it is
    assert _make_engine is not None
    return _make_engine()(pcm)


def transcribe(
    make_engine: EngineFactory,
    clips: Sequence[np.ndarray],
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """The text of each clip, in the clips' order whatever the number of processes.

    Raises what the engine raises, and StapesError when a process dies.
    """
    texts = []
    with _mapper(make_engine, min(jobs, len(clips))) as apply:
        try:
            for text in apply(clips):
                texts.append(text)
                if progress is not None:
                    progress(len(texts))
        except BrokenProcessPool as error:
            raise StapesError(
                f"a process that recognises died after {len(texts)} of {len(clips)} clips; "
                "it may have run out of memory: try --jobs 1"
            ) from error
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
    with ProcessPoolExecutor(jobs, context, _start, (make_engine,)) as pool:
        try:
            yield lambda clips: pool.map(_apply, clips, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)
