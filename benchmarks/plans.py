# SPDX-License-Identifier: Apache-2.0
"""Measures what docs/results.md says of memory plans, and writes it.

python -m benchmarks.plans [--work build/results-models] [--page docs/results.md] [--only TEXT]

Bytes alive in each program, whole and in stripes; arenas beside their lower bounds; the price of
stripes in instructions on the emulated Cortex-M55; speech models' sizes, predicted and linked.
Packages are those of benchmarks.transcription and benchmarks.results, made where there are none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from unittest.mock import patch

from benchmarks import page
from benchmarks.agreement import Agreement, agreement
from benchmarks.heard import Corpora
from benchmarks.memory import GAPS, sizes
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.subjects import Subjects
from benchmarks.transcription import LONGEST, SUBJECTS, WHISPER_30_S, Subject, arguments, made
from benchmarks.wired_bits import BOARD, case
from codegen import measure, pipeline
from codegen.errors import UserError
from codegen.memory.liveness import intervals, peak_bytes
from codegen.package import SpeechPackage
from codegen.program import Program

MOONSHINE, WHISPER = SUBJECTS
#: By subject, recipes of benchmarks.transcription.
SPEECH: Mapping[Subject, tuple[str, ...]] = {
    MOONSHINE: ("static8, int8", "static16, int8", "dynamic8, int8"),
    WHISPER: ("static8, int8", "static8, int4", "static16, int8", "dynamic8, int8"),
    WHISPER_30_S: (LONGEST,),
}
#: Boards whose memories hold a speech model: two Cortex-M55, two Cortex-M85, and an STM32.
LARGE_BOARDS = (BOARD, "corstone-300", "corstone-310", "corstone-320", "stm32n657")
#: What stripes are priced with.
PRICED = "static8, int8"
#: What all recipes that are linked begin with: those that take the least RAM.
LINKED = "static8"
#: What `whole` stands in for.
STRIPE = "codegen.memory.stripe.stripe"


def speech_packages(corpora: Corpora, only: str) -> Iterator[tuple[Subject, str, SpeechPackage]]:
    """The subjects' packages whose titles have `only`."""
    for subject, labels in SPEECH.items():
        for label in labels:
            if only in f"{subject.title}, {label}".lower():
                yield subject, label, made(subject, label, corpora)


def models(corpora: Corpora, subjects: Subjects, only: str) -> dict[str, pipeline.Model]:
    """Every model by its name in tables."""
    small = {name: model for name, model in subjects.models.items() if only in name.lower()}
    return small | {
        f"{subject.title}, {label}": pipeline.packaged_model(package)
        for subject, label, package in speech_packages(corpora, only)
    }


def whole(program: Program) -> Program:
    """Instead of stripes."""
    return program


def plans(found: Mapping[str, pipeline.Model]) -> list[str]:
    """Bytes alive and arenas, model by model."""
    alive, arenas = [], []
    target = pipeline.find_target(BOARD)
    for name, model in found.items():
        print(f"planning: {name}", flush=True)
        start = time.perf_counter()
        compiled = pipeline.compile_model(model, target)
        seconds = time.perf_counter() - start
        print(f"  {seconds:.1f} s", flush=True)
        with patch(STRIPE, whole):
            given = pipeline.compile_model(model, target).programs
        for before, after in zip(given, compiled.programs, strict=True):
            peaks = [peak_bytes(intervals(program)) for program in (before, after)]
            again = 100 * (after.macs - before.macs) / max(1, before.macs)
            alive.append((name, after.name, *(f"{peak:,}" for peak in peaks), f"{again:.1f} %"))
        plan = compiled.plan
        gap = plan.total_bytes - plan.lower_bound_bytes
        said = "none" if not gap else f"{gap:,}" + (", proved least" if plan.optimal else "")
        arenas.append((name, f"{plan.total_bytes:,}", f"{plan.lower_bound_bytes:,}", said))
    return [
        "## Memory plans",
        "",
        "Bytes alive at the peak of each program, its own inputs and what others keep for it"
        " included, as lowered and in stripes, and the multiplications that stripes do again"
        " ([record 19](adr/0019-stripes.md)):",
        "",
        *page.table(("model", "program", "whole", "in stripes", "again"), alive),
        "Arenas on the Cortex-M55; the lower bound is the peak of live bytes in this order of"
        " steps:",
        "",
        *page.table(("model", "arena", "lower bound", "gap"), arenas),
    ]


def price(corpora: Corpora, subjects: Subjects) -> list[str]:
    """Instructions with and without stripes."""
    cases = {"commands static8": subjects.speech_case("static8", "evaluation", 1)}
    for subject in SUBJECTS:
        package = made(subject, PRICED, corpora)
        (pcm,) = measure.read_clips(package, corpora.clips(EVALUATION_VOICES[:1])[:1])
        cases[f"{subject.title}, {PRICED}"] = case(package, pcm)
    rows = []
    for name, one in cases.items():
        print(f"price of stripes: {name}", flush=True)
        striped = agreement(one, BOARD)
        with patch(STRIPE, whole):
            plain = agreement(one, BOARD)
        more = 100 * (striped.instructions / plain.instructions - 1)
        counts = [f"{each.instructions:,}" for each in (plain, striped)]
        rows.append((name, *counts, f"{more:.1f} %", _equal(plain), _equal(striped)))
    head = ("model", "whole", "in stripes", "more", "bits, whole", "bits, in stripes")
    return [
        "## Price of stripes",
        "",
        "Instructions for one recording on the emulated Cortex-M55, and whether output bytes and"
        " text equal those of LiteRT's reference kernels:",
        "",
        *page.table(head, rows),
    ]


def _equal(found: Agreement) -> str:
    return "equal" if found.complete else "DIFFERENT"


def linked(corpora: Corpora, only: str) -> list[str]:
    """Speech models' sizes on large boards, predicted and linked."""
    rows: list[tuple[str, ...]] = []
    for subject, label, package in speech_packages(corpora, only):
        if not label.startswith(LINKED):
            continue
        for board in LARGE_BOARDS:
            print(f"linking: {subject.title}, {label}, {board}", flush=True)
            name = f"{subject.title}, {label}"
            try:
                found = sizes(pipeline.packaged_model(package), board)
            except UserError as error:
                print(f"  {error}")
                rows.append((name, board, "", "", "does not fit", ""))
                continue
            predicted = (found.predicted.kind_bytes(kind) for kind in ("ram", "constant"))
            rows.append((name, board, *(f"{n:,}" for n in predicted), *found.gaps))
    head = ("model", "board", "RAM", "constants", *GAPS)
    return [
        "## Sizes of speech models, predicted and linked",
        "",
        "Bytes, predicted before compiling, and where the ELF differs:",
        "",
        *page.table(head, rows),
    ]


def main() -> None:
    """Measure and write the page's sections."""
    given = arguments(__doc__, "models whose names have this").parse_args()
    only = given.only.lower()
    corpora, subjects = Corpora(given.work), Subjects(given.work / "small")
    found = [plans(models(corpora, subjects, only))]
    if not only:
        found.append(price(corpora, subjects))
    page.write(given.page, [*found, linked(corpora, only)])


if __name__ == "__main__":
    main()
