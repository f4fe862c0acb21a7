# SPDX-License-Identifier: Apache-2.0
"""Word error rate of a package: its networks as engines, beside its float model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codegen import transcriber
from codegen.errors import UserError
from codegen.package import SpeechPackage

if TYPE_CHECKING:
    from codegen.evaluate.corpus import Clip
    from codegen.evaluate.engines import EngineFactory, Progress
    from codegen.evaluate.interpreter import Recognizer
    from codegen.evaluate.normalize import Normalizer
    from codegen.evaluate.wer import Score, WerReport
    from codegen.frontend.log_mel import LogMel
    from codegen.report.types import Accuracy, WerRow

#: LiteRT's reference kernels give the same bits on every computer.
DEFAULT_RESOLVER = "reference"


def front_end(package: SpeechPackage) -> LogMel:
    """The package's front end; raises UserError for a kind that is unknown."""
    from codegen.frontend.log_mel import LogMel

    if package.front_end["kind"] != "log_mel":
        raise UserError(
            f"package '{package.name}': front end {package.front_end['kind']!r} is unknown; "
            "supported: log_mel"
        )
    return LogMel.from_dict(package.front_end)


def window_features(log_mel: LogMel, pcm: np.ndarray, samples: int) -> np.ndarray:
    """int16 features (frames, bands) of a window of `samples`: silence behind the recording.

    As in stapes_finish, an incomplete last frame is left out.
    """
    features = np.zeros((log_mel.frames(samples), log_mel.bands), np.int16)
    heard = log_mel.features(pcm)
    features[: len(heard)] = heard
    return features


def _network_input(
    pcm: np.ndarray, log_mel: LogMel, samples: int, quantization: tuple[float, int, str] | None
) -> np.ndarray:
    """The window's features as the network takes them; float without a quantization."""
    features = window_features(log_mel, pcm, samples)
    if quantization is None:
        return log_mel.normalized(features)
    return log_mel.quantized(features, *quantization)


def _text(logits: np.ndarray, blank: int, vocabulary: tuple[str, ...], separator: str) -> str:
    from codegen.evaluate.decode import ctc_greedy

    return ctc_greedy(logits.reshape(-1, len(vocabulary)), blank, vocabulary, separator)


def recognizer(
    package: SpeechPackage, resolver: str, floats: bool = False
) -> Recognizer | transcriber.Transcriber:
    """The package's .tflite files under LiteRT on the host: integers, or the float ones."""
    from codegen.evaluate.interpreter import Recognizer
    from codegen.tflite.read import read

    if package.wired:
        return transcriber.Transcriber(package, resolver, floats)
    if package.decoding["kind"] != "ctc_greedy":
        raise UserError(
            f"package '{package.name}': decoding {package.decoding['kind']!r} is unknown; "
            "supported: ctc_greedy"
        )
    part = package.graphs[0]
    tflite = part.float_data if floats else part.data
    assert tflite is not None  # as the caller has seen
    graph = read(tflite)[0]
    tensor = graph.tensors[graph.inputs[0]]
    quantization = None
    if tensor.quantization is not None:
        quantization = (tensor.quantization.scale, tensor.quantization.zero_point, tensor.dtype)
    return Recognizer(
        tflite,
        partial(
            _network_input,
            log_mel=front_end(package),
            samples=package.window_samples,
            quantization=quantization,
        ),
        partial(
            _text,
            blank=int(package.decoding["blank"]),
            vocabulary=package.vocabulary,
            separator=str(package.decoding["separator"]),
        ),
        resolver,
    )


def sha256_of(package: SpeechPackage, floats: bool = False) -> str:
    """Of the .tflite file that runs, the float one where asked for; of package.json for several."""
    if package.wired:
        return package.sha256
    data = package.graphs[0].float_data if floats else package.graphs[0].data
    return hashlib.sha256(data or b"").hexdigest()


def sample_rate_hz(package: SpeechPackage) -> int:
    """What the package's front end hears."""
    spec = transcriber.front_end(package) if package.wired else front_end(package)
    return spec.sample_rate_hz


