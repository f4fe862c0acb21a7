# SPDX-License-Identifier: Apache-2.0
"""A trace holds what each step chose and a digest of its logits."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from codegen.evaluate.greedy import greedy_tokens
from codegen.evaluate.trace import Trace

RULE = {"start": [1, 1], "end": 0, "suppress": [], "begin_suppress": []}
RULE |= {"repeat_tokens": 9}
LOGITS = np.array([[9, 0, 0], [0, 0, 5], [0, 7, 1], [8, 1, 0]], np.int16)


def _trace(steps: int) -> tuple[tuple[int, ...], bytes]:
    trace = Trace(0)
    return greedy_tokens(RULE, steps, lambda _, number: LOGITS[number], trace), trace.data


def test_each_step_behind_the_start_is_noted() -> None:
    crcs = [zlib.crc32(row.tobytes()) for row in LOGITS]
    assert _trace(4) == ((2, 1), struct.pack("<iIiII", 2, crcs[1], 1, crcs[2], crcs[3]))
    assert _trace(3) == ((2, 1), struct.pack("<iIiII", 2, crcs[1], 1, crcs[2], crcs[2]))
    assert _trace(1) == ((), b"")
