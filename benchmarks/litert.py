# SPDX-License-Identifier: Apache-2.0
"""Tokens of dynamic8's generated C beside LiteRT's, and how sure LiteRT was where they part."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import page
from benchmarks.agreement import answers
from benchmarks.heard import Corpora, project_sha256
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.subjects import Case
from codegen import measure, pipeline
from codegen.evaluate.corpus import Clip
from codegen.evaluate.greedy import choose
from codegen.evaluate.loop import Network
from codegen.evaluate.split import cut
from codegen.package import PackagedGraph, SpeechPackage
from codegen.transcriber import Transcriber
from codegen.wiring import LOGITS

#: Logits by which LiteRT's first choice must lead its second for the tokens to have to be equal.
BOUND = 0.5
SETS = (*EVALUATION_VOICES, "human")


@dataclass(frozen=True)
class Watched(Transcriber):
    """Makes engines whose decoder leaves the outputs of every step in `steps`."""

    steps: list[Sequence[np.ndarray]] = field(default_factory=list)

    def _network(self, part: PackagedGraph) -> Network:
        network = super()._network(part)
        if part is not self.package.graphs[-1]:
            return network

        def run(inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
            self.steps.append(network.run(inputs))
            return self.steps[-1]

        return replace(network, run=run)

    @property
    def logits(self) -> list[NDArray[np.float64]]:
        """The logits (words,) of every step."""
        place = self.package.graphs[-1].outputs.index(LOGITS)
        return [np.float64(outputs[place]).reshape(-1) for outputs in self.steps]


@dataclass(frozen=True)
class Parting:
    """Where another's tokens part from LiteRT's: at the text's token `step`, sure by `margin`."""

    clip: str
    step: int
    margin: float


def choices(
    logits: Sequence[NDArray[np.float64]], rule: Mapping[str, object]
) -> list[tuple[int, float]]:
    """The token that each step chose, and how far its logit leads the next, suppressed apart.

    >>> rule = {"start": [1], "suppress": [0], "begin_suppress": [2]}
    >>> choices([np.array([9.0, 1.0, 8.0, 3.5])] * 2, rule)
    [(3, 2.5), (2, 4.5)]
    """
    start, suppress = rule["start"], rule["suppress"]
    assert isinstance(start, list)
    assert isinstance(suppress, list)
    found = []
    for number, values in enumerate(logits[len(start) - 1 :]):
        first = rule["begin_suppress"] if number == 0 else []
        assert isinstance(first, list)
        passed_over = {*suppress, *first}
        best = choose(values, passed_over)
        if best is None:  # no logit is a number: the text ends
            break
        second = choose(values, {*passed_over, best})
        lead = np.inf if second is None else values[best] - values[second]
        found.append((best, float(lead)))
    return found


def parting(
    clip: str, made: Sequence[tuple[int, float]], tokens: Sequence[int], end: int
) -> Parting | None:
    """The first step whose token is another, the end of a text among them; None where all agree.

    `made` are LiteRT's choices; `tokens` the other's, without the end.

    >>> parting("a", [(7, 2.5), (8, 0.5), (2, 1.0)], [7, 9], 2)
    Parting(clip='a', step=1, margin=0.5)
    """
    for step, (token, margin) in enumerate(made):
        if token != (tokens[step] if step < len(tokens) else end):
            return Parting(clip, step, margin)
    return None


def noted(outputs: bytes) -> list[int]:
    """The tokens in a record of the firmware, see evaluate/trace.py.

    >>> noted(struct.pack("<iIiII", 7, 11, 8, 12, 13))
    [7, 8]
    """
    pairs = struct.iter_unpack("<iI", outputs[: len(outputs) // 8 * 8])
    return [token for token, _ in pairs]


def native_tokens(
    package: SpeechPackage, sounds: Sequence[np.ndarray], folder: Path
) -> list[list[int]]:
    """The tokens that the generated C writes of each recording, kept in `folder`."""
    records = tuple(np.ascontiguousarray(pcm, "<i2").tobytes() for pcm in sounds)
    key = hashlib.sha256(b"".join(hashlib.sha256(record).digest() for record in records))
    path = folder / f"{key.hexdigest()}.json"
    if not path.is_file():
        model = pipeline.packaged_model(package)
        found = answers(Case(model, records, (), ()), "host")
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".fresh")
        fresh.write_text(json.dumps([noted(record.outputs) for record in found]))
        fresh.rename(path)
    tokens: list[list[int]] = json.loads(path.read_text(encoding="utf-8"))
    return tokens


def partings(
    package: SpeechPackage, clips: Sequence[Clip], folder: Path
) -> tuple[list[Parting], int]:
    """Where the generated C parts from LiteRT's optimised kernels, and of how many recordings.

    Recordings longer than the window are cut to it, and each piece is one.
    """
    rate = measure.sample_rate_hz(package)
    pieces = [
        (f"{clip.path.parent.name}/{clip.name}", piece)
        for clip, whole in zip(clips, measure.read_clips(package, clips), strict=True)
        for piece in cut(whole, package.window_samples, rate)
    ]
    watched = Watched(package, "xnnpack")
    engine, found = watched(), []
    for (name, piece), tokens in zip(
        pieces, native_tokens(package, [pcm for _, pcm in pieces], folder), strict=True
    ):
        watched.steps.clear()
        engine(piece)
        made = choices(watched.logits, package.decoding)
        apart = parting(name, made, tokens, package.decoding["end"])
        found += [] if apart is None else [apart]
    return found, len(pieces)


def tokens_section(
    title: str, packages: Mapping[str, SpeechPackage], corpora: Corpora
) -> list[list[str]]:
    """dynamic8's texts beside LiteRT's; nothing where there is no such package."""
    dynamic = {label: p for label, p in packages.items() if p.recipe["mode"] == "dynamic8"}
    rows, lines = [], []
    for label, package in dynamic.items():
        print(f"  tokens of {label}", flush=True)
        folder = corpora.texts("tokens", project_sha256(package, "host"))
        found, count = partings(package, corpora.clips(SETS), folder)
        beyond = [one for one in found if one.margin > BOUND]
        largest = max((one.margin for one in found), default=0.0)
        rows.append((label, count, count - len(found), len(beyond), f"{largest:.3f}"))
        lines += [
            f"- {label}: {one.clip} from token {one.step} on, margin {one.margin:.3f}"
            for one in found
        ]
    head = ("recipe", "recordings", "equal tokens", "exceptions", "largest margin")
    text = [
        f"## Tokens of {title} beside LiteRT",
        "",
        "Greedy tokens of the generated C and of the same files under LiteRT's optimised kernels"
        " (`AUTO`, XNNPACK), on all recordings of the evaluation, cut to the window. The margin is"
        " by how much LiteRT's first logit led its second at the token where they part;"
        f" exceptions are those with a margin over {BOUND:g} logits.",
        "",
        *page.table(head, rows),
        *lines,
    ]
    return [text] if dynamic else []
