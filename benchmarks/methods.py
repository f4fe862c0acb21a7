# SPDX-License-Identifier: Apache-2.0
"""Measures methods x bits of weights for docs/results.md, and writes it.

python -m benchmarks.methods [--work build/results-models] [--page docs/results.md] [--only TEXT]

All in dynamic8, on the development set and on the evaluation's. benchmarks.few_bits measures what
was chosen of these on the development set. As benchmarks.transcription it goes on where it was
interrupted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.heard import Corpora
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.transcription import SUBJECTS, Subject, made, points
from codegen.errors import UserError
from codegen.evaluate.wer import Score
from codegen.package import SpeechPackage

DEVELOPMENT = ("development",)
ROUNDING = ("round", "round_mse", "hqq", "round_output", "gptq", "rsq")
COMPOSED = (
    *("smoothquant, gptq", "awq, gptq", "outlier_suppression, gptq"),
    *("omniquant", "omniquant, gptq", "quarot, gptq", "quarot, rsq"),
)
_BLOCKS = {"block_size": 32}
#: Bits and blocks, and the methods that are measured there: all where methods differ most.
WIDTHS: Mapping[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "int4": ({"weight_bits": 4}, ROUNDING + COMPOSED),
    "int4, blocks of 32": (
        {"weight_bits": 4, **_BLOCKS},
        ("round", "round_mse", "round_output", "gptq"),
    ),
    "int3, blocks of 32": (
        {"weight_bits": 3, **_BLOCKS},
        ("round_output", "gptq", "omniquant, gptq", "quarot, rsq"),
    ),
    "int2, blocks of 32": ({"weight_bits": 2, **_BLOCKS}, ("gptq", "quarot, rsq")),
}
RECIPES = {
    f"{width}, {methods}": {"mode": "dynamic8", **values, "methods": methods.split(", ")}
    for width, (values, those) in WIDTHS.items()
    for methods in those
}


@dataclass(frozen=True)
class Row:
    """A package's scores, and how long it took to make, in seconds."""

    label: str
    development: Score
    evaluation: Score
    seconds: float


def timed(subject: Subject, label: str, corpora: Corpora) -> tuple[SpeechPackage, float]:
    """The package of a recipe, and the seconds that it took whenever it was made."""
    note = corpora.folder / "seconds" / f"{subject.checkpoint}, {label}.json"
    begun = time.monotonic()
    package = made(subject, label, corpora, RECIPES)
    if not note.is_file():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(time.monotonic() - begun))
    return package, json.loads(note.read_text())


def rows(subject: Subject, labels: Sequence[str], corpora: Corpora) -> Iterator[Row]:
    """What is measured of each recipe."""
    for label in labels:
        print(f"measuring: {subject.title}, {label}", flush=True)
        try:
            package, seconds = timed(subject, label, corpora)
        except UserError as error:
            print(f"  not made: {error}", flush=True)
            continue
        chosen_on = corpora.optimised(package, DEVELOPMENT)
        yield Row(label, chosen_on, corpora.optimised(package, EVALUATION_VOICES), seconds)


def table(subject: Subject, labels: Sequence[str], corpora: Corpora) -> list[str]:
    """The section of a subject."""
    plain = made(subject, "dynamic8, int8", corpora)
    floats = {names: corpora.floats(plain, names) for names in (DEVELOPMENT, EVALUATION_VOICES)}
    lines = [
        (
            row.label,
            f"{row.development.errors.wer:.2f}",
            *points(row.development, floats[DEVELOPMENT])[:1],
            f"{row.evaluation.errors.wer:.2f}",
            *points(row.evaluation, floats[EVALUATION_VOICES]),
            f"{row.seconds:.0f}",
        )
        for row in rows(subject, labels, corpora)
    ]
    chosen, words = floats[DEVELOPMENT].errors, floats[EVALUATION_VOICES].errors
    head = ("weights and methods", "development", "points", "evaluation", "points")
    return [
        f"## Methods x bits of {subject.title}",
        "",
        f"Word error rates of dynamic8 packages in percent, over the {chosen.words} words of the"
        f" development set, on which recipes are chosen (fp32: {chosen.wer:.2f}), and the"
        f" {words.words} of the evaluation's (fp32: {words.wer:.2f}). Points are over fp32 at the"
        " same window, with a paired 95 % interval. Packages ran under LiteRT's optimised kernels"
        " (`stapes wer --resolver xnnpack`). Embedding and head are int8; 200 recordings of the"
        " long calibration set were looked at where a method does. The seconds are those of"
        " `stapes quantize`, two at a time on two cores.",
        "",
        *page.table((*head, "95 % interval", "made in, s"), lines),
    ]


def main() -> None:
    """Measure and write the page's sections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("build/results-models"))
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--only", default="", help="models whose names have this")
    given = parser.parse_args()
    corpora = Corpora(given.work)
    for subject in SUBJECTS:
        if given.only.lower() in subject.title.lower():
            page.write(given.page, [table(subject, tuple(RECIPES), corpora)])


if __name__ == "__main__":
    main()
