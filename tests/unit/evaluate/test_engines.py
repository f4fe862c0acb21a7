# SPDX-License-Identifier: Apache-2.0
"""Many clips over several processes give the texts in order."""

from __future__ import annotations

import os

import numpy as np
import pytest

from codegen.errors import StapesError, UserError
from codegen.evaluate.engines import Engine, transcribe
from codegen.evaluate.interpreter import Interpreter


def make_counter() -> Engine:
    return lambda pcm: str(len(pcm))


@pytest.mark.parametrize("jobs", [1, 2])
def test_order_and_progress(jobs: int) -> None:
    clips = [np.zeros(n, np.int16) for n in range(11)]
    seen: list[int] = []
    assert transcribe(make_counter, clips, jobs, seen.append) == tuple(map(str, range(11)))
    assert seen == list(range(1, 12))


def make_nothing() -> Engine:
    raise UserError("no engine here")


def make_dying() -> Engine:
    return lambda pcm: os._exit(3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_engine_that_cannot_be_made(jobs: int) -> None:
    with pytest.raises(UserError, match="no engine here"):
        transcribe(make_nothing, [np.zeros(1, np.int16)] * 9, jobs)


def test_a_process_that_dies_is_noticed() -> None:
    with pytest.raises(StapesError, match="of 9 clips"):
        transcribe(make_dying, [np.zeros(1, np.int16)] * 9, 2)


def test_nothing_to_do() -> None:
    assert transcribe(make_counter, [], 2) == ()


def test_what_litert_refuses_is_one_sentence() -> None:
    with pytest.raises(UserError, match="LiteRT refuses"):
        Interpreter(b"not a model")
    with pytest.raises(UserError, match="one of reference, xnnpack"):
        Interpreter(b"", "fast")
