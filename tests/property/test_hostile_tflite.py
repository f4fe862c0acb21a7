# SPDX-License-Identifier: Apache-2.0
"""Damaged .tflite files end in a Graph or in one sentence; STAPES_MUTATIONS=10000 for the long run.

As a script, `PYTHONPATH=. python tests/property/test_hostile_tflite.py 10000`, it prints what was
refused.
"""

from __future__ import annotations

import collections
import importlib.util
import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.tflite.read import read
from codegen.tflite.write import write

_HERE = Path(__file__).resolve().parent
_MODELS = sorted((_HERE.parent / "models").glob("*.tflite"))
_COUNT = int(os.environ.get("STAPES_MUTATIONS", "600"))
_SEED = 7
_SECONDS_A_FILE = 5.0
_GROWTH_KIB = 256 * 1024

_spec = importlib.util.spec_from_file_location("mutate", _HERE / "mutate.py")
assert _spec is not None
assert _spec.loader is not None
_mutate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_mutate)


def _survive(data: bytes, count: int) -> collections.Counter[str]:
    """Read `count` damaged copies; what was refused, with names and numbers taken out."""
    outcomes: collections.Counter[str] = collections.Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index, damaged in enumerate(_mutate.mutations(data, count, _SEED)):
        started = time.monotonic()
        try:
            graphs = read(damaged)
        except UserError as error:
            message = str(error)
            assert message.isprintable(), f"mutation {index}: {message!r}"
            assert len(message) < 1000, f"mutation {index}: {len(message)} characters"
            outcomes[re.sub(r"'.*?'|-?\d+", "#", message)[:90]] += 1
        else:
            assert graphs
            outcomes["accepted"] += 1
        assert time.monotonic() - started < _SECONDS_A_FILE, f"mutation {index}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _GROWTH_KIB
    return outcomes


@pytest.mark.parametrize("model", _MODELS, ids=lambda path: path.stem)
def test_damaged_files_end_in_a_graph_or_a_sentence(model: Path) -> None:
    outcomes = _survive(model.read_bytes(), _COUNT)
    assert outcomes["accepted"] < _COUNT
    assert len(outcomes) > 10, "the mutations no longer reach the structure of the file"


def test_damaged_scales_of_blocks_end_in_a_graph_or_a_sentence() -> None:
    data = np.zeros((4, 64), np.int8)
    blocks = Quantization((0.5,) * 8, (0,) * 8, 0, 32)
    tensors = (
        Tensor("x", (1, 64), "float32"),
        Tensor("w", (4, 64), "int4", blocks, data),
        Tensor("y", (1, 4), "float32"),
    )
    operator = Operator(0, "FULLY_CONNECTED", (0, 1), (2,))
    outcomes = _survive(write(Graph("main", tensors, (operator,), (0,), (2,))), _COUNT)
    assert sum(times for outcome, times in outcomes.items() if "scales" in outcome) > 10


def test_mutations_depend_on_the_seed_alone() -> None:
    data = _MODELS[0].read_bytes()
    assert list(_mutate.mutations(data, 20, 1)) == list(_mutate.mutations(data, 20, 1))
    assert list(_mutate.mutations(data, 20, 1)) != list(_mutate.mutations(data, 20, 2))


if __name__ == "__main__":
    for path in _MODELS:
        print(path.name)
        for outcome, times in _survive(path.read_bytes(), int(sys.argv[1])).most_common():
            print(f"{times:7d}  {outcome}")