def read_clips(
    package: SpeechPackage, clips: Sequence[Clip], rate_hz: int | None = None
) -> list[np.ndarray]:
    """Each clip's PCM; raises UserError naming the first that is no such recording."""
    from codegen.evaluate.corpus import read_pcm

    rate = sample_rate_hz(package) if rate_hz is None else rate_hz
    return [read_pcm(clip.path, rate) for clip in clips]


def _in_pieces(package: SpeechPackage, make_engine: EngineFactory) -> EngineFactory:
    from codegen.evaluate.split import InPieces

    return InPieces(make_engine, package.window_samples, sample_rate_hz(package))


def interpreter_name(resolver: str) -> str:
    """How reports call LiteRT with a set of kernels."""
    from codegen.evaluate.interpreter import RESOLVERS

    return f"interpreter, LiteRT {RESOLVERS.get(resolver, resolver)}"


def measure(
    package: SpeechPackage,
    manifest: Path,
    make_engine: EngineFactory,
    engine: str,
    *,
    resolver: str = DEFAULT_RESOLVER,
    jobs: int = 1,
    baseline: bool = True,
    progress: Progress | None = None,
) -> WerReport:
    """WER of the engine that `make_engine` makes, and of the float model on the same clips.

    Recordings longer than the window are cut as evaluate/split.py says.
    The float model runs under LiteRT with `resolver`. `progress` counts clips over both. Raises
    UserError for a wrong manifest or recording before anything runs.
    """
    from codegen.evaluate.corpus import digest, read_manifest
    from codegen.evaluate.wer import WerReport, compare

    clips = read_manifest(manifest)
    sounds = read_clips(package, clips)
    made = score_of(package, clips, sounds, make_engine, engine, sha256_of(package), jobs, progress)
    compared = difference = None
    if baseline and all(graph.float_data is not None for graph in package.graphs):
        floats = recognizer(package, resolver, floats=True)
        after = None if progress is None else lambda done: progress(len(clips) + done)
        label, sha256 = f"float, {interpreter_name(resolver)}", sha256_of(package, True)
        compared = score_of(package, clips, sounds, floats, label, sha256, jobs, after)
        difference = compare(made, compared)
    return WerReport(made, compared, difference, normalizer(package).name, digest(clips))


def score_of(
    package: SpeechPackage,
    clips: Sequence[Clip],
    sounds: Sequence[np.ndarray],
    make_engine: EngineFactory,
    engine: str,
    sha256: str,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Score:
    """What the engine hears of the clips, whose PCM is `sounds`, beside what was said."""
    from codegen.evaluate.engines import transcribe
    from codegen.evaluate.wer import score

    names, references = [c.name for c in clips], [c.text for c in clips]
    texts = transcribe(_in_pieces(package, make_engine), sounds, jobs, progress)
    return score(engine, sha256, names, references, texts, normalizer(package))


def normalizer(package: SpeechPackage) -> Normalizer:
    """Models of several graphs write as people do, with punctuation and numerals."""
    from codegen.evaluate.normalize import ENGLISH, PLAIN

    return ENGLISH if package.wired else PLAIN


def accuracy(report: WerReport) -> Accuracy:
    """The report as a page shows it."""
    from codegen.report.types import Accuracy

    scores = (report.score,) if report.baseline is None else (report.baseline, report.score)
    rows = tuple(_row(score) for score in scores)
    corpus = f"{len(report.score.clips)} clips, sha256 {report.corpus_sha256[:12]}"
    difference = report.difference
    if difference is None:
        return Accuracy(rows, report.normalizer, corpus)
    return Accuracy(
        rows, report.normalizer, corpus, difference.points, difference.low, difference.high
    )


def _row(score: Score) -> WerRow:
    from codegen.report.types import WerRow

    errors = score.errors
    return WerRow(
        score.engine,
        errors.wer,
        errors.substitutions,
        errors.deletions,
        errors.insertions,
        errors.words,
        len(score.clips),
    )
