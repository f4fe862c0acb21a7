# SPDX-License-Identifier: Apache-2.0
"""Packages of several graphs: read, checked as a whole, and run on this computer under LiteRT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codegen.errors import UserError
from codegen.graph import NUMPY_TYPES, Graph, Tensor
from codegen.package import PackagedGraph, SpeechPackage
from codegen.wiring import MASK, Table

if TYPE_CHECKING:
    from codegen.evaluate.engines import Engine
    from codegen.evaluate.loop import Loop, Network
    from codegen.evaluate.trace import Traced
    from codegen.frontend._kinds import FrontEnd


def front_end(package: SpeechPackage) -> FrontEnd:
    """The package's front end; UserError for a kind that is unknown or another window's."""
    from codegen.frontend._kinds import front_end_of

    spec = front_end_of(package.front_end, f"package '{package.name}'")
    if package.window_samples % spec.row_samples:
        raise UserError(
            f"package '{package.name}': its window of {package.window_samples} samples is not whole"
            f" rows of {spec.row_samples}; make the package again."
        )
    return spec


def read_graphs(package: SpeechPackage) -> tuple[Graph, ...]:
    """The package's graphs; raises UserError unless they fit each other and the rest."""
    from codegen.tflite.read import read
    from codegen.tflite.wired import check_wired

    graphs = tuple(graph for part in package.graphs for graph in read(part.data)[:1])
    check_wired(package, graphs)
    spec, heard = front_end(package), graphs[0].tensors[graphs[0].inputs[0]]
    if fitted(spec, heard) != spec or heard.elements != spec.values(package.window_samples):
        raise UserError(
            f"package '{package.name}': front_end and window_samples are not those of the input"
            f" '{heard.name}'; make the package again."
        )
    return graphs


def fitted(spec: FrontEnd, heard: Tensor) -> FrontEnd:
    """The front end for the first graph's input; that of floats is the same whatever they are."""
    if heard.quantization is None:
        return spec
    return spec.fitted(heard.quantization.scale, heard.quantization.zero_point)


@dataclass(frozen=True)
class Transcriber:
    """Makes engines that run a package's graphs under LiteRT; the float ones where asked for."""

    package: SpeechPackage
    resolver: str
    floats: bool = False

    def __call__(self) -> Engine:
        """A new engine with interpreters of its own."""
        traced = self.traced()
        return lambda pcm: traced(pcm)[0]

    def traced(self) -> Traced:
        """The same engine, giving what a Trace noted of the steps beside the text."""
        from codegen.evaluate.greedy import detokenized, is_silent, most_steps
        from codegen.evaluate.trace import Trace

        package, rule, spec = self.package, self.package.decoding, front_end(self.package)
        loop, dtype = self.loop()

        def engine(pcm: np.ndarray) -> tuple[str, bytes]:
            trace = Trace(rule["end"])
            if is_silent(pcm, rule["silence"]):
                return "", trace.data
            rows = spec.rows(pcm, package.window_samples)
            taken = spec.quantized(rows, dtype)
            steps = most_steps(rule, len(pcm), spec.sample_rate_hz)
            tokens = loop.tokens(taken, steps, trace)
            return detokenized(tokens, package.vocabulary), trace.data

        return engine

    def loop(self) -> tuple[Loop, str]:
        """The loop over interpreters, and the type of the first graph's input."""
        from codegen.evaluate.loop import Loop

        package, rule = self.package, self.package.decoding
        networks = tuple(self._network(part) for part in package.graphs)
        by = {table.name: table.by for table in package.tables}
        if self.floats:
            tables = {table.name: _floats(package, table) for table in package.tables}
            zeros: Mapping[str, np.generic] = {s.name: np.float32(0) for s in package.state}
            mask = (np.float32(rule["float_masked"]), np.float32(0))
            return Loop(networks, package.state, tables, by, zeros, mask, rule), "float32"
        graphs = read_graphs(package)
        step, last = graphs[-1], package.graphs[-1]
        taken = {n: step.tensors[i] for n, i in zip(last.inputs, step.inputs, strict=True)}
        zeros = {s.name: _zero(taken[s.name]) for s in package.state}
        kind, floats = NUMPY_TYPES[taken[MASK].dtype], taken[MASK].quantization is None
        values = (rule["float_masked"], 0) if floats else (rule["masked"], rule["attended"])
        pair = (kind(values[0]), kind(values[1]))
        tables = {table.name: table.rows(taken[table.name]) for table in package.tables}
        dtype = graphs[0].tensors[graphs[0].inputs[0]].dtype
        return Loop(networks, package.state, tables, by, zeros, pair, rule), dtype

    def _network(self, part: PackagedGraph) -> Network:
        from codegen.evaluate.interpreter import Interpreter
        from codegen.evaluate.loop import Network

        data = part.float_data if self.floats else part.data
        if data is None:
            raise UserError(
                f"package '{self.package.name}' does not hold {part.name} before quantizing; leave"
                " out the baseline, or make the package again"
            )
        return Network(part.inputs, part.outputs, Interpreter(data, self.resolver).run)


def _zero(tensor: Tensor) -> np.generic:
    """The zero of a tensor, in its type."""
    zero = 0 if tensor.quantization is None else tensor.quantization.zero_point
    return NUMPY_TYPES[tensor.dtype](zero)


def _floats(package: SpeechPackage, table: Table) -> np.ndarray:
    if table.values.dtype == np.float32:
        return table.values
    if table.floats is None:
        raise UserError(
            f"package '{package.name}' does not hold the table {table.name} before quantizing;"
            " leave out the baseline, or make the package again"
        )
    return table.floats
