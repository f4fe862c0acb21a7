# SPDX-License-Identifier: Apache-2.0
"""Bits: LiteRT's reference kernels beside the generated C on the host and on emulated boards."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import Case
from codegen import pipeline
from codegen.emit.project import emit
from codegen.toolchain.project import build, run
from codegen.toolchain.records import RunRecord


@dataclass(frozen=True)
class Agreement:
    """How many of `count` records gave the reference's output bytes, and its text.

    An encoder-decoder's output bytes are its tokens and each step's digest of the logits.
    """

    target: str
    count: int
    equal_bytes: int
    equal_texts: int
    texts: tuple[str, ...]
    instructions: int

    @property
    def complete(self) -> bool:
        """Whether every byte and every text agreed."""
        return self.equal_bytes == self.equal_texts == self.count


def answers(case: Case, target: str, weights: str = "auto") -> tuple[RunRecord, ...]:
    """What the firmware generated for `target` answers to the case's records."""
    compiled = pipeline.compile_model(case.model, pipeline.find_target(target))
    with tempfile.TemporaryDirectory(prefix="stapes-agreement-") as scratch:
        folder = Path(scratch) / "project"
        emit(pipeline.emit_inputs(compiled, None, weights), folder)
        return run(folder, case.records, firmware=build(folder), timeout_s=1800)


def agreement(case: Case, target: str, weights: str = "auto") -> Agreement:
    """The case on one target, its weights where `emit` puts them."""
    records = answers(case, target, weights)
    return Agreement(
        target,
        len(records),
        sum(
            record.status == 0 and record.outputs == expected
            for record, expected in zip(records, case.outputs, strict=True)
        ),
        sum(record.text == expected for record, expected in zip(records, case.texts, strict=True)),
        tuple(record.text for record in records),
        max(record.instructions for record in records),
    )
