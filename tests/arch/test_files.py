# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the project."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {".py", ".c", ".h", ".S", ".j2", ".toml", ".ld", ".sh"}
MAX_LINES = 400
SPDX = "SPDX-License-Identifier: Apache-2.0"
#: Parts of paths that exist on one machine only.
MACHINE = re.compile(r"/(home|root|Users|work|tmp/w)/[a-z.]")
PICTURES = {".png", ".safetensors", ".tflite", ".wav"}


@cache
def _tracked() -> tuple[Path, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return tuple(ROOT / n for n in listed.stdout.split("\0") if n and (ROOT / n).is_file())


def _text_files() -> list[Path]:
    return [path for path in _tracked() if path.suffix not in PICTURES]


def test_every_source_names_its_licence() -> None:
    lacking = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path.suffix in SOURCES
        and not any(SPDX in line for line in path.read_text(encoding="utf-8").splitlines()[:3])
    ]
    assert lacking == []


def test_files_can_be_read_at_a_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _tracked()
        if path.suffix in SOURCES
        and "golden" not in path.parts
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_path_of_one_machine() -> None:
    naming = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in _text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE.search(line) and path != Path(__file__).resolve()
    ]
    assert naming == []


def test_the_lock_names_packages_only() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9a-z.]+", line)]
    assert wrong == []
    assert not [line for line in lines if "nvidia" in line or "cuda" in line]


def test_python_packages_have_their_marker_files() -> None:
    folders = {path.parent for path in (ROOT / "codegen").rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()] == []
