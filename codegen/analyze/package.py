# SPDX-License-Identifier: Apache-2.0
"""A package's layers, one by one: how they are quantized, what that costs, what they hear."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from codegen import measure
from codegen.analyze import observe
from codegen.analyze.effect import Effects
from codegen.analyze.layers import FloatGraph, float_graphs
from codegen.errors import UserError
from codegen.evaluate.corpus import digest, read_manifest
from codegen.package import SpeechPackage, load_package
from codegen.report.layers import Layer, LayersReport, Row, WerEffects, by_error

#: Shows how many of so many are done, under a title; yields what is told so.
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def untracked(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows nothing."""
    yield lambda done: None


@dataclass(frozen=True)
class Request:
    """What to find out: `scope`, a regular expression that matches whole names, leaves layers out;
    with `wer` also what each layer, or each of the `top` with the largest error, does to WER."""

    package: Path
    manifest: Path
    beside: Path | None = None
    scope: str | None = None
    wer: bool = False
    top: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        """Raise UserError for a scope that is no regular expression, or a lone `top`."""
        try:
            re.compile(self.scope or "")
        except re.error as error:
            raise UserError(
                f"--layers {self.scope!r} is not a regular expression: {error}; correct it, for"
                " example --layers 'decoder/.*'"
            ) from error
        if self.top is not None and not self.wer:
            raise UserError("--top says of how many layers WER is measured; add --wer, or leave it")


def analyze(request: Request, track: Track = untracked) -> LayersReport:
    """What is asked for; raises UserError for what the caller can mend before anything runs."""
    package, graphs = _opened(request.package)
    other = None if request.beside is None else _opened(request.beside)
    if other is not None:
        _check_same_source(package, other[0])
    names = _chosen(request.scope, _names(graphs))
    clips = read_manifest(request.manifest)
    sounds = measure.read_clips(package, clips)
    found = _layers(package, graphs, sounds, names, track)
    rows = [Row(layer) for layer in found]
    beside: dict[str, Layer] = {}
    if other is not None:
        known = _matching(request.scope, _names(other[1]))
        beside = {each.name: each for each in _layers(*other, sounds, known, track)}
        rows = [replace(row, beside=beside.get(row.layer.name)) for row in rows]
    report = LayersReport(
        package.name,
        recipe_line(package),
        measure.sha256_of(package),
        f"{len(clips)} clips, sha256 {digest(clips)[:12]}",
        tuple(rows),
        None if other is None else recipe_line(other[0]),
        len(beside.keys() - names),
    )
    if not request.wer:
        return report
    effects = Effects(package, graphs, clips, sounds, request.jobs)
    return _with_wer(report, effects, request.top, track)


def _opened(folder: Path) -> tuple[SpeechPackage, tuple[FloatGraph, ...]]:
    if folder.is_file():
        raise UserError(
            f"{folder} is a file; errors are measured against the float graphs, which a package"
            " holds: give the folder that `stapes quantize` made"
        )
    package = load_package(folder)
    graphs = float_graphs(package)
    if not any(graph.weights for graph in graphs):
        raise UserError(
            f"package '{package.name}' has no FULLY_CONNECTED or CONV_2D with constant weights;"
            " nothing can be told of its layers"
        )
    return package, graphs


def _check_same_source(package: SpeechPackage, other: SpeechPackage) -> None:
    mine, its = package.source.get("sha256"), other.source.get("sha256")
    if mine != its or package.wired != other.wired:
        raise UserError(
            f"--beside: package '{other.name}' is of another checkpoint (sha256 {its!s:.12}) than"
            f" '{package.name}' ({mine!s:.12}); give one that another recipe made of the same"
        )


def _names(graphs: Sequence[FloatGraph]) -> list[str]:
    return [weights.name for graph in graphs for weights in graph.weights]


def _matching(scope: str | None, names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name in names if scope is None or re.fullmatch(scope, name))


def _chosen(scope: str | None, names: Sequence[str]) -> frozenset[str]:
    chosen = _matching(scope, names)
    if not chosen:
        shown = ", ".join(names[:5])
        raise UserError(
            f"--layers {scope!r} matches none of the {len(names)} layers as a whole; names begin"
            f" {shown}: correct it, for example '.*/attention/.*'"
        )
    return chosen


def _layers(
    package: SpeechPackage,
    graphs: Sequence[FloatGraph],
    sounds: Sequence[np.ndarray],
    names: frozenset[str],
    track: Track,
) -> list[Layer]:
    with track(f"listening, {recipe_line(package)}", len(sounds)) as advance:
        found = observe.layers(package, graphs, sounds, advance)
    return [layer for layer in found if layer.name in names]


def _with_wer(
    report: LayersReport, effects: Effects, top: int | None, track: Track
) -> LayersReport:
    """The report with WER of the float model, of all its layers together, and of each alone."""
    layers = [row.layer for row in report.rows]
    together = frozenset(layer.name for layer in layers)
    alone = [layer.name for layer in sorted(layers, key=by_error)[:top]]
    clips = len(effects.clips)
    with track("recognising", clips * (2 + len(alone))) as advance:
        floats = effects.score(frozenset(), advance)
        found = [
            effects.effect(names, floats, partial(_advance_from, advance, number * clips))
            for number, names in enumerate([together, *(frozenset([n]) for n in alone)], 1)
        ]
    by_name = dict(zip(alone, found[1:], strict=True))
    rows = tuple(replace(row, effect=by_name.get(row.layer.name)) for row in report.rows)
    normalizer = measure.normalizer(effects.package).name
    wer = WerEffects(floats.errors.wer, found[0], floats.errors.words, normalizer)
    return replace(report, rows=rows, wer=wer)


def _advance_from(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def recipe_line(package: SpeechPackage) -> str:
    """How a package was quantized, in a few words."""
    recipe = package.recipe
    line = f"{recipe.get('mode')}, {recipe.get('weight_bits')} bits"
    if recipe.get("block_size"):
        line += f", blocks of {recipe['block_size']}"
    methods = recipe.get("methods") or ["round"]
    return f"{line}, {' + '.join(map(str, methods))}" if isinstance(methods, list) else line
