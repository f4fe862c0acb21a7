# SPDX-License-Identifier: Apache-2.0
"""The generated C, compiled for this computer, as an engine that is proved before it is used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codegen import measure, pipeline
from codegen.errors import StapesError
from codegen.package import SpeechPackage
from codegen.target import load_target

if TYPE_CHECKING:
    from codegen.evaluate.corpus import Clip
    from codegen.evaluate.engines import EngineFactory
    from codegen.toolchain.records import RunRecord

#: Modes whose C gives the bits of LiteRT's reference kernels.
BIT_EXACT_MODES = ("static8", "static16")


def sample(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """The first clip, the middle one and the last, each once: those that an engine is proved on."""
    return tuple(clips[n] for n in sorted({0, len(clips) // 2, len(clips) - 1}))


@contextmanager
def native_engine(package: SpeechPackage, clips: Sequence[Clip] = ()) -> Iterator[EngineFactory]:
    """The package's C, compiled for this computer in a folder that goes away again.

    In an integer mode its text and outputs on a sample of `clips`, an encoder-decoder's tokens and
    logits at each step, must be those of LiteRT's reference kernels; StapesError names the clip
    otherwise.
    """
    from codegen.emit.project import emit
    from codegen.evaluate.native import Native
    from codegen.toolchain.project import build

    with tempfile.TemporaryDirectory(prefix="stapes-native-") as scratch:
        folder = Path(scratch) / "project"
        model = pipeline.packaged_model(package)
        emit(pipeline.emit_inputs(pipeline.compile_model(model, load_target("host"))), folder)
        transcribe = _Transcribe(folder, build(folder))
        if clips and package.recipe["mode"] in BIT_EXACT_MODES:
            _prove(package, transcribe, sample(clips))
        yield Native(transcribe)


def _prove(package: SpeechPackage, transcribe: _Transcribe, clips: Sequence[Clip]) -> None:
    traced = measure.recognizer(package, measure.DEFAULT_RESOLVER).traced()
    for clip, pcm in zip(clips, measure.read_clips(package, clips), strict=True):
        record = transcribe.record(np.ascontiguousarray(pcm, "<i2").tobytes())
        text, outputs = traced(pcm)
        if (record.text, record.outputs) != (text, outputs):
            raise StapesError(
                f"{clip.name}: the compiled model does not give the bits of LiteRT's reference "
                f"kernels ({_difference(record, text, outputs)}); measure with --engine "
                "interpreter, and report this as a fault of stapes."
            )


def _difference(record: RunRecord, text: str, outputs: bytes) -> str:
    if record.text != text:
        return f"text {record.text!r:.60} instead of {text!r:.60}"
    pairs = enumerate(zip(record.outputs, outputs, strict=False))
    common = min(len(record.outputs), len(outputs))
    at = next((n for n, (mine, theirs) in pairs if mine != theirs), common)
    return f"outputs of {len(record.outputs)} and {len(outputs)} bytes differ from byte {at} on"


@dataclass(frozen=True)
class _Transcribe:
    """Runs a compiled project on one recording; raises StapesError unless it says ok."""

    folder: Path
    firmware: Path

    def __call__(self, pcm: bytes) -> str:
        return self.record(pcm).text

    def record(self, pcm: bytes) -> RunRecord:
        """Text and outputs."""
        from codegen.toolchain.project import run

        (record,) = run(self.folder, [pcm], firmware=self.firmware)
        if record.status != 0:
            raise StapesError(f"the compiled model says: {record.status_text}")
        return record
