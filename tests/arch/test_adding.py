# SPDX-License-Identifier: Apache-2.0
"""The steps of docs/adding.md, done in a copy of the tree by writing the page's own files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"`([\w./-]+)`:\s+```\w+\n(.*?)```", re.DOTALL)
_TREE = ("codegen", "templates", "targets", "firmware", "tests", "LICENSE", "pyproject.toml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every file of the page in its place."""
    copy = tmp_path_factory.mktemp("adding")
    for name in _TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    page = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
    files = _FILE.findall(page)
    assert len(files) == 8
    for path, text in files:
        assert not (copy / path).exists(), f"{path} exists: the page needs another example"
        (copy / path).write_text(text, encoding="utf-8")
    return copy


def _python(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_operator(tree: Path) -> None:
    assert "MAXIMUM" in _python(tree, "-m", "codegen", "operators")
    ran = _python(tree, "-m", "pytest", "-p", "no:cacheprovider", "-k", "maximum", "tests/kernels")
    assert re.search(r"\b[2-9]\d* passed", ran), ran


_PADDED = """
import numpy as np
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.lower import lower
unit = Quantization((1.0,), (0,))
x, y, z = (Tensor(name, (2, 3), "int8", unit) for name in "xyz")
nothing = Tensor("nothing", (2, 2), "int32", None, np.zeros((2, 2), np.int32))
operators = Operator(0, "PAD", (0, 1), (2,)), Operator(1, "RELU", (2,), (3,))
graph = Graph("g", (x, nothing, y, z), operators, (0,), (3,))
print([step.name for step in lower(graph, None).steps])
"""


def test_a_pass(tree: Path) -> None:
    assert _python(tree, "-c", _PADDED) == "['relu_1']\n"


def test_a_target(tree: Path) -> None:
    assert "example-chip" in _python(tree, "-m", "codegen", "targets")
    model = "tests/models/micro_speech_quantized.tflite"
    arguments = ("emit", model, "--target", "example-chip", "-o", str(tree / "project"))
    _python(tree, "-m", "codegen", *arguments)
    assert "0x00080000" in (tree / "project" / "board" / "board.ld").read_text(encoding="utf-8")


def test_a_method(tree: Path) -> None:
    arguments = ("-m", "pytest", "-p", "no:cacheprovider", "-k", "power_of_two", "tests/property")
    assert re.search(r"\b13 passed", _python(tree, *arguments))


def test_a_way_to_choose_ranges(tree: Path) -> None:
    arguments = ("-m", "pytest", "-p", "no:cacheprovider", "-k", "nine_tenths", "tests/property")
    assert re.search(r"\b2 passed", _python(tree, *arguments))


def test_a_command(tree: Path) -> None:
    assert _python(tree, "-m", "codegen", "hello") == "hello\n"
