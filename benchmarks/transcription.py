# SPDX-License-Identifier: Apache-2.0
"""Measures what docs/results.md says of Moonshine and Whisper, and writes it.

python -m benchmarks.transcription [--work build/results-models] [--page docs/results.md]
    [--only TEXT] [--without-qemu]

Packages and every text that an engine heard are kept in the work folder: run it again, and it goes
on where it was interrupted. Packages there are not made again when the quantizer changes: remove
them then.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.checkpoints import checkpoint
from benchmarks.heard import RAW, Corpora, again
from benchmarks.hugging_face import SAMPLE_RATE_HZ, HuggingFace
from benchmarks.litert import tokens_section
from benchmarks.memory import Sizes, sizes
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.wired_bits import BOARD, bits_section
from codegen import pipeline
from codegen.errors import UserError
from codegen.evaluate.wer import Score, compare
from codegen.package import SpeechPackage, is_package, load_package, save_package
from codegen.ptq.recipe import recipe_from

HUMAN = ("human",)


@dataclass(frozen=True)
class Subject:
    """A checkpoint at a window, and what its float model's native window is called.

    `on_qemu` is how many recordings run on the emulated Cortex-M55; of a subject with none, steps
    are not compared one by one either. A multilingual checkpoint takes a language.
    """

    name: str
    checkpoint: str
    window_s: int
    native: str
    on_qemu: int
    language: str | None = None

    @property
    def title(self) -> str:
        """What tables call it."""
        return f"{self.name}, window of {self.window_s} s"


SUBJECTS = (
    Subject("Moonshine tiny", "moonshine-tiny", 5, "unpadded", 3),
    Subject("Whisper tiny.en", "whisper-tiny.en", 10, "30 s", 1),
)
WHISPER_30_S = Subject("Whisper tiny.en", "whisper-tiny.en", 30, "30 s", 0)
#: By label; the values are those of a recipe's TOML.
Recipes = Mapping[str, Mapping[str, Any]]
RECIPES: Recipes = {
    "static16, int8": {"mode": "static16"},
    "static16, int4": {"mode": "static16", "weight_bits": 4},
    "static8, int8": {"mode": "static8"},
    "static8, int4": {"mode": "static8", "weight_bits": 4},
    "dynamic8, int8": {"mode": "dynamic8"},
    "dynamic8, int4": {"mode": "dynamic8", "weight_bits": 4},
    # rounded to the nearest, by the scales that did best of all such on a development set
    "dynamic8, int4, blocks of 32": {
        "mode": "dynamic8",
        "weight_bits": 4,
        "block_size": 32,
        "methods": ["round_output"],
    },
}

#: Of the longest window, which takes a PC long, one recipe is measured.
LONGEST = "static8, int8"
MEASURED: Mapping[Subject, Sequence[str]] = {
    **dict.fromkeys(SUBJECTS, tuple(RECIPES)),
    WHISPER_30_S: (LONGEST,),
}
#: Those whose tokens and logits are compared one by one.
COMPARED = (
    "static16, int8",
    "static8, int8",
    "dynamic8, int8",
    "dynamic8, int4, blocks of 32",
)


@dataclass(frozen=True)
class Row:
    """One model's scores on the synthetic sentences and on people's recordings."""

    label: str
    synthetic: Score
    human: Score


@dataclass(frozen=True, eq=False)
class Measured:
    """A package's scores and sizes."""

    row: Row
    package: SpeechPackage
    sizes: Sizes
    macs: Mapping[str, int]


def made(
    subject: Subject, label: str, corpora: Corpora, recipes: Recipes = RECIPES
) -> SpeechPackage:
    """The package of a recipe, quantized where the work folder has none."""
    name = f"{subject.checkpoint}-{subject.window_s}s-{label.replace(', ', '-').replace(' ', '-')}"
    folder = corpora.folder / "packages" / name
    if not is_package(folder):
        recipe = recipe_from(recipes[label])
        calibration = "calibration_long" if recipe.observing else "calibration"
        package = pipeline.quantize(
            checkpoint(subject.checkpoint),
            corpora.manifest(calibration),
            recipe,
            window_samples=subject.window_s * SAMPLE_RATE_HZ,
            language=subject.language,
        )
        save_package(package, folder)
    return load_package(folder)


