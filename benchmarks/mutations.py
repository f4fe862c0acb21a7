# SPDX-License-Identifier: Apache-2.0
"""Damaged .tflite files through read, lower, plan and emit: a refusal or a project, never more."""

from __future__ import annotations

import collections
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codegen import pipeline
from codegen.emit.project import emit, project_files
from codegen.errors import UserError
from codegen.tflite.read import read
from codegen.toolchain.project import run
from tests.property.mutate import mutations

_TARGET = "mps3-an547"
_SEED = 11
#: Of the projects, one in so many is compiled and run under ASan and UBSan.
_RUN_EVERY = 20
_SANITIZED = "CC=gcc -fsanitize=address,undefined -fno-sanitize-recover=all"
_ADDRESS_SPACE_BYTES = 4 << 30


@dataclass(frozen=True)
class Outcome:
    """What became of many damaged files."""

    files: int
    refused: int
    projects: int
    ran: int
    failures: tuple[str, ...]
    slowest_seconds: float
    peak_bytes: int


def _emit(data: bytes) -> pipeline.Model:
    model = pipeline.Model("damaged", "damaged.tflite", "0" * 64, read(data))
    compiled = pipeline.compile_model(model, pipeline.find_target(_TARGET))
    project_files(pipeline.emit_inputs(compiled))
    return model


def _run(model: pipeline.Model) -> None:
    """Compile the project for this computer and run it once on noise."""
    compiled = pipeline.compile_model(model, pipeline.find_target("host"))
    graph = model.graphs[0]
    size_bytes = sum(graph.tensors[i].size_bytes for i in graph.inputs)
    record = np.random.default_rng(_SEED).bytes(size_bytes)
    with tempfile.TemporaryDirectory(prefix="stapes-mutations-") as scratch:
        folder = Path(scratch) / "project"
        emit(pipeline.emit_inputs(compiled), folder)
        subprocess.run(["make", "-s", "-C", folder, _SANITIZED], check=True, capture_output=True)
        run(folder, [record], firmware=folder / "build" / "firmware", timeout_s=60)


def _try(numbered: tuple[int, bytes]) -> tuple[str, float, int]:
    number, data = numbered
    started = time.monotonic()
    try:
        with _limited_memory():
            model = _emit(data)
        outcome = "project"
        if number % _RUN_EVERY == 0:
            _run(model)
            outcome = "ran"
    except UserError as error:
        sentence = str(error)
        outcome = "refused" if sentence and len(sentence) < 5000 else f"{number}: {sentence[:80]}"
    except Exception as error:  # what must not happen is what is counted
        outcome = f"{number}: {type(error).__name__}: {str(error)[:80]}"
    return outcome, time.monotonic() - started, _peak_bytes()


def _peak_bytes() -> int:
    """This process's peak; getrusage would count what its parent held when it was started."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@contextmanager
def _limited_memory() -> Iterator[None]:
    """A bound on the address space; ASan, which runs later, reserves far more."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def survive(files: dict[str, bytes], count: int, processes: int = 2) -> Outcome:
    """`count` damaged copies in all, an equal share of each file."""
    share = -(-count // len(files))
    damaged = (
        (number, copy)
        for data in files.values()
        for number, copy in enumerate(mutations(data, share, _SEED))
    )
    outcomes: collections.Counter[str] = collections.Counter()
    slowest, peak = 0.0, 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as workers:
        for outcome, seconds, used in workers.imap(_try, damaged, chunksize=8):
            outcomes[outcome] += 1
            slowest, peak = max(slowest, seconds), max(peak, used)
    refused, ran = outcomes.pop("refused", 0), outcomes.pop("ran", 0)
    projects = outcomes.pop("project", 0) + ran
    return Outcome(
        share * len(files), refused, projects, ran, tuple(sorted(outcomes)), slowest, peak
    )
