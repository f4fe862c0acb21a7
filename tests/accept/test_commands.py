# SPDX-License-Identifier: Apache-2.0
"""The bundled recogniser: its word error rate, and that QEMU says what the host says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples.commands_ctc import data
from tests._once import once
from tests.e2e._stapes import ROOT, stapes, succeeded

CHECKPOINT = ROOT / "examples" / "commands_ctc" / "checkpoint"
#: RAM while transcribing a window of 3.2 s, without the caller's PCM.
MOST_RAM_BYTES = {"static8": 36 * 1024, "static16": 68 * 1024}
#: Points of WER that a mode may lose against the float model.
ALLOWED_LOSS = {"static8": 1.0, "static16": 0.3}


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibration and evaluation recordings."""

    def make(folder: Path) -> None:
        for name in ("calibration", "evaluation", "evaluation_300"):
            data.write_split(folder / name, data.splits()[name])

    return once(tmp_path_factory, "speech", make)


@pytest.fixture(scope="session", params=sorted(ALLOWED_LOSS))
def package(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, speech: Path
) -> Path:
    """The checkpoint in one of the modes."""

    def make(folder: Path) -> None:
        arguments = ("--mode", request.param, "-o", folder / request.param)
        manifest = speech / "calibration" / "manifest.jsonl"
        succeeded(stapes("quantize", CHECKPOINT, "--calibration", manifest, *arguments))

    return once(tmp_path_factory, f"commands-{request.param}", make) / str(request.param)


def _wer(package: Path, manifest: Path) -> dict[str, Any]:
    done = stapes("wer", package, "--data", manifest, "--json", "--jobs", "1", timeout_s=1200)
    report: dict[str, Any] = json.loads(succeeded(done))
    return report


@pytest.mark.slow
def test_ram_is_small(package: Path) -> None:
    shown = json.loads(succeeded(stapes("size", package, "--target", "mps3-an547", "--json")))
    assert shown["ram_bytes"] <= MOST_RAM_BYTES[package.name]


@pytest.mark.slow
def test_quantized_is_close_to_float(package: Path, speech: Path) -> None:
    report = _wer(package, speech / "evaluation_300" / "manifest.jsonl")
    assert len(report["score"]["clips"]) == 300
    difference = report["difference"]
    print(f"{package.name}: {difference}")
    assert difference["points"] <= ALLOWED_LOSS[package.name]
    assert difference["low"] <= difference["points"] <= difference["high"]


@pytest.mark.slow
def test_an_unseen_voice_is_understood(package: Path, speech: Path) -> None:
    report = _wer(package, speech / "evaluation" / "manifest.jsonl")
    assert len(report["score"]["clips"]) == 150
    assert report["score"]["wer"] <= 9.0


@pytest.mark.slow
def test_qemu_hears_what_the_host_hears(package: Path, speech: Path, tmp_path: Path) -> None:
    manifest = speech / "evaluation" / "manifest.jsonl"
    lines = manifest.read_text(encoding="utf-8").splitlines()[:50]
    names = [json.loads(line)["audio"] for line in lines]
    short = speech / "evaluation" / f"fifty-{package.name}.jsonl"
    short.write_text("\n".join(lines), encoding="utf-8")
    heard = [clip["hypothesis"] for clip in _wer(package, short)["score"]["clips"]]
    project = tmp_path / "project"
    succeeded(stapes("emit", package, "--target", "mps3-an547", "-o", project))
    wavs = [part for name in names for part in ("--wav", manifest.parent / name)]
    done = stapes("run", project, *wavs, "--json", timeout_s=1200)
    assert [record["text"] for record in json.loads(succeeded(done))["records"]] == heard
