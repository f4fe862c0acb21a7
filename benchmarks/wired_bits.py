# SPDX-License-Identifier: Apache-2.0
"""Encoder-decoders from PCM to text, bit by bit: LiteRT's reference kernels, host C, QEMU."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks import page
from benchmarks.agreement import Agreement, agreement, answers
from benchmarks.heard import Corpora, project_sha256
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.subjects import Case, package_case
from codegen import measure, pipeline
from codegen.native import BIT_EXACT_MODES
from codegen.package import SpeechPackage

#: The Cortex-M55 board with its arena in DDR, since a cache of floats exceeds its SRAM.
BOARD = "mps3-an547-ddr"


def case(package: SpeechPackage, pcm: np.ndarray) -> Case:
    """A recording, and the text, tokens and digests of logits that are to be equalled.

    They are those of LiteRT's reference kernels, and for dynamic8, whose floats these sum in
    another order, those of the C on this computer.
    """
    if package.recipe["mode"] in BIT_EXACT_MODES:
        return package_case(package, [pcm])
    asked = Case(pipeline.packaged_model(package), (pcm.astype("<i2").tobytes(),), (), ())
    (found,) = answers(asked, "host")
    return replace(asked, outputs=(found.outputs,), texts=(found.text,))


def kept(folder: Path, package: SpeechPackage, pcm: np.ndarray, target: str) -> Agreement:
    """A recording's agreement on a target, from `folder` where it is there."""
    key = hashlib.sha256(project_sha256(package, target).encode() + pcm.tobytes()).hexdigest()
    path = folder / f"{key}.json"
    if not path.is_file():
        found = agreement(case(package, pcm), target)
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".fresh")
        fresh.write_text(json.dumps(asdict(found)), encoding="utf-8")
        fresh.rename(path)
    plain = json.loads(path.read_text(encoding="utf-8"))
    return Agreement(**{**plain, "texts": tuple(plain["texts"])})


def together(found: Sequence[Agreement]) -> Agreement:
    """Several recordings' agreement on one target."""
    return replace(
        found[0],
        count=sum(one.count for one in found),
        equal_bytes=sum(one.equal_bytes for one in found),
        equal_texts=sum(one.equal_texts for one in found),
        texts=tuple(text for one in found for text in one.texts),
        instructions=max(one.instructions for one in found),
    )


def bits_section(
    title: str, packages: Mapping[str, SpeechPackage], corpora: Corpora, count: int
) -> list[str]:
    """`count` recordings of each package on this computer and on the emulated Cortex-M55."""
    rows = []
    for label, package in packages.items():
        # another sentence by each voice
        clips = [corpora.clips([voice])[n] for n, voice in enumerate(EVALUATION_VOICES[:count])]
        sounds = measure.read_clips(package, clips)
        cells = []
        for target in ("host", BOARD):
            print(f"  bits of {label} on {target}", flush=True)
            place = corpora.folder / "bits"
            found = together([kept(place, package, pcm, target) for pcm in sounds])
            cells += [f"{found.equal_bytes} of {found.count}", f"{found.equal_texts}"]
        exact = package.recipe["mode"] in BIT_EXACT_MODES
        reference = "`BUILTIN_REF`" if exact else "host C"
        rows.append((label, reference, *cells, f"{found.instructions:,}"))
    names = ("host", "M55")
    columns = [f"{name}: {what}" for name in names for what in ("tokens and logits", "texts")]
    head = ("recipe", "equal to", *columns, f"instructions, {names[-1]}")
    return [
        f"## Bits of {title}",
        "",
        "Recordings, from PCM to text, for which the generated C's text, its tokens and a digest of"
        " each step's logits equal those of LiteRT's reference kernels (`BUILTIN_REF`); in dynamic8"
        " those of the C on this computer. Instructions are the most of one recording, as QEMU"
        " counts them.",
        "",
        *page.table(head, rows),
    ]
