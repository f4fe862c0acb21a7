# SPDX-License-Identifier: Apache-2.0
"""The models and the speech that everything here is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from codegen import measure, pipeline
from codegen.evaluate.corpus import read_manifest
from codegen.evaluate.interpreter import Interpreter
from codegen.package import SpeechPackage, is_package, load_package, save_package
from codegen.ptq.recipe import Recipe
from codegen.tflite.write import write
from examples.commands_ctc import data

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = ROOT / "examples" / "commands_ctc" / "checkpoint"
MODES = ("static8", "static16")
FOREIGN = ("micro_speech_quantized", "person_detect")
FOREIGN_FOLDER = ROOT / "tests" / "models"
#: What each emulated board is called in tables.
BOARDS = {
    "host": "host",
    "mps2-an386": "M4",
    "mps2-an500": "M7",
    "mps2-an505": "M33",
    "mps3-an547": "M55",
}
_SEED = 2026


@dataclass(frozen=True)
class Case:
    """A model, records for its firmware, and what LiteRT's reference kernels answer to each."""

    model: pipeline.Model
    records: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    texts: tuple[str, ...]


def package_case(package: SpeechPackage, recordings: Sequence[np.ndarray]) -> Case:
    """Recordings for a package in an integer mode: texts, and logits or each step's digest."""
    traced = measure.recognizer(package, measure.DEFAULT_RESOLVER).traced()
    answers = [traced(pcm) for pcm in recordings]
    return Case(
        pipeline.packaged_model(package),
        tuple(pcm.astype("<i2").tobytes() for pcm in recordings),
        tuple(outputs for _, outputs in answers),
        tuple(text for text, _ in answers),
    )


@dataclass(frozen=True)
class Subjects:
    """Corpora and packages, made once in `folder` and kept there."""

    folder: Path

    def manifest(self, split: str) -> Path:
        """The manifest of one of the synthetic sets of examples/commands_ctc/data.py."""
        folder = self.folder / "speech" / split
        if not (folder / "manifest.jsonl").is_file():
            data.write_split(folder, data.splits()[split])
        return folder / "manifest.jsonl"

    def package(self, mode: str) -> SpeechPackage:
        """The commands model in an arithmetic mode."""
        folder = self.folder / f"commands_{mode}"
        if not is_package(folder):
            calibration = self.manifest("calibration")
            save_package(pipeline.quantize(CHECKPOINT, calibration, Recipe.for_mode(mode)), folder)
        return load_package(folder)

    @cached_property
    def models(self) -> dict[str, pipeline.Model]:
        """Every model by its name in tables."""
        found = {f"commands {mode}": pipeline.packaged_model(self.package(mode)) for mode in MODES}
        for name in FOREIGN:
            found[name] = pipeline.open_model(FOREIGN_FOLDER / f"{name}.tflite")
        return found

    def speech_case(self, mode: str, split: str, count: int) -> Case:
        """The first `count` recordings of a split, from PCM on."""
        package = self.package(mode)
        clips = read_manifest(self.manifest(split))[:count]
        return package_case(package, measure.read_clips(package, clips))

    def foreign_case(self, name: str, count: int) -> Case:
        """`count` random inputs, uniform over the input type's range, for somebody else's model."""
        model = self.models[name]
        network = model.graphs[0]
        rng = np.random.default_rng(_SEED)
        # person_detect.tflite as published has a quantized axis on its biases that LiteRT refuses
        interpreter = Interpreter(write(network))
        records, outputs = [], []
        for _ in range(count):
            values = [
                rng.integers(-128, 128, network.tensors[i].shape, dtype=np.int8)
                for i in network.inputs
            ]
            records.append(b"".join(value.tobytes() for value in values))
            outputs.append(b"".join(value.tobytes() for value in interpreter.run(values)))
        return Case(model, tuple(records), tuple(outputs), ("",) * count)
