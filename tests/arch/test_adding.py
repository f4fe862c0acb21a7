# SPDX-License-Identifier: Apache-2.0
"""Adding one thing is adding one file: done here in a copy of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_COMMAND = '''# SPDX-License-Identifier: Apache-2.0
"""`stapes greet`."""


def command() -> None:
    """Say hello."""
    print("hello")
'''

_OPERATOR = '''# SPDX-License-Identifier: Apache-2.0
"""NEG: for the test."""

from codegen.ops.relu import *  # noqa: F403

KIND = "NEG"
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files with a command, a target and an operator more."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("codegen", "targets", "templates", "firmware"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "codegen" / "cli" / "greet.py").write_text(_COMMAND, encoding="utf-8")
    (folder / "codegen" / "ops" / "neg.py").write_text(_OPERATOR, encoding="utf-8")
    target = (ROOT / "targets" / "mps3-an547.toml").read_text(encoding="utf-8")
    (folder / "targets" / "my-board.toml").write_text(target, encoding="utf-8")
    return folder


def _stapes(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "codegen", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command(copy: Path) -> None:
    assert _stapes(copy, "greet") == "hello\n"
    assert "Say hello." in _stapes(copy, "--help")


def test_a_target(copy: Path) -> None:
    assert "\nmy-board " in _stapes(copy, "targets")
    model = str(ROOT / "tests" / "models" / "micro_speech_quantized.tflite")
    assert '"target": "my-board"' in _stapes(copy, "size", model, "-t", "my-board", "--json")


def test_an_operator(copy: Path) -> None:
    assert "NEG" in _stapes(copy, "operators")
