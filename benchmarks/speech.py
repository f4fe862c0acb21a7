# SPDX-License-Identifier: Apache-2.0
"""Read sentences from text-to-speech: `python -m benchmarks.speech FOLDER [--sentences FILE]`.

Writes FOLDER/calibration (a manifest.jsonl and WAV files of 16 kHz) and, of the sentences in FILE,
one a line, FOLDER/{slt,rms,awb} by the flite voices of these names. The calibration shares no
voice and no sentence with them: a sentence of both is an error. flite and espeak-ng must be
installed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE_HZ = 16000
EVALUATION_VOICES = ("flite:slt", "flite:rms", "flite:awb")
CALIBRATION_VOICES = (
    *("flite:kal16", "espeak:en-us", "flite:kal", "espeak:en-gb+f3", "flite:kal16"),
    *("espeak:en-us+m5", "espeak:en-gb-scotland", "espeak:en-us+f2"),
)
#: Peaks in fractions of full scale, in turn: near, usual, far.
PEAKS = (0.9, 0.4, 0.1)
CALIBRATION = (
    "The committee will meet again on Wednesday afternoon.",
    "Could you tell me where the nearest pharmacy is?",
    "My brother repairs old radios in his garage.",
    "We missed the last ferry and slept at the harbour.",
    "Turn left after the second traffic light.",
    "Eleven volunteers planted trees along the highway.",
    "The museum charges nothing on the first Sunday.",
    "Her flight from Chicago was delayed by three hours.",
    "I would like two tickets for the evening show.",
    "Nobody remembered to water the tomatoes.",
    "Our neighbours adopted a very noisy parrot.",
    "The recipe asks for half a teaspoon of salt.",
    "He practised the speech in front of a mirror.",
    "Snow covered the valley before the end of October.",
    "Please forward this message to everybody in the office.",
    "A yellow bicycle leaned against the bakery window.",
    "The engineers measured the bridge twice.",
    "What time does the library close on Fridays?",
    "She borrowed my umbrella and never returned it.",
    "Several passengers complained about the broken heater.",
    "The judge asked both lawyers to approach.",
    "It took them forty minutes to change the tyre.",
    "Thanks for calling, we will be with you shortly.",
    "Wild horses still graze on the northern islands.",
    "The quarterly figures exceeded every forecast.",
    "Yes, I think that would be perfectly fine.",
    "Good morning.",
    "Dolphins followed our boat for several miles.",
    "Grandfather keeps his medals in a wooden drawer.",
    "Just a moment, let me check the calendar.",
)


def spoken(text: str, voice: str) -> NDArray[np.int16]:
    """`text` by a voice of flite or espeak-ng, int16 (samples,) at 16 kHz."""
    program, _, name = voice.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.wav")
        if program == "flite":
            command = ["flite", "-voice", name, "-t", text, "-o", path]
        else:
            command = ["espeak-ng", "-v", name, "-s", "150", "-w", path, text]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = soundfile.read(path, dtype="int16")
    if rate == SAMPLE_RATE_HZ:
        return np.asarray(samples, np.int16)
    resampled = resample_poly(samples.astype(np.float64), SAMPLE_RATE_HZ, rate)
    clipped: NDArray[np.int16] = np.clip(np.rint(resampled), -32768, 32767).astype(np.int16)
    return clipped


def to_peak(samples: NDArray[np.int16], peak: float) -> NDArray[np.int16]:
    """The samples scaled so that the largest is `peak` of full scale."""
    scaled = samples * (peak * 32767.0 / max(1, int(np.abs(samples.astype(np.int32)).max())))
    result: NDArray[np.int16] = np.rint(scaled).astype(np.int16)
    return result


def normalised(text: str) -> str:
    """A sentence as two sets are compared by it.

    >>> normalised("It's easy, isn't it?")
    'its easy isnt it'
    """
    return re.sub(r"[^a-z0-9 ]", "", text.lower())


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


def calibration(folder: Path) -> Path:
    """The calibration set's manifest."""
    turns = zip(CALIBRATION, cycle(CALIBRATION_VOICES), cycle(PEAKS), strict=False)
    return write_set(folder, ((text, to_peak(spoken(text, v), peak)) for text, v, peak in turns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=Path, help="what the evaluation voices read")
    given = parser.parse_args()
    sentences = []
    if given.sentences is not None:
        lines = given.sentences.read_text(encoding="utf-8").splitlines()
        sentences = [line.strip() for line in lines if line.strip()]
    shared = {normalised(s) for s in sentences} & {normalised(s) for s in CALIBRATION}
    if shared:
        raise SystemExit(f"in both sets: {', '.join(sorted(shared))}")
    print(calibration(given.folder / "calibration"))
    for voice in EVALUATION_VOICES if sentences else ():
        folder = given.folder / voice.partition(":")[2]
        print(write_set(folder, ((text, spoken(text, voice)) for text in sentences)))


if __name__ == "__main__":
    main()
