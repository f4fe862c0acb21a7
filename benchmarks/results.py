# SPDX-License-Identifier: Apache-2.0
"""Measures what docs/results.md says of the small models, and writes it.

python -m benchmarks.results [--work build/results] [--page docs/results.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import page
from benchmarks.agreement import Agreement, agreement
from benchmarks.memory import GAPS, Sizes, sizes
from benchmarks.mutations import Outcome, survive
from benchmarks.subjects import BOARDS, FOREIGN, FOREIGN_FOLDER, MODES, Subjects
from benchmarks.tflm import FIGURES
from codegen import measure
from codegen.evaluate.wer import WerReport

SPEECH_RECORDS = 20
RANDOM_RECORDS = 50
QEMU_CLIPS = 50
MUTATIONS = 10_000
_JOBS = 2


def wer_report(subjects: Subjects, mode: str, split: str) -> WerReport:
    """The package's .tflite on a split under the reference kernels, beside the float model."""
    package = subjects.package(mode)
    resolver = measure.DEFAULT_RESOLVER
    engine = measure.recognizer(package, resolver)
    name = measure.interpreter_name(resolver)
    return measure.measure(package, subjects.manifest(split), engine, name, jobs=_JOBS)


def accuracy(subjects: Subjects) -> list[str]:
    """Word error rates, float and quantized, of every set that is not for training."""
    rows = []
    for split, voices in (
        ("evaluation", "awb, 150 sentences that training never had"),
        ("awb_training_texts", "awb, 150 sentences of the training's pool"),
        ("evaluation_300", "awb and 15 more unseen voices, 300 unseen sentences"),
    ):
        for mode in MODES:
            report = wer_report(subjects, mode, split)
            assert report.baseline
            assert report.difference
            quantized, difference = report.score.errors, report.difference
            rows.append(
                (
                    voices,
                    mode,
                    quantized.words,
                    f"{report.baseline.errors.wer:.2f}",
                    f"{quantized.wer:.2f}",
                    f"{quantized.substitutions} / {quantized.deletions} / {quantized.insertions}",
                    f"{difference.points:+.2f}",
                    f"{difference.low:+.2f} to {difference.high:+.2f}",
                )
            )
    head = ("set", "mode", "words", "float", "quantized", "S / D / I", "points", "95 % interval")
    hashes = [f"`{mode}`: sha256 `{subjects.package(mode).graphs[0].sha256}`  " for mode in MODES]
    return [
        "## Word error rate of the commands model",
        "",
        "In percent, of the packages' own files under LiteRT's reference kernels; points are",
        "quantized minus float, paired on the same clips. See [metrics](metrics.md).",
        "",
        *page.table(head, rows),
        *hashes,
        "",
    ]


def on_qemu(subjects: Subjects) -> list[str]:
    """The emulated Cortex-M55 beside the host's interpreter, text by text."""
    case = subjects.speech_case("static8", "evaluation", QEMU_CLIPS)
    found = agreement(case, "mps3-an547")
    return [
        "## Transcripts on the emulated Cortex-M55",
        "",
        f"{found.count} recordings of awb, static8, fed in 10 ms blocks: {found.equal_texts} texts"
        f" and the logits of {found.equal_bytes} equal the host interpreter's, so the WER is the"
        f" same. A window takes {found.instructions:,} instructions at most, features included.",
        "",
    ]


