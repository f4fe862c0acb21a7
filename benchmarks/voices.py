# SPDX-License-Identifier: Apache-2.0
"""Text-to-speech by the programs of Debian, each voice written `program:name`."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE_HZ = 16000


def _flite(name: str, text: Path, wav: Path) -> list[str]:
    return ["flite", "-voice", name, "-f", str(text), "-o", str(wav)]


def _espeak(name: str, text: Path, wav: Path) -> list[str]:
    return ["espeak-ng", "-v", name, "-s", "150", "-w", str(wav), "-f", str(text)]


def _festival(name: str, text: Path, wav: Path) -> list[str]:
    # at its own pace a sentence of twelve words takes more than 5 s
    commands = f"(begin (voice_{name}) (Parameter.set 'Duration_Stretch 0.85))"
    return ["text2wave", "-eval", commands, str(text), "-o", str(wav)]


#: The command that reads a text file into a WAV file, and the packages that hold its program.
PROGRAMS: dict[str, tuple[Callable[[str, Path, Path], list[str]], str]] = {
    "flite": (_flite, "flite"),
    "espeak": (_espeak, "espeak-ng"),
    "festival": (_festival, "festival festvox-kdlpc16k"),
}


def spoken(text: str, voice: str) -> NDArray[np.int16]:
    """`text` by a voice, int16 (samples,) at 16 kHz.

    Raises SystemExit where the voice's program is not installed.
    """
    program, _, name = voice.partition(":")
    command, packages = PROGRAMS[program]
    with tempfile.TemporaryDirectory() as folder:
        said, wav = Path(folder) / "a.txt", Path(folder) / "a.wav"
        said.write_text(text, encoding="utf-8")
        try:
            subprocess.run(command(name, said, wav), check=True, capture_output=True)
        except FileNotFoundError as error:
            raise SystemExit(
                f"the voice {voice} needs {error.filename}, which is not installed; "
                f"as root, run: apt-get install {packages}"
            ) from None
        samples, rate = soundfile.read(str(wav), dtype="int16")
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


def speaker(voice: str) -> str:
    """Who a voice sounds like: one recorded speaker, or one variant of espeak-ng in any accent.

    espeak-ng 1.51 speaks en-gb whatever variant is asked of it; of en it has them.

    >>> speaker("flite:kal16"), speaker("espeak:en+f3"), speaker("espeak:en-us")
    ('kal', 'espeak f3', 'espeak en-us')
    """
    program, _, name = voice.partition(":")
    if program == "espeak":
        accent, _, variant = name.partition("+")
        return f"espeak {variant or accent}"
    return name.removesuffix("_diphone").removesuffix("16").removesuffix("_time")
