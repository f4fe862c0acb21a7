# SPDX-License-Identifier: Apache-2.0
"""The C of one small model an operator, line for line.

<operator>.tflite is the model, <operator>.golden its C. `STAPES_UPDATE_GOLDEN=1 pytest
tests/golden` writes the C again, and a model for an operator that has none; read the difference
before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import codegen
from codegen.emit.inputs import EmitInputs
from codegen.emit.project import project_files
from codegen.graph import Graph
from codegen.lower import lower
from codegen.memory.place import place
from codegen.memory.plan import plan
from codegen.registry import plugins
from codegen.target import load_target
from codegen.tflite.read import read
from codegen.tflite.write import write

FOLDER = Path(__file__).parent
UPDATE = os.environ.get("STAPES_UPDATE_GOLDEN") == "1"
OPERATORS = plugins("codegen.ops")
PARTS = ("model/{}_arena.h", "model/{}.c", "model/{}_weights.c")


def _smallest(module: ModuleType) -> Graph:
    """The one of the operator's first random graphs that has the fewest values."""
    cases = module.cases(np.random.default_rng(0))
    first = [graph for graph, _ in zip(cases, range(40), strict=False)]
    smallest: Graph = min(first, key=lambda graph: sum(t.elements for t in graph.tensors))
    return smallest


def _text(operator: str) -> str:
    target = load_target("mps3-an547")
    model = FOLDER / f"{operator}.tflite"
    if UPDATE and not model.exists():
        graph = _smallest(OPERATORS[operator])
        graph = getattr(OPERATORS[operator], "decomposed", lambda same: same)(graph)
        model.write_bytes(write(graph))
    assert model.is_file(), f"no {model.name}: STAPES_UPDATE_GOLDEN=1 pytest tests/golden makes it"
    (graph,) = read(model.read_bytes())
    program = lower(graph, target)
    memory = place(plan((program,)), target)
    name = f"golden_{operator}"
    files = project_files(EmitInputs(name, target, (program,), memory, "0" * 64, "golden"))
    present = [part.format(name) for part in PARTS if part.format(name) in files]
    text = "\n".join(f"==> {path} <==\n{files[path].decode()}" for path in present)
    return text.replace(f"stapes {codegen.__version__}", "stapes VERSION")


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_golden(operator: str) -> None:
    path = FOLDER / f"{operator}.golden"
    text = _text(operator)
    if UPDATE:
        path.write_text(text, encoding="ascii")
    assert path.is_file(), f"no {path.name}: STAPES_UPDATE_GOLDEN=1 pytest tests/golden writes it"
    assert text == path.read_text(encoding="ascii")


def test_no_golden_file_is_left_over() -> None:
    left = [path.name for path in FOLDER.glob("*.*") if path.suffix in (".golden", ".tflite")]
    assert {name.rsplit(".", 1)[0] for name in left} <= set(OPERATORS)
