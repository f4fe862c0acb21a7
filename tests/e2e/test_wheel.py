# SPDX-License-Identifier: Apache-2.0
"""The wheel, installed elsewhere, has all it needs: templates, targets and the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TFLITE = ROOT / "tests" / "models" / "micro_speech_quantized.tflite"


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel, and this one's dependencies in reach."""
    folder = tmp_path_factory.mktemp("elsewhere")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("stapes-*.whl")
    environment = folder / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=folder)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    return environment


def test_the_installed_package_is_the_wheels(elsewhere: Path, tmp_path: Path) -> None:
    python = elsewhere / "bin" / "python"
    where = _run(python, "-c", "import codegen; print(codegen.__file__)", cwd=tmp_path)
    assert where.startswith(str(elsewhere))


def test_targets(elsewhere: Path, tmp_path: Path) -> None:
    listed = _run(elsewhere / "bin" / "stapes", "targets", cwd=tmp_path)
    assert "mps3-an547" in listed
    assert "cortex-m55" in listed


def test_emit_makes_the_same_project_as_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    arguments = ("emit", TFLITE, "--target", "mps3-an547", "-o")
    _run(elsewhere / "bin" / "stapes", *arguments, tmp_path / "installed", cwd=tmp_path)
    _run(sys.executable, "-m", "codegen", *arguments, tmp_path / "checkout", cwd=ROOT)
    installed, checkout = (_contents(tmp_path / name) for name in ("installed", "checkout"))
    assert installed == checkout
    assert installed


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
