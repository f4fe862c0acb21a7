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

import pytest

from codegen.errors import UserError
from codegen.tflite.read import read

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


def _survive(model: Path, count: int) -> collections.Counter[str]:
    """Read `count` damaged copies; what was refused, with names and numbers taken out."""
    outcomes: collections.Counter[str] = collections.Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index, damaged in enumerate(_mutate.mutations(model.read_bytes(), count, _SEED)):
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
    outcomes = _survive(model, _COUNT)
    assert outcomes["accepted"] < _COUNT
    assert len(outcomes) > 10, "the mutations no longer reach the structure of the file"


def test_mutations_depend_on_the_seed_alone() -> None:
    data = _MODELS[0].read_bytes()
    assert list(_mutate.mutations(data, 20, 1)) == list(_mutate.mutations(data, 20, 1))
    assert list(_mutate.mutations(data, 20, 1)) != list(_mutate.mutations(data, 20, 2))


if __name__ == "__main__":
    for path in _MODELS:
        print(path.name)
        for outcome, times in _survive(path, int(sys.argv[1])).most_common():
            print(f"{times:7d}  {outcome}")
