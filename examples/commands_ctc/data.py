# SPDX-License-Identifier: Apache-2.0
"""Spoken commands from text-to-speech: the grammar, the voices, the splits, and their manifests.

`python -m examples.commands_ctc.data FOLDER` writes calibration/, development/, evaluation/ and
others as WAV files with a manifest.jsonl each. flite and espeak-ng must be installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE_HZ = 16000
#: 321 frames of the front end, 4 n + 1 as the network likes it.
WINDOW_SAMPLES = 160 * 320 + 400
BLANK = "<blank>"
DIGITS = "zero one two three four five six seven eight nine".split()
ROOMS = "kitchen bedroom bathroom garage".split()
DEVICES = "light fan heater door".split()
_OTHERS = (
    "close degrees down in lock minutes music off on open play set start stop temperature"
    " the timer to turn up volume"
)
VOCABULARY = [BLANK, *sorted({*DIGITS, *ROOMS, *DEVICES, *_OTHERS.split()})]

_FLITE = {"slt": 90, "rms": 90, "kal16": 50, "kal": 25}
_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan")
_VARIANTS = (
    "m1 m2 m4 m5 m6 m7 f1 f3 f4 f5 adam anika boris david ed edward iven john klatt klatt4"
    " linda michael pablo robert shelby steph travis victor Alex Alicia Andrea Gene Jacky Lee Mario"
).split()
#: More than half of the training is flite, whose voices come from recordings.
TRAINING_VOICES = [f"flite:{v}" for v, share in _FLITE.items() for _ in range(share)] + [
    f"espeak:{a}+{v}" for a in _ACCENTS for v in _VARIANTS
]
#: Groups of voices that share nothing with each other or with the training, except that
#: espeak-ng 1.51 has one voice for en-gb, whatever variant is asked of it: half of this group was
#: heard in training. It has the variants of en, which is the same accent.
DEVELOPMENT_VOICES = [
    f"espeak:{a}+{v}" for a in ("en-us", "en-gb") for v in ("m3", "f2", "Andy", "Annie", "klatt2")
]
EVALUATION_VOICES = ["flite:awb"]
OTHER_EVALUATION_VOICES = [
    f"espeak:{a}+{v}"
    for a in ("en-us", "en", "en-us-nyc")
    for v in ("m8", "belinda", "max", "Mike", "paul")
]
#: Shares of the grammar's sentences, in twentieths: no sentence is in two pools.
_POOLS = ("training",) * 13 + ("calibration",) * 2 + ("development",) * 2 + ("evaluation",) * 3


@dataclass(frozen=True)
class Utterance:
    """What to say, by whom, and the seed of its delivery: as people differ, or only in pace."""

    text: str
    voice: str
    seed: int
    vary: bool


def sentence(rng: random.Random) -> str:
    """One sentence of the grammar."""
    kind = rng.random()

    def digit() -> str:
        return rng.choice(DIGITS)

    def room() -> str:
        return rng.choice(ROOMS)

    if kind < 0.30:
        return " ".join(digit() for _ in range(rng.randint(2, 5)))
    if kind < 0.55:
        return f"turn {rng.choice(['on', 'off'])} the {room()} {rng.choice(DEVICES)}"
    if kind < 0.65:
        return f"{rng.choice(['open', 'close', 'lock'])} the {room()} door"
    if kind < 0.75:
        return f"set temperature to {digit()} {digit()} degrees"
    if kind < 0.85:
        return f"{rng.choice(['start', 'stop'])} timer {digit()} {digit()} minutes"
    if kind < 0.93:
        return f"volume {rng.choice(['up', 'down'])} {digit()}"
    return f"play music in the {room()}"


def fragment(rng: random.Random) -> str:
    """Words in no order, half of the time around a piece of a sentence of the training pool.

    Training then hears each word among all others. "to" comes in pieces only: nothing but the
    order of words tells it from "two".
    """
    words = [word for word in VOCABULARY if word not in (BLANK, "to")]
    loose = [rng.choice(words) for _ in range(rng.randint(2, 5))]
    if rng.random() < 0.5:
        return " ".join(loose)
    whole = sentence(rng).split()
    while pool(" ".join(whole)) != "training":
        whole = sentence(rng).split()
    first = rng.randrange(max(1, len(whole) - 2))
    at = rng.choice([0, 1])
    return " ".join(loose[:at] + whole[first : first + 3] + loose[at : at + rng.randint(0, 1)])


def pool(text: str) -> str:
    """The pool that a sentence belongs to, by its SHA-256."""
    return _POOLS[hashlib.sha256(text.encode()).digest()[0] % len(_POOLS)]


def draw(
    pools: str, voices: list[str], count: int, seed: int, vary: bool, fragments: float = 0.0
) -> list[Utterance]:
    """`count` utterances of one pool's sentences; `fragments` is the share of loose words.

    With `vary` for training; without, the voice as it is but for its pace and pitch, so that a
    sentence drawn twice is not the same recording twice.
    """
    rng = random.Random(seed)
    found: list[Utterance] = []
    while len(found) < count:
        text = fragment(rng) if rng.random() < fragments else sentence(rng)
        if pool(text) == pools:
            number = seed * 1_000_003 + len(found)
            found.append(Utterance(text, rng.choice(voices), number, vary))
    return found


def _synthesize(utterance: Utterance) -> NDArray[np.float64]:
    engine, voice = utterance.voice.split(":")
    text, rng, vary = utterance.text, random.Random(utterance.seed), utterance.vary
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "flite":
            text = text.replace(" ", ", ") if vary and rng.random() < 0.1 else text
            pace = rng.uniform(0.8, 1.2) if vary else rng.uniform(0.9, 1.1)
            pitch = rng.uniform(0.75, 1.35) if vary else rng.uniform(0.95, 1.05)
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={pace:.3f}"]
            command += ["--setf", f"f0_shift={pitch:.3f}", "-t", text, "-o", file.name]
        else:
            words_a_minute = rng.randint(110, 200) if vary else rng.randint(150, 180)
            pitch = rng.randint(15, 85) if vary else rng.randint(45, 55)
            gap = rng.choice([0, 0, 0, 2, 5]) if vary else 0
            command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute)]
            command += ["-p", str(pitch), "-g", str(gap), "-w", file.name, text]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pcm, rate = soundfile.read(file.name, dtype="float64")
    divisor = int(np.gcd(rate, SAMPLE_RATE_HZ))
    return np.asarray(resample_poly(pcm, SAMPLE_RATE_HZ // divisor, rate // divisor))


def _vary(pcm: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Another vocal tract and pace, silence around, noise, and a level of -36 to -1 dB."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.8:
        pcm = resample_poly(pcm, 100, int(rng.integers(84, 121)))
    if len(pcm) > WINDOW_SAMPLES - 400:
        pcm = resample_poly(pcm, 100, 1 + 100 * len(pcm) // (WINDOW_SAMPLES - 400))
    pcm = pcm / (np.abs(pcm).max() + 1e-9)
    silence = rng.uniform(0.0, 0.5, 2) * min(WINDOW_SAMPLES - len(pcm), 9600)
    pcm = np.pad(pcm, (int(silence[0]), int(silence[1])))
    if rng.random() < 0.4:
        noise = rng.normal(size=len(pcm))
        for _ in range(int(rng.integers(0, 3))):  # white, or falling by 6 or 12 dB an octave
            noise = noise + np.convolve(noise, 0.95 ** np.arange(100))[: len(noise)]
        gain = np.sqrt(np.mean(pcm**2) / np.mean(noise**2)) * 10 ** (-rng.uniform(8, 40) / 20)
        pcm = pcm + noise * gain
    level = 10 ** (rng.uniform(-36, -1) / 20)
    return np.asarray(pcm / np.abs(pcm).max() * level)


def render(utterance: Utterance) -> NDArray[np.int16]:
    """The utterance as 16 kHz PCM (samples,); without variation its peak is half of full scale."""
    pcm = _synthesize(utterance)
    half = pcm / (np.abs(pcm).max() + 1e-9) * 0.5
    pcm = _vary(pcm, utterance.seed) if utterance.vary else half
    return np.rint(pcm * 32767.0).astype(np.int16)


def splits() -> dict[str, list[Utterance]]:
    """Every set but the training's; evaluation holds awb alone, evaluation_300 more voices."""
    awb = draw("evaluation", EVALUATION_VOICES, 150, 11, vary=False)
    return {
        "calibration": draw("calibration", TRAINING_VOICES, 240, 3, vary=True),
        "development": draw("development", DEVELOPMENT_VOICES, 150, 5, vary=False),
        "evaluation": awb,
        "evaluation_300": awb + draw("evaluation", OTHER_EVALUATION_VOICES, 150, 13, vary=False),
        "awb_training_texts": draw("training", EVALUATION_VOICES, 150, 17, vary=False),
    }


def write_split(folder: Path, utterances: list[Utterance], processes: int = 2) -> None:
    """WAV files and manifest.jsonl ({"audio", "text", "voice"} a line) in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    # spawn: the caller may hold threads, which a fork would not carry over
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        clips = workers.map(render, utterances, chunksize=8)
    lines = []
    for number, (utterance, pcm) in enumerate(zip(utterances, clips, strict=True)):
        name = f"{number:04d}.wav"
        soundfile.write(folder / name, pcm, SAMPLE_RATE_HZ, subtype="PCM_16")
        lines.append({"audio": name, "text": utterance.text, "voice": utterance.voice})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")


def main() -> None:
    """Write the sets that are named, or all."""
    available = splits()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(available), action="append")
    arguments = parser.parse_args()
    for name in arguments.only or available:
        write_split(arguments.folder / name, available[name])
        print(f"{name}: {len(available[name])} utterances in {arguments.folder / name}")


if __name__ == "__main__":
    main()
