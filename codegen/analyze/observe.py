# SPDX-License-Identifier: Apache-2.0
"""Runs a package's float graphs over recordings, and tells what each layer makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from codegen import calibration, measure, transcriber
from codegen.analyze.inputs import WatchedInputs
from codegen.analyze.layers import FloatGraph, Weights
from codegen.analyze.statistics import PowerSums, snr_db
from codegen.errors import UserError
from codegen.evaluate.greedy import is_silent, most_steps
from codegen.evaluate.interpreter import Recognizer
from codegen.evaluate.loop import Network
from codegen.evaluate.split import cut
from codegen.package import SpeechPackage
from codegen.report.layers import Layer

#: Takes a piece of a recording, no longer than the window.
Hear = Callable[[np.ndarray], None]
#: Called with the number of recordings finished so far.
Progress = Callable[[int], None]


def layers(
    package: SpeechPackage,
    graphs: Sequence[FloatGraph],
    recordings: Sequence[np.ndarray],
    progress: Progress,
) -> tuple[Layer, ...]:
    """Every layer of the package, its inputs as the float graphs have them on the recordings.

    The graphs run under LiteRT's reference kernels, an encoder-decoder's through the decoding loop.
    Raises UserError for silence, or where values are not finite.
    """
    calibration.check_audible(recordings, int(package.decoding.get("silence", 1)))
    watched = [_watched(graph) for graph in graphs]
    hear = _through_the_loop(package, watched) if package.wired else _alone(package, watched[0])
    rate = measure.sample_rate_hz(package)
    for number, pcm in enumerate(recordings, 1):
        for piece in cut(pcm, package.window_samples, rate):
            hear(piece)
        progress(number)
    return tuple(
        layer
        for graph, seen in zip(graphs, watched, strict=True)
        for layer in _layers(graph.weights, seen, graph.part.name if package.wired else "")
    )


def _watched(graph: FloatGraph) -> WatchedInputs:
    try:
        return WatchedInputs(graph.part.float_data or b"", graph.graph)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"LiteRT refuses the float file of {graph.part.name}: {error}; make the package again"
            " with `stapes quantize`"
        ) from error


def _through_the_loop(package: SpeechPackage, watched: Sequence[WatchedInputs]) -> Hear:
    floats = transcriber.Transcriber(package, "reference", floats=True)
    spec, rule = transcriber.front_end(package), package.decoding
    loop, dtype = floats.loop()
    networks = tuple(
        Network(part.inputs, part.outputs, seen.run)
        for part, seen in zip(package.graphs, watched, strict=True)
    )
    loop = replace(loop, networks=networks)

    def hear(pcm: np.ndarray) -> None:
        if not is_silent(pcm, rule["silence"]):
            rows = spec.quantized(spec.rows(pcm, package.window_samples), dtype)
            loop.tokens(rows, most_steps(rule, len(pcm), spec.sample_rate_hz))

    return hear


def _alone(package: SpeechPackage, watched: WatchedInputs) -> Hear:
    floats = measure.recognizer(package, "reference", floats=True)
    assert isinstance(floats, Recognizer)  # as the package has one graph

    def hear(pcm: np.ndarray) -> None:
        watched.run([floats.features(pcm)])

    return hear


def _layers(weights: Sequence[Weights], watched: WatchedInputs, graph: str) -> Iterator[Layer]:
    moments, inputs = watched.moments(), watched.spreads()
    for each in weights:
        floats = np.asarray(each.floats.data, np.float32).reshape(each.floats.shape[0], -1)
        rows = PowerSums(len(floats))
        rows.add(floats.T)
        quantization = each.integers.quantization
        yield Layer(
            name=each.name,
            graph=graph,
            kind=each.kind,
            shape=each.floats.shape,
            bits=each.bits,
            block_size=quantization.block_size if quantization else 0,
            size_bytes=each.size_bytes,
            snr_db=snr_db(floats, each.dequantized.reshape(floats.shape), moments[each.place]),
            weights=rows.spread(),
            inputs=inputs[each.place],
        )
