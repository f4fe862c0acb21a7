# SPDX-License-Identifier: Apache-2.0
"""Measures methods x bits of weights for docs/results.md, and writes it.

python -m benchmarks.methods [--work build/results-models] [--page docs/results.md] [--only TEXT]

All in dynamic8, on the development set and on the evaluation's. benchmarks.few_bits measures what
was chosen of these on the development set. As benchmarks.transcription it goes on where it was
interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import page
from benchmarks.heard import Corpora
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.transcription import SUBJECTS, Subject, arguments, made, points
from codegen.errors import UserError
from codegen.evaluate.wer import Score

DEVELOPMENT = ("development",)
ROUNDING = ("round", "round_mse", "hqq", "round_output", "gptq", "gptaq", "rsq")
COMPOSED = (
    *("smoothquant, gptq", "awq, gptq", "outlier_suppression, gptq"),
    *("omniquant, gptq", "quarot, rsq", "quarot, gptq", "omniquant"),
)
_BLOCKS = {"block_size": 32}
#: Bits and blocks, and the methods that are measured there: all where methods differ most.
WIDTHS: Mapping[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "int4": ({"weight_bits": 4}, ROUNDING + COMPOSED),
    "int4, blocks of 32": (
        {"weight_bits": 4, **_BLOCKS},
        ("round_mse", "round_output", "gptq", "gptaq"),
    ),
    "int3, blocks of 32": ({"weight_bits": 3, **_BLOCKS}, ("gptq", "rsq", "quarot, rsq")),
    "int2, blocks of 32": ({"weight_bits": 2, **_BLOCKS}, ("gptq", "quarot, rsq")),
}
RECIPES = {
    f"{width}, {methods}": {"mode": "dynamic8", **values, "methods": methods.split(", ")}
    for width, (values, those) in WIDTHS.items()
    for methods in those
}


@dataclass(frozen=True)
class Row:
    """A package's scores."""

    label: str
    development: Score
    evaluation: Score


def rows(subject: Subject, corpora: Corpora) -> Iterator[Row]:
    """What is measured of each recipe."""
    for label in RECIPES:
        print(f"measuring: {subject.title}, {label}", flush=True)
        try:
            package = made(subject, label, corpora, RECIPES)
        except UserError as error:
            print(f"  not made: {error}", flush=True)
            continue
        chosen_on = corpora.optimised(package, DEVELOPMENT)
        yield Row(label, chosen_on, corpora.optimised(package, EVALUATION_VOICES))


def table(subject: Subject, corpora: Corpora) -> list[str]:
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
        )
        for row in rows(subject, corpora)
    ]
    chosen, words = floats[DEVELOPMENT].errors, floats[EVALUATION_VOICES].errors
    head = "weights and methods|development|points|evaluation|points|95 % interval".split("|")
    return [
        f"## Methods x bits of {subject.title}",
        "",
        f"Word error rates of dynamic8 packages in percent, over the {chosen.words} words of the"
        f" development set, on which recipes are chosen (fp32: {chosen.wer:.2f}), and the"
        f" {words.words} of the evaluation's (fp32: {words.wer:.2f}). Points are over fp32 at the"
        " same window, with a paired 95 % interval. Packages ran under LiteRT's optimised kernels"
        " (`stapes wer --resolver xnnpack`). Embedding and head are int8; 200 recordings of the"
        " long calibration set were looked at where a method does.",
        "",
        *page.table(head, lines),
    ]


def main() -> None:
    """Measure and write the page's sections."""
    given = arguments(__doc__, "models whose names have this").parse_args()
    corpora = Corpora(given.work)
    for subject in SUBJECTS:
        if given.only.lower() in subject.title.lower():
            page.write(given.page, [table(subject, corpora)])


if __name__ == "__main__":
    main()
