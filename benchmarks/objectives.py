# SPDX-License-Identifier: Apache-2.0
"""Measures what composed recipes do to the errors of layers, for docs/results.md, and writes it.

python -m benchmarks.objectives [--work build/results-models] [--page docs/results.md] [--only TEXT]

Of each recipe of benchmarks.few_bits that has a transform: the objective that its transform is
chosen by, once for the rounding by itself, once for the transform with rounding to the nearest,
and once for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import page
from benchmarks.checkpoints import checkpoint
from benchmarks.few_bits import RECIPES, labelled
from benchmarks.heard import Corpora
from benchmarks.hugging_face import SAMPLE_RATE_HZ
from benchmarks.transcription import Subject, arguments
from codegen import calibration
from codegen.evaluate.corpus import read_pcm
from codegen.models import SpeechModel, load_float_model
from codegen.ptq.methods import _equivalent
from codegen.ptq.observe import Observations
from codegen.ptq.recipe import Recipe, recipe_from

#: Of the long calibration set, one recording in so many is looked at.
EVERY = 4
#: Where sums in another order may make a difference of what is the same.
SAME = 1 + 1e-6


@dataclass(frozen=True)
class Errors:
    """Of each layer: its squared error on rows held out, relative to the square of its outputs."""

    alone: tuple[float, ...]
    nearest: tuple[float, ...]
    both: tuple[float, ...]

    def row(self, label: str) -> tuple[object, ...]:
        """What the table says of a recipe."""
        pairs = list(zip(self.both, self.alone, strict=True))
        less = sum(after * SAME < before for after, before in pairs)
        more = sum(after > before * SAME for after, before in pairs)
        sums = (f"{sum(each):.4f}" for each in (self.alone, self.nearest, self.both))
        return label, len(pairs), *sums, less, len(pairs) - less - more, more


def errors(
    models: tuple[SpeechModel, SpeechModel],
    seen: tuple[Observations, Observations],
    recipe: Recipe,
) -> Errors:
    """Those of the layers that a model has in common with what transforms made of it."""
    held = [
        {path: _equivalent.held_out(each) for path, each in observed.items()} for observed in seen
    ]
    paths = [path for path in held[0] if not _is_table(models[0], path)]

    def error(which: int, path: str, method: str) -> float:
        inputs, weights = held[which][path], [m.module(path).weight.numpy() for m in models]
        rule = recipe.for_linear(path)
        wrong = _equivalent.squared_error(weights[which], inputs.rows, inputs.moments, rule, method)
        return wrong / _equivalent.power(weights[0], held[0][path].rows)

    def all_of(which: int, method: str) -> tuple[float, ...]:
        return tuple(error(which, path, method) for path in paths)

    return Errors(all_of(0, recipe.method), all_of(1, "round"), all_of(1, recipe.method))


def _is_table(model: SpeechModel, path: str) -> bool:
    """Whether a layer is a head that shares an embedding's rows: the recipes here keep it apart."""
    weight = model.module(path).weight.numpy()
    return any(np.array_equal(weight, table) for table in model.tables.values())


def rows(subject: Subject, corpora: Corpora, only: str) -> Iterator[Sequence[object]]:
    """What is found of each composed recipe whose name has `only`."""
    recipes = {
        f"{subject.title}, {label}": recipe_from(plain)
        for label, plain in labelled(subject).items()
    }
    composed = {k: r for k, r in recipes.items() if r.transforms and only in k.lower()}
    if not composed:
        return
    window_samples = subject.window_s * SAMPLE_RATE_HZ
    model = load_float_model(checkpoint(subject.checkpoint), window_samples, subject.language)
    clips = corpora.clips(["calibration_long"])[::EVERY]
    recordings = [read_pcm(clip.path, SAMPLE_RATE_HZ) for clip in clips]
    before = calibration.observe(model, recordings)
    for label, recipe in composed.items():
        print(f"measuring: {label}", flush=True)
        made = calibration.transformed(model, recordings, recipe, print)
        after = calibration.observe(made, recordings)
        yield errors((model, made), (before, after), recipe).row(label)


def main() -> None:
    """Measure and write the page's section."""
    given = arguments(__doc__, "models and recipes whose names have this").parse_args()
    corpora, only = Corpora(given.work), given.only.lower()
    found = [row for subject in RECIPES for row in rows(subject, corpora, only)]
    head = "recipe|layers|rounding alone|transform, nearest|both|less|equal|more".split("|")
    section = [
        "## Errors of layers in composed recipes",
        "",
        "Squared errors of linear layers' outputs on the rows of calibration that transforms are"
        " chosen on and rounding is not fitted to, relative to the square of the outputs, summed"
        " over layers: of the recipe's method of rounding by itself, of its transform with rounding"
        " to the nearest, and of both; and how many layers err less, the same and more by both than"
        " by rounding alone. A transform keeps what lessens the sum over the layers that change"
        " together, so that one of these may err more. `gptaq` counts as gptq, which it begins"
        " with.",
        "",
        *page.table(head, found),
    ]
    page.write(given.page, [section])


if __name__ == "__main__":
    main()
