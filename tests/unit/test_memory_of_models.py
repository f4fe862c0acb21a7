# SPDX-License-Identifier: Apache-2.0
"""Whole models: plans at their lower bound, and predictions that the linker confirms."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from codegen.emit.inputs import EmitInputs
from codegen.emit.layout import lay_out
from codegen.emit.project import emit
from codegen.footprint.elf import model_prefixes, read_elf
from codegen.footprint.predict import predict
from codegen.footprint.stack import EXCEPTION_BYTES, worst_stack
from codegen.lower import lower
from codegen.memory.liveness import graph_peak_bytes
from codegen.memory.place import place
from codegen.memory.plan import plan
from codegen.memory.stripe import stripe
from codegen.memory.validate import validate
from codegen.memory_plan import MemoryPlan
from codegen.program import Program
from codegen.target import load_board, load_target
from codegen.tflite.read import read

MODELS = Path(__file__).parents[1] / "models"
#: Arena bytes of TensorFlow Lite Micro with its greedy planner, for scale.
OTHER_ARENAS = {"person_detect": 82_308, "micro_speech_quantized": 6_836}
#: Live bytes of the files as they are, by hand: the second block's input and output, and so on.
PEAKS = {"person_detect": 36_864 + 18_432, "micro_speech_quantized": 1_968 + 4_000}
TARGET = load_target("mps3-an547")


def planned(name: str) -> tuple[tuple[Program, ...], MemoryPlan]:
    graphs = read((MODELS / f"{name}.tflite").read_bytes())
    programs = tuple(lower(graph, TARGET) for graph in graphs)
    peak = max(map(graph_peak_bytes, graphs))
    found = plan(programs, unmodified_peak_bytes=peak)
    validate(programs, found)
    return programs, place(found, TARGET)


@pytest.mark.parametrize("name", OTHER_ARENAS)
def test_plans_reach_the_lower_bound(name: str) -> None:
    _, found = planned(name)
    assert found.total_bytes == found.lower_bound_bytes
    assert found.total_bytes < OTHER_ARENAS[name]
    assert found.unmodified_peak_bytes == PEAKS[name]


def test_stripes_halve_what_lives_in_person_detect() -> None:
    (graph,) = read((MODELS / "person_detect.tflite").read_bytes())
    program = stripe(lower(graph, TARGET))
    found = plan([program])
    validate([program], found)
    assert found.total_bytes == found.lower_bound_bytes < PEAKS["person_detect"] // 2
    assert 0 < program.macs_again < program.macs // 16


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_the_linker_confirms_the_prediction(tmp_path: Path) -> None:
    programs, found = planned("micro_speech_quantized")
    predicted = predict(programs, found, TARGET)
    folder = tmp_path / "project"
    emit(EmitInputs("micro", TARGET, programs, found, "0" * 64, "micro_speech"), folder)
    graphs = "EXTRA_CFLAGS=-fcallgraph-info=su,da"
    subprocess.run(["make", "-s", "-C", str(folder), graphs], check=True, capture_output=True)
    layout = lay_out(TARGET, load_board(TARGET.board))
    regions = [(memory.name, memory.origin, memory.length) for memory in layout.memories]
    elf = (folder / "build" / "firmware.elf").read_bytes()
    linked = read_elf(elf, regions, model_prefixes("micro"))
    assert "[no region]" not in linked.regions
    for row in predicted.rows:
        same = [
            each.size_bytes
            for each in linked.rows
            if (each.component, each.section, each.region)
            == (row.component, row.section, row.region)
        ]
        assert same == [row.size_bytes], row
    stack = worst_stack(path.read_text() for path in sorted(folder.rglob("*.ci")))
    names = [name for name, _ in stack.path]
    assert names[:4] == ["main", "records_serve", "records_tensors", "stapes_run"]
    assert 0 < stack.total_bytes < TARGET.stack_bytes - EXCEPTION_BYTES
