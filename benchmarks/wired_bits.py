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
from benchmarks.litert import Watched
from benchmarks.speech import EVALUATION_VOICES
from benchmarks.subjects import BOARDS, Case
from codegen import measure, pipeline
from codegen.package import SpeechPackage

TARGETS = ("host", "mps3-an547")


def case(package: SpeechPackage, pcm: np.ndarray) -> Case:
    """A recording, and the text and the last step's outputs of what is to be equalled.

    That is LiteRT's reference kernels, and for dynamic8, whose floats they sum in another order,
    the C on this computer.
    """
    model, record = pipeline.packaged_model(package), (pcm.astype("<i2").tobytes(),)
    if package.recipe["mode"] == "dynamic8":
        (found,) = answers(Case(model, record, (), ()), "host")
        return Case(model, record, (found.outputs,), (found.text,))
    watched = Watched(package, measure.DEFAULT_RESOLVER)
    text = watched()(pcm)
    last = b"".join(output.tobytes() for output in watched.steps[-1])
    return Case(model, record, (last,), (text,))


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
        for target in TARGETS:
            print(f"  bits of {label} on {target}", flush=True)
            place = corpora.folder / "bits"
            found = together([kept(place, package, pcm, target) for pcm in sounds])
            cells += [f"{found.equal_bytes} of {found.count}", f"{found.equal_texts}"]
        reference = "host C" if package.recipe["mode"] == "dynamic8" else "`BUILTIN_REF`"
        rows.append((label, reference, *cells, f"{found.instructions:,}"))
    names = [BOARDS[target] for target in TARGETS]
    columns = [f"{name}: {what}" for name in names for what in ("outputs", "texts")]
    head = ("recipe", "equal to", *columns, f"instructions, {names[-1]}")
    return [
        f"## Bits of {title}",
        "",
        "Recordings, from PCM to text, for which the generated C's text and all outputs of the"
        " decoder's last step, the logits among them, equal those of LiteRT's reference kernels"
        " (`BUILTIN_REF`); in dynamic8 those of the C on this computer. A last step depends on all"
        " tokens before it. Instructions are the most of one recording, as QEMU counts them.",
        "",
        *page.table(head, rows),
    ]
