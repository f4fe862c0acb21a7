# SPDX-License-Identifier: Apache-2.0
"""A small speech model, made once for all processes of a test run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests._once import once
from tests.e2e._stapes import stapes, succeeded

CLIPS = 6


def _checkpoint(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    from codegen.frontend.log_mel import LogMel
    from codegen.models.ctc import CtcConfig, network, save_source

    torch.manual_seed(3)
    config = CtcConfig(vocabulary=4, channels=8, blocks=1, kernel=5)
    front_end = LogMel(mean=-8.0, std=4.0)
    save_source(
        folder / "checkpoint",
        network(config),
        config,
        name="tiny",
        vocabulary=("<blank>", "on", "off", 'a "quoted" word'),
        blank=0,
        front_end=front_end,
        window_samples=front_end.window_samples(41),
    )


def _recordings(folder: Path) -> None:
    """Noise and tones of several levels and lengths, with made-up texts."""
    generator = np.random.default_rng(7)
    lines = []
    for number in range(CLIPS):
        samples = int(generator.integers(500, 6700))
        tone = np.sin(np.arange(samples) * generator.uniform(0.02, 1.0))
        sound = tone + generator.normal(size=samples) * generator.uniform(0.01, 1)
        pcm = np.clip(sound * 10 ** generator.uniform(2, 4), -32768, 32767).astype(np.int16)
        soundfile.write(folder / f"{number}.wav", pcm, 16000, subtype="PCM_16")
        lines.append(
            json.dumps({"audio": f"{number}.wav", "text": "on off"[: 2 + 4 * (number % 2)]})
        )
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights."""
    return once(tmp_path_factory, "tiny", _checkpoint) / "checkpoint"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings."""
    return once(tmp_path_factory, "recordings", _recordings) / "manifest.jsonl"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, manifest: Path) -> Path:
    """The checkpoint as a static8 package."""

    def make(folder: Path) -> None:
        output = folder / "package"
        succeeded(stapes("quantize", checkpoint, "-o", output, "--calibration", manifest))

    return once(tmp_path_factory, "packaged", make) / "package"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """The package's project for the Cortex-M55 board."""

    def make(folder: Path) -> None:
        succeeded(stapes("emit", package, "--target", "mps3-an547", "-o", folder / "project"))

    return once(tmp_path_factory, "emitted", make) / "project"
