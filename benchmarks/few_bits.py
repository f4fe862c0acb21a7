# SPDX-License-Identifier: Apache-2.0
"""Measures recipes of few bits for docs/results.md, and writes it.

python -m benchmarks.few_bits [--work build/results-models] [--page docs/results.md] [--only TEXT]
    [--without-qemu]

Each was chosen on the development set (record 20 in docs/adr); the generated C is measured on the
evaluation's. As benchmarks.transcription it goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import page
from benchmarks.heard import Corpora
from benchmarks.transcription import (
    SUBJECTS,
    Recipes,
    Subject,
    accuracy,
    arguments,
    float_row,
    made,
    measured,
    memory,
)
from benchmarks.wired_bits import bits_section

MOONSHINE, WHISPER = SUBJECTS
WHISPER_BASE = Subject("Whisper base", "whisper-base", 10, "30 s", 1, "en")
_INT4 = {"mode": "dynamic8", "weight_bits": 4}
_INT4_BLOCKS = {**_INT4, "block_size": 32}
_INT3_BLOCKS = {**_INT4_BLOCKS, "weight_bits": 3}
_INT2_BLOCKS = {**_INT4_BLOCKS, "weight_bits": 2}
_HEAD = {"scope": "decoder/output_0", "weight_bits": 4, "block_size": 32}
_INT4_EVERYWHERE = {**_INT4_BLOCKS, "rules": [_HEAD]}
_STATIC16_INT4 = {"mode": "static16", "weight_bits": 4}
RECIPES: Mapping[Subject, Recipes] = {
    MOONSHINE: {
        "int4": {**_INT4, "methods": ["quarot", "gptq"]},
        "int4, blocks of 32": {**_INT4_BLOCKS, "methods": ["omniquant", "gptaq"]},
        "int4 everywhere, blocks of 32": {
            **_INT4_EVERYWHERE,
            "methods": ["omniquant", "gptaq"],
        },
        "int3, blocks of 32": {**_INT3_BLOCKS, "methods": ["gptq"]},
        "int2, blocks of 32": {**_INT2_BLOCKS, "methods": ["gptq"]},
        "static16, int4": {**_STATIC16_INT4, "methods": ["gptq"]},
    },
    WHISPER: {
        "int4": {**_INT4, "methods": ["quarot", "gptaq"]},
        "int4, blocks of 32": {**_INT4_BLOCKS, "methods": ["omniquant", "gptaq"]},
        "int4 everywhere, blocks of 32": {
            **_INT4_EVERYWHERE,
            "methods": ["omniquant", "gptaq"],
        },
        "int3, blocks of 32": {**_INT3_BLOCKS, "methods": ["gptq"]},
        "int2, blocks of 32": {**_INT2_BLOCKS, "methods": ["quarot", "gptaq"]},
        "static16, int4": {**_STATIC16_INT4, "methods": ["omniquant", "gptq"]},
    },
    WHISPER_BASE: {"int3, blocks of 32": {**_INT3_BLOCKS, "methods": ["gptq"]}},
}
#: Those that are compared bit by bit on the emulated Cortex-M55, of Moonshine.
IN_BITS = ("int4", "int3, blocks of 32")


def labelled(subject: Subject) -> Recipes:
    """A subject's recipes, called as benchmarks/methods.py does, whose packages are theirs."""
    return {f"{label}, {', '.join(r['methods'])}": r for label, r in RECIPES[subject].items()}


def sections(subject: Subject, corpora: Corpora, qemu: bool) -> list[list[str]]:
    """All that is said of a subject's recipes."""
    title, recipes = f"{subject.title}, few bits", labelled(subject)
    found = []
    for label in recipes:
        print(f"measuring: {title}, {label}", flush=True)
        found.append(measured(subject, label, corpora, recipes))
    floats = float_row(subject, made(subject, "dynamic8, int8", corpora), corpora)
    rows = [one.row for one in found]
    pairs = zip(RECIPES[subject], found, strict=True)
    compared = {one.row.label: one.package for label, one in pairs if label in IN_BITS}
    return [
        accuracy(title, [], floats, rows),
        memory(title, subject.window_s, found),
        *([bits_section(title, compared, corpora, subject.on_qemu)] if qemu else []),
    ]


def main() -> None:
    """Measure and write the page's sections."""
    parser = arguments(__doc__, "models whose names have this")
    parser.add_argument("--without-qemu", action="store_true", help="leave the bits' section")
    given = parser.parse_args()
    corpora = Corpora(given.work)
    for subject in RECIPES:
        if given.only.lower() in subject.title.lower():
            qemu = not given.without_qemu and subject is MOONSHINE
            page.write(given.page, sections(subject, corpora, qemu))


if __name__ == "__main__":
    main()
