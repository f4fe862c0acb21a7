# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: docs/architecture.md, enforced."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CODEGEN = Path(__file__).resolve().parents[2] / "codegen"

LEAVES = {"data", "errors", "graph", "memory_plan", "package", "program", "registry", "target"} | {
    "folders",
    "quiet",
    "row_scales",
    "wiring",
}
ROOMS = {
    "evaluate",
    "footprint",
    "frontend",
    "memory",
    "models",
    "npu",
    "ops",
    "passes",
    "ptq",
    "report",
    "sweep",
    "tflite",
    "toolchain",
    "variants",
}
#: What a part may import beside the leaves and itself.
ALSO = {
    "lower": {"ops", "passes", "variants"},
    "models": {"frontend"},
    "ptq": {"models"},
    "tflite": {"ptq"},
    "analyze": ROOMS | {"calibration", "measure", "transcriber"},
    "emit": ROOMS,
    "calibration": ROOMS,
    "transcriber": ROOMS,
    "encoder_decoder": ROOMS | {"calibration", "transcriber"},
    "measure": ROOMS | {"transcriber"},
    "pipeline": ROOMS
    | {"calibration", "emit", "encoder_decoder", "lower", "measure", "regions", "transcriber"},
    "regions": {"emit", "footprint", "memory"},
    "native": ROOMS | {"emit", "measure", "pipeline"},
    "build": ROOMS | {"emit", "measure", "pipeline"},
    "cli": ROOMS | {"analyze", "build", "emit", "lower", "measure", "native", "pipeline"},
    "__main__": {"cli"},
}
HEAVY = {"torch", "transformers", "litert_torch", "ai_edge_quantizer", "safetensors"} | {
    "huggingface_hub"
}
HEAVY_HOMES = (
    "models/",
    "ptq/",
    "tflite/convert.py",
    "tflite/quantize.py",
    "evaluate/normalize.py",
)
ONLY_IN = {"subprocess": ("toolchain/",), "jinja2": ("emit/",)}


def _part(path: Path) -> str:
    relative = path.relative_to(CODEGEN)
    return relative.parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def _top_level(tree: ast.Module) -> ast.Module:
    """The module without what runs later: function bodies and `if TYPE_CHECKING`."""

    class Drop(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return None
            return self.generic_visit(node)

    dropped = Drop().visit(tree)
    assert isinstance(dropped, ast.Module)
    return dropped


def _allowed(part: str) -> set[str]:
    if part in LEAVES:
        return LEAVES
    return LEAVES | {part} | ALSO.get(part, set())


def violations(path: Path, source: str) -> list[str]:
    """The broken import rules of one file of codegen/."""
    part = _part(path)
    relative = path.relative_to(CODEGEN).as_posix()
    found = []
    for name, line in _imports(ast.parse(source)):
        top, _, rest = name.partition(".")
        where = f"{relative}:{line}"
        if top == "codegen":
            imported = rest.partition(".")[0]
            known = LEAVES | ROOMS | set(ALSO) | {""}
            if imported in known and imported not in _allowed(part) | {""}:
                found.append(f"{where}: {part} may not import {imported}")
        if top in ONLY_IN and not relative.startswith(ONLY_IN[top]) and relative != "npu/vela.py":
            found.append(f"{where}: only {ONLY_IN[top]} may import {top}")
        if top in HEAVY and not relative.startswith(HEAVY_HOMES):
            found.append(f"{where}: {top} belongs into {HEAVY_HOMES}")
    for name, line in _imports(_top_level(ast.parse(source))):
        if name.partition(".")[0] in HEAVY:
            found.append(f"{relative}:{line}: import {name} inside the function that needs it")
    return found


FILES = sorted(CODEGEN.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[f.relative_to(CODEGEN).as_posix() for f in FILES])
def test_imports(path: Path) -> None:
    assert violations(path, path.read_text(encoding="utf-8")) == []


def test_every_part_is_known() -> None:
    parts = {_part(path) for path in FILES} - {"__init__"}
    assert parts <= LEAVES | ROOMS | set(ALSO)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("memory/plan.py", "from codegen.tflite.read import read"),
        ("graph.py", "import codegen.lower"),
        ("report/text.py", "from codegen import pipeline"),
        ("footprint/elf.py", "import subprocess"),
        ("report/html.py", "from jinja2 import Environment"),
        ("evaluate/wer.py", "def f():\n    import torch"),
        ("models/ctc.py", "import torch"),
        ("ptq/recipe.py", "class A:\n    import torch"),
    ],
)
def test_a_breach_is_found(file: str, source: str) -> None:
    assert len(violations(CODEGEN / file, source)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("models/ctc.py", "def f():\n    import torch"),
        ("models/ctc.py", "from codegen.frontend.log_mel import LogMel"),
        ("memory/plan.py", "from codegen.program import Program"),
        ("toolchain/gcc.py", "import subprocess"),
        ("ptq/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ],
)
def test_what_is_allowed_passes(file: str, source: str) -> None:
    assert violations(CODEGEN / file, source) == []
