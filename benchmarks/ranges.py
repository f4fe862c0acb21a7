# SPDX-License-Identifier: Apache-2.0
"""Compares rules for the ranges of activations, on a development set.

python -m benchmarks.ranges CHECKPOINT --calibration M --development M [--mode static16]
    [--ranges minmax] [--wer]

For each rule: signal to noise of the encoder's output against the float graph, over every seventh
recording, all together and of the worst; with --wer also WER over the whole set, beside the float
graphs'. Each rule takes a calibration, a minute for Moonshine tiny; WER takes another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np

from codegen import measure, pipeline, transcriber
from codegen.evaluate.corpus import read_manifest
from codegen.evaluate.interpreter import Interpreter
from codegen.graph import Graph
from codegen.package import SpeechPackage
from codegen.ptq import adapted
from codegen.ptq.histogram import Range
from codegen.ptq.recipe import Recipe
from codegen.tflite.read import read

Ranges = dict[str, Range]
Rule = Callable[[Graph, Mapping[str, Range]], Ranges]
EVERY = 7


def seen(graph: Graph, found: Mapping[str, Range]) -> Ranges:
    """What calibration saw, and nothing else."""
    return dict(found)


def widest(value: float) -> Rule:
    """The project's rule with another bound for GELU."""

    def rule(graph: Graph, found: Mapping[str, Range]) -> Ranges:
        with patch.object(adapted, "GELU_WIDEST", value):
            return ADAPTED(graph, found)

    return rule


def wider(factor: float) -> Rule:
    """The project's rule with headroom."""

    def rule(graph: Graph, found: Mapping[str, Range]) -> Ranges:
        return ADAPTED(
            graph, {n: (factor * low, factor * high) for n, (low, high) in found.items()}
        )

    return rule


ADAPTED = adapted.adapted
RULES: Mapping[str, Rule] = {
    "as seen": seen,
    "headroom 1": ADAPTED,
    "headroom 1.5": wider(1.5),
    "headroom 2": wider(2.0),
    "headroom 4": wider(4.0),
    "GELU up to 32": widest(32.0),
    "GELU up to 48": widest(48.0),
    "GELU up to 96": widest(96.0),
    "GELU up to 128": widest(128.0),
}


def decibels(package: SpeechPackage, manifest: Path) -> tuple[float, float]:
    """Signal to noise of the encoder's output: of all recordings, and of the worst."""
    part = package.graphs[0]
    assert part.float_data is not None
    (graph,) = read(part.data)
    given, made = (graph.tensors[i] for i in (graph.inputs[0], graph.outputs[0]))
    assert made.quantization is not None
    floats, integers = (Interpreter(data, "xnnpack") for data in (part.float_data, part.data))
    spec = transcriber.front_end(package)
    signals, noises = [], []
    for pcm in measure.read_clips(package, read_manifest(manifest)[::EVERY]):
        rows = spec.rows(pcm, package.window_samples)
        (exact,) = floats.run([np.asarray(spec.normalized(rows), np.float32)])
        (stored,) = integers.run([spec.quantized(rows, given.dtype)])
        quantization = made.quantization
        value = (np.float64(stored) - quantization.zero_point) * quantization.scale
        signals.append(float((np.float64(exact) ** 2).sum()))
        noises.append(float(((np.float64(exact) - value) ** 2).sum()))
    every = np.array(signals) / np.array(noises)
    return float(10 * np.log10(sum(signals) / sum(noises))), float(10 * np.log10(every.min()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkpoint")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--development", type=Path, required=True)
    parser.add_argument("--mode", default="static16")
    parser.add_argument("--ranges", default="minmax")
    parser.add_argument("--window-samples", type=int)
    parser.add_argument("--wer", action="store_true")
    parser.add_argument("--only", default="", help="rules whose name has this in it")
    given = parser.parse_args()
    for name, rule in RULES.items():
        if given.only not in name:
            continue
        with patch.object(adapted, "adapted", rule):
            package = pipeline.quantize(
                given.checkpoint,
                given.calibration,
                Recipe(given.mode, ranges=given.ranges),
                window_samples=given.window_samples,
            )
        line = "{:16s} encoder {:5.1f} dB, worst {:5.1f} dB".format(
            name, *decibels(package, given.development)
        )
        if given.wer:
            engine = measure.recognizer(package, measure.DEFAULT_RESOLVER)
            report = measure.measure(package, given.development, engine, "reference kernels")
            assert report.baseline is not None
            wers = report.score.errors.wer, report.baseline.errors.wer
            line += ", WER {:.2f}, float {:.2f}".format(*wers)
        print(line, flush=True)


if __name__ == "__main__":
    main()
