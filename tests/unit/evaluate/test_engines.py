# SPDX-License-Identifier: Apache-2.0
"""Many clips over several processes give the texts in order."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.errors import UserError
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


def test_nothing_to_do() -> None:
    assert transcribe(make_counter, [], 2) == ()


def test_what_litert_refuses_is_one_sentence() -> None:
    with pytest.raises(UserError, match="LiteRT refuses"):
        Interpreter(b"not a model")
    with pytest.raises(UserError, match="one of reference, xnnpack"):
        Interpreter(b"", "fast")
