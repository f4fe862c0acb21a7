# SPDX-License-Identifier: Apache-2.0
"""Sets of English speech: `python -m benchmarks.speech FOLDER [SET ...]`.

Writes FOLDER/SET (a manifest.jsonl and WAV files of 16 kHz) of each named set, or of all:
calibration, which sets ranges; calibration_long, for methods that look at what matrices multiply;
development, which recipes are chosen on; and for evaluation alone slt, rms and awb, the flite
voices of these names, and human, eleven recordings of people. Calibration, development
and evaluation share no voice and no sentence: a set that would is an error.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks import human
from benchmarks.voices import SAMPLE_RATE_HZ, speaker, spoken, to_peak

EVALUATION_VOICES = ("slt", "rms", "awb")
CALIBRATION_VOICES = (
    *("flite:kal16", "espeak:en-us", "flite:kal", "espeak:en-gb", "flite:kal16"),
    *("espeak:en-us+m5", "espeak:en-gb-scotland", "espeak:en-us+f2"),
)
#: A decoder's matrices have hundreds of columns, and a sentence gives each a dozen rows.
LONG_CALIBRATION_VOICES = (
    *CALIBRATION_VOICES,
    *("flite:kal", "espeak:en-gb", "espeak:en-us+Andrea", "flite:kal16", "espeak:en-us+f1"),
    "espeak:en-029+m1",
)
#: Half of it by ked, whose voice was recorded; his clips alone say most of what people's would.
DEVELOPMENT_VOICES = (
    *("festival:ked_diphone", "espeak:en-us+m3", "festival:ked_diphone", "espeak:en+f4"),
    *("festival:ked_diphone", "espeak:en-us+Annie", "festival:ked_diphone", "espeak:en-gb-x-rp"),
)
#: Recipes differ by less than seventy sentences tell apart.
MORE_DEVELOPMENT_VOICES = (
    *("festival:ked_diphone", "espeak:en-us+m6", "festival:ked_diphone", "espeak:en-us+f5"),
    *("festival:ked_diphone", "espeak:en+m4", "festival:ked_diphone", "espeak:en-us+linda"),
    *("festival:ked_diphone", "espeak:en-us+Mike", "festival:ked_diphone"),
    *("espeak:en-us+m2", "festival:ked_diphone", "espeak:en+steph"),
)
#: Peaks in fractions of full scale, in turn: near, usual, far.
PEAKS = (0.9, 0.4, 0.1)
_SENTENCES = Path(__file__).resolve().parent / "data"


def sentences(name: str) -> tuple[str, ...]:
    """What a set's voices read, one sentence a line of its file."""
    lines = (_SENTENCES / f"{name}_sentences.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


CALIBRATION = sentences("calibration")
LONG_CALIBRATION = (*CALIBRATION, *sentences("calibration_more"))
DEVELOPMENT = sentences("development")
MORE_DEVELOPMENT = sentences("development_more")
EVALUATION = sentences("evaluation")


@dataclass(frozen=True)
class Utterance:
    """What is said, by which voice, and its peak in fractions of full scale; None as it comes."""

    text: str
    voice: str
    peak: float | None = None

    def samples(self) -> NDArray[np.int16]:
        """int16 (samples,) at 16 kHz."""
        said = spoken(self.text, self.voice)
        return said if self.peak is None else to_peak(said, self.peak)


def normalised(text: str) -> str:
    """A sentence as two sets are compared by it.

    >>> normalised("It's easy, isn't it?")
    'its easy isnt it'
    """
    return " ".join(re.sub(r"[^a-z0-9 ]", "", text.lower()).split())


def in_turn(texts: Sequence[str], voices: Sequence[str]) -> tuple[Utterance, ...]:
    """Each text once, the voices and the loudness in turn."""
    turns = zip(texts, cycle(voices), cycle(PEAKS), strict=False)
    return tuple(Utterance(*turn) for turn in turns)


def check_disjoint(groups: Mapping[str, Sequence[Utterance]]) -> None:
    """Raises SystemExit where two groups share a normalised sentence or a speaker."""
    for (one, its), (other, theirs) in combinations(groups.items(), 2):
        texts = {normalised(u.text) for u in its} & {normalised(u.text) for u in theirs}
        speakers = {speaker(u.voice) for u in its} & {speaker(u.voice) for u in theirs}
        if texts | speakers:
            raise SystemExit(f"in {one} and in {other}: {', '.join(sorted(texts | speakers))}")


def calibration_utterances() -> tuple[Utterance, ...]:
    """What sets ranges."""
    return in_turn(CALIBRATION, CALIBRATION_VOICES)


def long_calibration_utterances() -> tuple[Utterance, ...]:
    """What methods look at that fit matrices to their inputs."""
    return in_turn(LONG_CALIBRATION, LONG_CALIBRATION_VOICES)


def development_utterances() -> tuple[Utterance, ...]:
    """What recipes are chosen on."""
    more = in_turn(MORE_DEVELOPMENT, MORE_DEVELOPMENT_VOICES)
    return in_turn(DEVELOPMENT, DEVELOPMENT_VOICES) + more


def groups() -> dict[str, tuple[Utterance, ...]]:
    """What may share nothing: the three uses of speech, people's recordings not among them."""
    return {
        "calibration": calibration_utterances() + long_calibration_utterances(),
        "development": development_utterances(),
        "evaluation": tuple(u for voice in EVALUATION_VOICES for u in evaluation(voice)),
    }


def evaluation(voice: str) -> tuple[Utterance, ...]:
    """The evaluation's sentences by a voice of flite, as loud as flite makes them."""
    return tuple(Utterance(text, f"flite:{voice}") for text in EVALUATION)


def write_set(folder: Path, clips: Iterable[tuple[str, NDArray[np.int16]]]) -> Path:
    """A manifest of (text, samples) and its WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (text, samples) in enumerate(clips):
        name = f"{number:03d}.wav"
        soundfile.write(str(folder / name), samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        lines.append(json.dumps({"audio": name, "text": text}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _write(folder: Path, utterances: Sequence[Utterance]) -> Path:
    return write_set(folder, ((said.text, said.samples()) for said in utterances))


def calibration(folder: Path) -> Path:
    """The calibration set's manifest."""
    return _write(folder, calibration_utterances())


def _people(folder: Path) -> Path:
    recorded = human.clips()
    said = tuple(Utterance(text, f"people:{number}") for number, (text, _) in enumerate(recorded))
    check_disjoint(groups() | {"human": said})
    return write_set(folder, recorded)


#: Writes a set into a folder, and gives its manifest.
SETS: dict[str, Callable[[Path], Path]] = {
    "calibration": calibration,
    "calibration_long": lambda folder: _write(folder, long_calibration_utterances()),
    "development": lambda folder: _write(folder, groups()["development"]),
    **{
        voice: lambda folder, voice=voice: _write(folder, evaluation(voice))  # type: ignore[misc]
        for voice in EVALUATION_VOICES
    },
    "human": _people,
}


def main() -> None:
    """Write the sets that are named, or all, and print their manifests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; or all")
    given = parser.parse_args()
    unknown = [name for name in given.sets if name not in SETS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(SETS)}")
    check_disjoint(groups())
    try:
        for name in given.sets or SETS:
            print(SETS[name](given.folder / name))
    except RuntimeError as error:  # the recordings of people are fetched
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
