# SPDX-License-Identifier: Apache-2.0
"""What engines hear, kept clip by clip, so that an interrupted measurement goes on where it was."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks import speech
from benchmarks.voices import SAMPLE_RATE_HZ
from codegen import measure, pipeline
from codegen.emit.project import emit
from codegen.evaluate.corpus import Clip, read_manifest, read_pcm
from codegen.evaluate.engines import Engine, EngineFactory, transcribe
from codegen.evaluate.normalize import ENGLISH, Normalizer
from codegen.evaluate.wer import Score, score, total
from codegen.native import native_engine
from codegen.package import SpeechPackage

JOBS = 2


class MissingError(Exception):
    """A recording whose text is not kept, where no engine is at hand."""


def nobody() -> Engine:
    """An engine that is never there."""

    def engine(pcm: np.ndarray) -> str:
        raise MissingError

    return engine


@dataclass(frozen=True)
class Kept:
    """Makes engines that look a recording's text up in `folder`, and else hear and keep it."""

    make_engine: EngineFactory
    folder: Path

    @property
    def jobs(self) -> int:
        """Processes worth starting: looking texts up takes one."""
        return 1 if self.make_engine is nobody else JOBS

    def __call__(self) -> Engine:
        """A new engine; the one within is made for the first recording that is not kept."""
        made = cache(self.make_engine)

        def engine(pcm: np.ndarray) -> str:
            name = hashlib.sha256(np.ascontiguousarray(pcm, "<i2").tobytes()).hexdigest()
            path = self.folder / f"{name}.txt"
            if path.is_file():
                return path.read_bytes().decode()
            text = made()(pcm)
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(text.encode())
            os.replace(file.name, path)
            return text

        return engine


#: Scores an engine over sets.
Scorer = Callable[[Kept], Score]


def kept_or(
    scorer: Scorer, folder: Path, start: Callable[[], AbstractContextManager[EngineFactory]]
) -> Score:
    """The score from kept texts alone, or with the engine that `start` starts."""
    try:
        return scorer(Kept(nobody, folder))
    except MissingError:
        with start() as make_engine:
            return scorer(Kept(make_engine, folder))


@dataclass(frozen=True)
class Corpora:
    """Sets of speech and the texts heard in them, made once in `folder` and kept there."""

    folder: Path

    def manifest(self, name: str) -> Path:
        """The manifest of a set of benchmarks/speech.py."""
        place = self.folder / "speech" / name
        if not (place / "manifest.jsonl").is_file():
            speech.SETS[name](place)
        return place / "manifest.jsonl"

    def clips(self, names: Sequence[str]) -> tuple[Clip, ...]:
        """The clips of several sets."""
        return tuple(clip for name in names for clip in read_manifest(self.manifest(name)))

    def texts(self, *key: str) -> Path:
        """Where the texts of an engine are kept, `key` being all that they depend on."""
        readable = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part)[:24] for part in key)
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
        return self.folder / "texts" / f"{readable}-{digest}"

    def native(self, package: SpeechPackage, names: Sequence[str]) -> Score:
        """The package's generated C, compiled for this computer, proved on a few of the clips."""
        folder = self.texts("native", project_sha256(package, "host"))
        scorer = partial(self._packaged, package, names, "native, the generated C on this computer")
        return kept_or(scorer, folder, lambda: native_engine(package, self.clips(names)))

    def optimised(self, package: SpeechPackage, names: Sequence[str]) -> Score:
        """The package's graphs under LiteRT's optimised kernels, which are several times faster."""
        label = f"interpreter, {measure.interpreter_name('xnnpack')}"
        scorer = partial(self._packaged, package, names, label)
        engine = measure.recognizer(package, "xnnpack")
        folder = self.texts("optimised", package.sha256)
        return kept_or(scorer, folder, lambda: nullcontext(engine))

    def floats(self, package: SpeechPackage, names: Sequence[str]) -> Score:
        """The package's float graphs under LiteRT's optimised kernels."""
        label = f"float, {measure.interpreter_name('xnnpack')}"
        scorer = partial(self._packaged, package, names, label)
        engine = measure.recognizer(package, "xnnpack", floats=True)
        folder = self.texts("float", float_sha256(package))
        return kept_or(scorer, folder, lambda: nullcontext(engine))

    def _packaged(
        self, package: SpeechPackage, names: Sequence[str], label: str, engine: Kept
    ) -> Score:
        """One score over several sets, each measured as `stapes wer` does."""
        found = [
            measure.measure(
                package, self.manifest(name), engine, label, jobs=engine.jobs, baseline=False
            ).score
            for name in names
        ]
        return joined(found)

    def outside(self, label: str, make_engine: EngineFactory, names: Sequence[str]) -> Score:
        """An engine that takes recordings whole, of any length, and has no package."""
        clips = self.clips(names)
        sounds = [read_pcm(clip.path, SAMPLE_RATE_HZ) for clip in clips]

        def scorer(engine: Kept) -> Score:
            texts = transcribe(engine, sounds)
            references = [clip.text for clip in clips]
            return score(label, "", [clip.name for clip in clips], references, texts, ENGLISH)

        return kept_or(scorer, self.texts(label), lambda: nullcontext(make_engine))


def joined(scores: Sequence[Score]) -> Score:
    """Several sets' scores of one engine as one."""
    clips = tuple(clip for part in scores for clip in part.clips)
    return Score(scores[0].engine, scores[0].sha256, total([c.errors for c in clips]), clips)


def unpunctuated(text: str) -> str:
    """A text in lower case without punctuation; numbers stay as they are written.

    >>> unpunctuated("Five, five!"), unpunctuated("It's 5:55.")
    ('five five', "it's 5 55")
    """
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


RAW = Normalizer("lower case without punctuation", unpunctuated)


def again(found: Score, normalizer: Normalizer) -> Score:
    """The same texts, scored by another normalizer."""
    columns = zip(*((c.name, c.reference, c.hypothesis) for c in found.clips), strict=True)
    names, said, heard = columns
    return score(found.engine, found.sha256, names, said, heard, normalizer)


def project_sha256(package: SpeechPackage, target: str) -> str:
    """Of the C project that a package becomes, names and bytes of all files."""
    place = pipeline.find_target(target)
    compiled = pipeline.compile_model(pipeline.packaged_model(package), place)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="stapes-digest-") as scratch:
        folder = Path(scratch) / "project"
        emit(pipeline.emit_inputs(compiled), folder)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def float_sha256(package: SpeechPackage) -> str:
    """Of the float graphs and tables, and of the decoding rule around them."""
    graphs = [graph.float_data or b"" for graph in package.graphs]
    tables = [t.values if t.floats is None else t.floats for t in package.tables]
    integers = {"masked", "attended"}
    rule = repr(sorted((k, v) for k, v in package.decoding.items() if k not in integers))
    parts = [*graphs, *(np.ascontiguousarray(t, "<f4").tobytes() for t in tables)]
    parts += [rule.encode(), str(package.window_samples).encode()]
    hashes = [hashlib.sha256(part).digest() for part in parts]
    return hashlib.sha256(b"".join(hashes)).hexdigest()
