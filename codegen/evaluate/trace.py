# SPDX-License-Identifier: Apache-2.0
"""What a decoder's steps came to, as the firmware's records have it, to be compared by bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Takes int16 PCM (samples,), gives the text and the outputs of a record: the bytes of a network's
#: outputs, or a Trace's where a decoder runs step by step.
Traced = Callable[[NDArray[np.int16]], tuple[str, bytes]]


class Trace:
    """An observer of greedy_tokens: each token with the CRC-32 of the logits that it came from.

    firmware/boards/records_greedy.c notes the same: int32 token and CRC-32 a token, `end` left out,
    then the CRC-32 of the last step's logits, little-endian. Nothing where no step ran.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self._noted = b""
        self._last = b""

    def __call__(self, logits: NDArray[Any], token: int) -> None:
        """Note a step."""
        little = np.ascontiguousarray(logits, logits.dtype.newbyteorder("<"))
        self._last = struct.pack("<I", zlib.crc32(little.tobytes()))
        if token != self._end:
            self._noted += struct.pack("<i", token) + self._last

    @property
    def data(self) -> bytes:
        """A record's outputs."""
        return self._noted + self._last
