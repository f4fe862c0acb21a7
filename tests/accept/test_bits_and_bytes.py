# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/results.md that must hold: bits on every board, sizes, damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.agreement import agreement
from benchmarks.memory import sizes
from benchmarks.results import MUTATIONS, RANDOM_RECORDS, SPEECH_RECORDS, damaged
from benchmarks.subjects import BOARDS, FOREIGN, MODES, Subjects
from benchmarks.tflm import FIGURES
from tests._once import once

EMULATED = list(BOARDS)[1:]
MODELS = [*(f"commands {mode}" for mode in MODES), *FOREIGN]
#: The linker starts each section and each array at a multiple of this.
ALIGNMENT_BYTES = 16


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """Speech and packages, made once for all processes."""

    def make(folder: Path) -> None:
        made = Subjects(folder)
        made.manifest("evaluation")
        for mode in MODES:
            made.package(mode)

    return Subjects(once(tmp_path_factory, "subjects", make))


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("mode", MODES)
def test_speech_is_equal_from_pcm_on(subjects: Subjects, mode: str, board: str) -> None:
    found = agreement(subjects.speech_case(mode, "evaluation", SPEECH_RECORDS), board)
    assert found.count == SPEECH_RECORDS
    assert found.complete
    assert len(set(found.texts)) > SPEECH_RECORDS // 2


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", FOREIGN)
def test_other_peoples_models_are_equal(subjects: Subjects, name: str, board: str) -> None:
    case = subjects.foreign_case(name, RANDOM_RECORDS)
    assert len(set(case.outputs)) > 1
    assert agreement(case, board).complete


@pytest.mark.slow
@pytest.mark.parametrize("board", EMULATED)
@pytest.mark.parametrize("name", MODELS)
def test_sizes_are_as_predicted(subjects: Subjects, name: str, board: str) -> None:
    found = sizes(subjects.models[name], board)
    assert all(abs(gap) < ALIGNMENT_BYTES for gap in found.differences.values())
    assert found.arena_bytes == found.lower_bound_bytes
    assert found.arena_bytes <= FIGURES[name].activations
    assert found.predicted.kind_bytes("ram") <= FIGURES[name].arena
    if name == "micro_speech_quantized":
        assert found.text_bytes < 20_000


@pytest.mark.slow
def test_damaged_files_are_refused_or_become_projects(subjects: Subjects) -> None:
    outcome = damaged(subjects, MUTATIONS)
    assert outcome.failures == ()
    assert outcome.refused + outcome.projects == outcome.files >= MUTATIONS
    assert min(outcome.refused, outcome.projects, outcome.ran) > 0
    assert outcome.peak_bytes < 1 << 30
