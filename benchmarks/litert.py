# SPDX-License-Identifier: Apache-2.0
"""Texts of dynamic8's generated C beside LiteRT's, and how sure LiteRT was where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import page
from benchmarks.heard import Corpora, Kept, nobody, project_sha256
from benchmarks.speech import EVALUATION_VOICES
from codegen import measure
from codegen.encoder_decoder import Transcriber
from codegen.evaluate.engines import Engine
from codegen.evaluate.greedy import choose, detokenized
from codegen.evaluate.loop import Network
from codegen.evaluate.split import cut
from codegen.package import PackagedGraph, SpeechPackage
from codegen.wiring import LOGITS

#: Logits by which LiteRT's first choice must lead its second for the texts to have to be equal.
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
    """Where LiteRT's text and another part: at `step` of the text, LiteRT leading by `margin`."""

    clip: str
    step: int
    margin: float
    litert: str
    native: str


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
        second = choose(values, {*passed_over, best})
        found.append((best, float(values[best] - values[second])))
    return found


def parting(
    clip: str,
    made: Sequence[tuple[int, float]],
    texts: tuple[str, str],
    vocabulary: Sequence[str],
) -> Parting | None:
    """The first step whose tokens so far do not begin the other text; None for equal texts.

    `made` are LiteRT's choices, `texts` LiteRT's and the other. Where all of LiteRT's tokens begin
    the other text, they part at its last choice, the end.
    """
    litert, native = texts
    if litert == native:
        return None
    for step, (_, margin) in enumerate(made):
        so_far = detokenized([token for token, _ in made[: step + 1]], vocabulary)
        if step == len(made) - 1 or not native.startswith(so_far.removesuffix("\ufffd")):
            return Parting(clip, step, margin, litert, native)
    return Parting(clip, 0, 0.0, litert, native)


def partings(
    package: SpeechPackage, clips: Sequence[tuple[str, np.ndarray]], native: Engine
) -> tuple[list[Parting], int]:
    """Where `native` parts from LiteRT's optimised kernels, and how many pieces they heard."""
    watched = Watched(package, "xnnpack")
    engine, found, count = watched(), [], 0
    rate = measure.sample_rate_hz(package)
    for name, whole in clips:
        for piece in cut(whole, package.window_samples, rate):
            watched.steps.clear()
            texts = engine(piece), native(piece)
            made = choices(watched.logits, package.decoding)
            apart = parting(name, made, texts, package.vocabulary)
            found += [] if apart is None else [apart]
            count += 1
    return found, count


def tokens_section(
    title: str, packages: Mapping[str, SpeechPackage], corpora: Corpora
) -> list[list[str]]:
    """dynamic8's texts beside LiteRT's; nothing where there is no such package."""
    dynamic = {label: p for label, p in packages.items() if p.recipe["mode"] == "dynamic8"}
    rows, lines = [], []
    for label, package in dynamic.items():
        kept = Kept(nobody, corpora.texts("native", project_sha256(package, "host")))
        clips = [(f"{c.path.parent.name}/{c.name}", c) for c in corpora.clips(SETS)]
        sounds = measure.read_clips(package, [clip for _, clip in clips])
        named = [(name, pcm) for (name, _), pcm in zip(clips, sounds, strict=True)]
        found, count = partings(package, named, kept())
        beyond = [one for one in found if one.margin > BOUND]
        largest = max((one.margin for one in found), default=0.0)
        rows.append((label, count, count - len(found), len(beyond), f"{largest:.3f}"))
        lines += [
            f"- {label}, {one.clip}, token {one.step}, margin {one.margin:.3f}: LiteRT"
            f" “{one.litert}”, C “{one.native}”"
            for one in found
        ]
    head = ("recipe", "recordings", "equal texts", "exceptions", "largest margin")
    text = [
        f"## Tokens of {title} beside LiteRT",
        "",
        "Greedy texts of the generated C and of the same files under LiteRT's optimised kernels"
        " (`AUTO`, XNNPACK), on all recordings of the evaluation, cut to the window. The margin is"
        " by how much LiteRT's first logit led its second at the token where the texts part;"
        f" exceptions are those with a margin over {BOUND:g} logits.",
        "",
        *page.table(head, rows),
        *lines,
    ]
    return [text] if dynamic else []
