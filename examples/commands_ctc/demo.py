# SPDX-License-Identifier: Apache-2.0
"""Spoken commands to text on an emulated Cortex-M55, from the bundled checkpoint.

Sentences are drawn by seed and spoken by flite's awb, a voice that training never heard; the
checkpoint is quantized, written as C, compiled, and run under QEMU.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from codegen.build import BuildRequest, build
from codegen.errors import StapesError
from codegen.evaluate.corpus import read_manifest, read_pcm
from codegen.evaluate.wer import score
from codegen.ptq.recipe import Recipe
from codegen.report.text import build_view, to_text
from codegen.target import load_target
from codegen.toolchain.project import run
from examples.commands_ctc import data

CHECKPOINT = Path(__file__).resolve().parent / "checkpoint"
TARGET = "mps3-an547"


def main() -> int:
    """Run the demo; 0 when every recording went through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/demo"))
    parser.add_argument("--count", type=int, default=12, help="how many sentences are spoken")
    parser.add_argument("--seed", type=int, default=1, help="which sentences")
    arguments = parser.parse_args()
    try:
        return demo(arguments.output, arguments.count, arguments.seed)
    except StapesError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code


def demo(output: Path, count: int, seed: int) -> int:
    """Speak, build, run and compare."""
    say("1. Calibration speech of the training voices (flite, espeak-ng)")
    calibration = speak(output / "calibration", data.splits()["calibration"])
    say(f"2. {count} sentences of an unseen voice (flite awb), drawn with seed {seed}")
    drawn = data.draw("evaluation", data.EVALUATION_VOICES, 8 * count, 1000 + seed, vary=False)
    unseen = list({utterance.text: utterance for utterance in drawn}.values())[:count]
    manifest = speak(output / f"unseen-{seed}-{count}", unseen)
    say(f"3. Checkpoint to C for {TARGET}")
    request = BuildRequest(
        CHECKPOINT,
        load_target(TARGET),
        Recipe.for_mode("static8"),
        calibration=calibration,
        data=manifest,
        jobs=2,
    )
    report = build(request, output / "built", overwrite=True, notify=lambda t: say(f"   {t}"))
    print(to_text(build_view(report)))
    say("4. The firmware under QEMU, a Cortex-M55 with MVE: PCM in, text out")
    clips = read_manifest(manifest)
    payloads = [read_pcm(clip.path, data.SAMPLE_RATE_HZ).tobytes() for clip in clips]
    built = output / "built"
    records = run(built / "project", payloads, firmware=built / "firmware.elf")
    texts = [record.text for record in records]
    result = score("QEMU", report.sha256, [c.name for c in clips], [c.text for c in clips], texts)
    for clip, record in zip(result.clips, records, strict=True):
        print(f"  said   {clip.reference}")
        print(f"  heard  {clip.hypothesis}")
        print(f"         {record.instructions / 1e6:.1f} M instructions, {clip.name}")
    errors = result.errors
    print(
        f"\nWER on QEMU {errors.wer:.1f} % over {errors.words} words ({errors.substitutions} "
        f"substituted, {errors.deletions} missing, {errors.insertions} added)"
    )
    print(f"Everything is in {built}; {built / 'report.html'} is the page above in a browser.")
    failed = [record.status_text for record in records if record.status != 0]
    return 1 if failed else 0


def speak(folder: Path, utterances: list[data.Utterance]) -> Path:
    """The manifest of these utterances, synthesised unless the folder has them already."""
    manifest = folder / "manifest.jsonl"
    wanted = [utterance.text for utterance in utterances]
    if manifest.is_file():
        lines = manifest.read_text(encoding="utf-8").splitlines()
        if [json.loads(line)["text"] for line in lines] == wanted:
            return manifest
    data.write_split(folder, utterances)
    return manifest


def say(text: str) -> None:
    """Tell what is being done."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