def measured(
    subject: Subject, label: str, corpora: Corpora, recipes: Recipes = RECIPES
) -> Measured:
    """A recipe's package, what it hears, and what it takes on the Cortex-M55."""
    package = made(subject, label, corpora, recipes)
    heard = (corpora.native(package, names) for names in (EVALUATION_VOICES, HUMAN))
    model = pipeline.packaged_model(package)
    programs = pipeline.compile_model(model, pipeline.find_target(BOARD)).programs
    names = [graph.name for graph in package.graphs]
    macs = (program.macs for program in programs)
    found = dict(zip(names, macs, strict=True))
    return Measured(Row(label, *heard), package, sizes(model, BOARD), found)


def points(found: Score, baseline: Score) -> tuple[str, str]:
    """Points over the baseline, and their 95 % interval.

    Paired by clip: both scores are of the same clips in the same order.
    """
    difference = compare(found, baseline)
    return f"{difference.points:+.2f}", f"{difference.low:+.2f} to {difference.high:+.2f}"


def accuracy(title: str, outside: Sequence[Row], baseline: Row, rows: Sequence[Row]) -> list[str]:
    """Word error rates; points are over `baseline`, the float graphs at the same window."""
    lines = []
    for row in (*outside, baseline, *rows):
        errors = row.synthetic.errors
        cells: list[object] = [
            row.label,
            f"{errors.wer:.2f}",
            f"{errors.substitutions} / {errors.deletions} / {errors.insertions}",
        ]
        for found, floats in ((row.synthetic, baseline.synthetic), (row.human, baseline.human)):
            if found is row.human:
                cells += [f"{found.errors.wer:.2f}", f"{again(found, RAW).errors.wer:.2f}"]
            cells += ("", "") if row is baseline else points(found, floats)
        lines.append(cells)
    head = [*"model|WER|S / D / I|points|95 % interval".split("|")]
    head += "people: WER|raw WER|points|95 % interval".split("|")
    counts = baseline.synthetic.errors.words, baseline.human.errors.words
    return [
        f"## Word error rate of {title}",
        "",
        f"In percent, over {counts[0]} words of {len(baseline.synthetic.clips)} synthetic clips"
        f" ({', '.join(EVALUATION_VOICES)} of flite) and {counts[1]} words of"
        f" {len(baseline.human.clips)} recordings of people, by transformers'"
        " EnglishTextNormalizer; raw: lower case without punctuation, numbers as written. Points"
        f" are over {baseline.label}, paired on the same clips. Quantized models are the packages'"
        " own files as generated C, compiled for this computer (`stapes wer --engine native`), in"
        " integer modes proved bit-equal to LiteRT's reference kernels on six of the clips;"
        " float graphs ran under LiteRT's optimised kernels (`AUTO`, XNNPACK). Recordings longer"
        " than the window are cut where they are quiet. See [metrics](metrics.md).",
        "",
        *page.table(head, lines),
        *(f"`{row.label}`: package sha256 `{row.synthetic.sha256}`  " for row in rows),
    ]


def deployed_bytes(package: SpeechPackage) -> int:
    """Bytes of a package without the float model, which is there only to compare with."""
    floats = {f"{graph.name}.float.tflite" for graph in package.graphs}
    floats |= {f"{table.name}.float.bin" for table in package.tables}
    return sum(len(data) for name, data in package.files().items() if name not in floats)