def bits(subjects: Subjects) -> list[str]:
    """Every model on every board, byte for byte."""
    cases = {
        f"commands {mode}": subjects.speech_case(mode, "evaluation", SPEECH_RECORDS)
        for mode in MODES
    } | {name: subjects.foreign_case(name, RANDOM_RECORDS) for name in FOREIGN}
    found: dict[str, list[Agreement]] = {
        name: [agreement(case, target) for target in BOARDS] for name, case in cases.items()
    }
    rows = [
        (name, *(f"{a.equal_bytes} of {a.count}" for a in agreements))
        for name, agreements in found.items()
    ]
    counts = [
        (name, *(f"{a.instructions:,}" for a in agreements[1:]))
        for name, agreements in found.items()
    ]
    return [
        "## Bits",
        "",
        "Inputs for which the C's output bytes equal LiteRT's reference kernels (`BUILTIN_REF`);",
        "for the commands model from PCM on, and the text too. Random inputs for the others.",
        "",
        *page.table(("model", *BOARDS.values()), rows),
        "Instructions for one input, the most of those inputs (QEMU's count, not cycles; portable",
        "C kernels, GCC 12 -O2):",
        "",
        *page.table(("model", *list(BOARDS.values())[1:]), counts),
    ]


def memory(subjects: Subjects) -> list[str]:
    """RAM and text on the Cortex-M55, and predictions beside ELFs on all boards."""
    measured: dict[tuple[str, str], Sizes] = {
        (name, target): sizes(model, target)
        for name, model in subjects.models.items()
        for target in list(BOARDS)[1:]
    }
    rows = []
    for name in subjects.models:
        found = measured[name, "mps3-an547"]
        ram = found.predicted.kind_bytes("ram")
        theirs = FIGURES[name]
        rows.append(
            (
                name,
                f"{found.arena_bytes:,}",
                f"{found.lower_bound_bytes:,}",
                f"{theirs.activations:,}",
                f"{ram:,}",
                f"{theirs.arena:,}",
                f"{found.predicted.kind_bytes('constant'):,}",
                f"{found.text_bytes:,}",
                f"{theirs.text:,}" if theirs.text else "",
            )
        )
    head = (
        "model",
        "arena",
        "lower bound",
        "TFLM activations",
        "total RAM",
        "TFLM arena",
        "constants",
        "text",
        "TFLM text",
    )
    gaps = [
        (
            name,
            BOARDS[target],
            f"{found.predicted.kind_bytes('ram'):,}",
            f"{found.predicted.kind_bytes('constant'):,}",
            *found.gaps,
        )
        for (name, target), found in measured.items()
    ]
    return [
        "## Memory",
        "",
        "Bytes on the Cortex-M55. The arena holds activations, scratch and the front end's",
        "buffers; total RAM adds the stack's reserve and the transcript. TFLM's arena holds",
        "activations and its interpreter, and no stack (benchmarks/tflm.py says how it was",
        "measured).",
        "",
        *page.table(head, rows),
        "Predicted before compiling, beside what was linked:",
        "",
        *page.table(("model", "board", "RAM", "constants", *GAPS), gaps),
    ]


def hostile(subjects: Subjects) -> list[str]:
    """Damaged files through the whole right half of the pipeline."""
    outcome = damaged(subjects, MUTATIONS)
    return [
        "## Damaged files",
        "",
        f"{outcome.files:,} seeded mutations of three .tflite files through read, lower, plan and"
        f" emit: {outcome.refused:,} refused with a sentence, {outcome.projects:,} became projects,"
        f" {len(outcome.failures)} did anything else. {outcome.ran} of the projects, a sample, were"
        f" compiled and ran clean under ASan and UBSan. Peak memory"
        f" {outcome.peak_bytes / 2**20:.0f} MiB a process.",
        "",
        *(f"- {failure}" for failure in outcome.failures[:20]),
    ]


def damaged(subjects: Subjects, count: int) -> Outcome:
    """`count` mutations of three files: the commands model in static8, and other people's two."""
    files = {path.name: path.read_bytes() for path in sorted(FOREIGN_FOLDER.glob("*.tflite"))}
    return survive({**files, "commands.tflite": subjects.package("static8").graphs[0].data}, count)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/results"))
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    arguments = parser.parse_args()
    subjects = Subjects(arguments.work)
    sections = [accuracy, on_qemu, bits, memory, hostile]
    measured = []
    for section in sections:
        print(f"measuring: {section.__name__}", flush=True)
        measured.append(section(subjects))
    page.write(arguments.page, measured)


if __name__ == "__main__":
    main()
