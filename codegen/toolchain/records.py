# SPDX-License-Identifier: Apache-2.0
"""The files that go to and come from every board's main."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from codegen.errors import StapesError

#: What the firmware's exit codes mean (firmware/boards/board.h).
EXIT_CODES = {
    3: "it was not given an input and an output file",
    4: "it could not open, read or write a file",
    5: "its input ends inside a record",
    99: "the core took a fault",
}

#: Names of stapes_status (firmware/include/stapes/stapes.h).
STATUSES = (
    "ok",
    "wrong argument",
    "arena too small",
    "audio longer than the model's window",
    "text buffer too small",
    "cancelled",
    "the weights are not bound",
    "the weights are not aligned to 16 bytes",
    "not a file of weights",
    "weights of another format version",
    "weights of another model than the firmware's",
    "weights of a wrong length",
    "weights whose checksum is wrong",
)


@dataclass(frozen=True)
class RunRecord:
    """What one input came to; `instructions` is 0 where the board cannot count them."""

    status: int
    instructions: int
    text: str
    outputs: bytes

    @property
    def status_text(self) -> str:
        """The status in words."""
        known = self.status < len(STATUSES)
        return STATUSES[self.status] if known else f"unknown status {self.status}"


def pack(records: Sequence[bytes]) -> bytes:
    """The input file of these payloads."""
    return b"".join(struct.pack("<I", len(record)) + record for record in records)


def unpack(data: bytes, count: int) -> tuple[RunRecord, ...]:
    """The records of an output file; raises StapesError unless there are exactly `count`."""
    found: list[RunRecord] = []
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        if at + length > len(data):
            raise StapesError(f"the firmware's output ends inside record {len(found) + 1}.")
        at += length
        return data[at - length : at]

    while at < len(data):
        status, instructions, text_bytes = struct.unpack("<IQI", take(16))
        text = take(text_bytes).decode("utf-8", "replace")
        (output_bytes,) = struct.unpack("<I", take(4))
        found.append(RunRecord(status, instructions, text, take(output_bytes)))
    if len(found) != count:
        raise StapesError(f"the firmware answered {len(found)} of {count} records.")
    return tuple(found)