def memory(title: str, window_s: int, found: Sequence[Measured]) -> list[str]:
    """Package, flash and RAM on the Cortex-M55, and multiply-accumulates."""
    flash: list[Sequence[object]] = []
    ram: dict[str, dict[str, int]] = {}
    for one in found:
        linked, text = one.sizes.linked, one.sizes.text_bytes
        constants = linked.kind_bytes("constant")
        *before, (_, step) = one.macs.items()
        flash.append(
            (
                one.row.label,
                *(f"{n:,}" for n in (deployed_bytes(one.package), text, constants)),
                f"{text + constants:,}",
                f"{one.sizes.predicted.kind_bytes('ram'):,}",
                *(f"{macs / window_s / 1e6:.1f}" for _, macs in before),
                f"{step / 1e6:.1f}",
            )
        )
        for row in one.sizes.predicted.rows:
            if row.kind in ("ram", "caller"):
                ram.setdefault(row.component, {})[one.row.label] = row.size_bytes
    stages = [f"{name}, M MAC/s" for name in list(found[0].macs)[:-1]] if found else []
    head = ("recipe", "package", "text", "constants", "flash", "RAM", *stages, "M MAC/token")
    labels = [one.row.label for one in found]
    components = [
        (name, *(f"{sizes.get(label, 0):,}" for label in labels)) for name, sizes in ram.items()
    ]
    return [
        f"## Memory and work of {title}",
        "",
        "Bytes on the Cortex-M55 (mps3-an547-ddr: arena and weights in its DDR). The package is"
        " without the float model that WER is compared with."
        " Flash is text and constants as linked; text has start-up and semihosting in it. M MAC/s"
        " are millions of multiply-accumulates a second of audio, M MAC/token those of one step of"
        " the decoder.",
        "",
        *page.table(head, flash),
        "RAM by component, as predicted; the caller's PCM is not part of the sum above:",
        "",
        *page.table(("component", *labels), components),
    ]


def float_row(subject: Subject, package: SpeechPackage, corpora: Corpora) -> Row:
    """What a package's float graphs hear at the subject's window."""
    scores = (corpora.floats(package, names) for names in (EVALUATION_VOICES, HUMAN))
    return Row(f"fp32, {subject.window_s} s", *scores)


def sections(
    subject: Subject, corpora: Corpora, labels: Sequence[str], qemu: bool
) -> list[list[str]]:
    """All that is said of a subject; a recipe that cannot be made is said to be missing."""
    found, missing = [], []
    for label in labels:
        print(f"measuring: {subject.title}, {label}", flush=True)
        try:
            found.append(measured(subject, label, corpora))
        except UserError as error:
            print(f"  not made: {error}", flush=True)
            missing.append(f"- not made: {label}")
    if not found:
        return []
    engine, label = HuggingFace(subject.checkpoint), f"fp32, transformers, {subject.native}"
    key = f"{label}, {subject.checkpoint}"
    sets = (EVALUATION_VOICES, HUMAN)
    native = Row(label, *(corpora.outside(key, engine, names) for names in sets))
    floats = float_row(subject, found[0].package, corpora)
    rows = [one.row for one in found]
    packages = {one.row.label: one.package for one in found if one.row.label in COMPARED}
    return [
        [*accuracy(subject.title, [native], floats, rows), *missing],
        memory(subject.title, subject.window_s, found),
        *(tokens_section(subject.title, packages, corpora) if subject.on_qemu else []),
        *([bits_section(subject.title, packages, corpora, subject.on_qemu)] if qemu else []),
    ]


def arguments(doc: str | None, only: str) -> argparse.ArgumentParser:
    """What all commands take that measure models for docs/results.md; `only` is said of --only."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else "")
    parser.add_argument("--work", type=Path, default=Path("build/results-models"))
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--only", default="", help=only)
    return parser


def main() -> None:
    """Measure and write the page's sections."""
    parser = arguments(__doc__, "models and recipes whose names have this")
    parser.add_argument("--without-qemu", action="store_true", help="leave the bits' section")
    given = parser.parse_args()
    corpora = Corpora(given.work)
    only = given.only.lower()
    for subject, recipes in MEASURED.items():
        labels = [each for each in recipes if only in f"{subject.title}, {each}".lower()]
        qemu = subject.on_qemu > 0 and not given.without_qemu
        found = sections(subject, corpora, labels, qemu)
        if found:
            page.write(given.page, found)


if __name__ == "__main__":
    main()
