# SPDX-License-Identifier: Apache-2.0
"""The generated C as an engine: who compiles and starts it is the caller's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codegen.evaluate.engines import Engine


@dataclass(frozen=True)
class Native:
    """Makes engines that hand int16 little-endian PCM to `run`, which gives the text."""

    run: Callable[[bytes], str]

    def __call__(self) -> Engine:
        """A new engine."""
        return lambda pcm: self.run(np.ascontiguousarray(pcm, "<i2").tobytes())
