# SPDX-License-Identifier: Apache-2.0
"""A package's float graphs, each weight beside the integers that stand for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph, Tensor
from codegen.ops._weights import MATRIX_WIDTHS, least_bits
from codegen.package import PackagedGraph, SpeechPackage
from codegen.tflite.quantize import only_graph, operator_names
from codegen.tflite.read import read
from codegen.tflite.weights import WEIGHED, float_weights
from codegen.tflite.write import write

#: Bytes of a scale in a file: float16 of a block, float32 of a channel.
_BLOCK_SCALE_BYTES, _CHANNEL_SCALE_BYTES = 2, 4


@dataclass(frozen=True, eq=False)
class Weights:
    """Constant weights of a float graph, at `place` in it, and their integers.

    They are called as a recipe calls the first operator that reads them.
    """

    name: str
    kind: str
    place: int
    floats: Tensor
    integers: Tensor

    @property
    def bits(self) -> int:
        """The least width that holds every value, whatever the file's type."""
        assert self.integers.data is not None
        return least_bits(self.integers.data, MATRIX_WIDTHS)

    @property
    def size_bytes(self) -> int:
        """Of the integers, packed, and their scales."""
        quantization = self.integers.quantization
        assert quantization is not None
        each = _BLOCK_SCALE_BYTES if quantization.block_size else _CHANNEL_SCALE_BYTES
        return -(-self.integers.elements * self.bits // 8) + each * len(quantization.scales)

    @property
    def dequantized(self) -> np.ndarray:
        """float32, the shape of the floats: each integer by its scale."""
        integers, quantization = self.integers.data, self.integers.quantization
        assert integers is not None
        assert quantization is not None
        scales = np.array(quantization.scales, np.float32)
        cut = integers.reshape(len(scales), -1).astype(np.float32)
        with np.errstate(over="ignore"):
            values: np.ndarray = (cut * scales[:, None]).reshape(self.floats.shape)
        return values


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A graph before it was quantized, and its weights in the order of its operators."""

    part: PackagedGraph
    graph: Graph
    weights: tuple[Weights, ...]

    def with_quantized(self, names: frozenset[str]) -> PackagedGraph:
        """The packaged graph whose float file has these weights as their integers say."""
        changed: Mapping[int, Weights] = {w.place: w for w in self.weights if w.name in names}
        if not changed:
            return self.part
        tensors = tuple(
            replace(tensor, data=changed[place].dequantized) if place in changed else tensor
            for place, tensor in enumerate(self.graph.tensors)
        )
        return replace(self.part, float_data=write(replace(self.graph, tensors=tensors)))


def float_graphs(package: SpeechPackage) -> tuple[FloatGraph, ...]:
    """The package's float graphs; raises UserError where it lacks them or they are others."""
    return tuple(_float_graph(package, part) for part in package.graphs)


def _float_graph(package: SpeechPackage, part: PackagedGraph) -> FloatGraph:
    if part.float_data is None:
        raise UserError(
            f"package '{package.name}' does not hold {part.name} before quantizing, which errors"
            " are measured against; make the package again with `stapes quantize`"
        )
    before, after = only_graph(part.float_data), read(part.data)[0]
    floats = list(_float_weights(before, f"{part.name}/" if package.wired else ""))
    integers = list(_integer_weights(after))
    matched = len(floats) == len(integers) and _ports(before) == _ports(after)
    if not (matched and all(map(_stands_for, integers, (found[-1] for found in floats)))):
        raise UserError(
            f"package '{package.name}': the float file of {part.name} is not what {part.name}"
            " was quantized from; make the package again with `stapes quantize`"
        )
    found: dict[int, Weights] = {}
    for (name, kind, place, tensor), quantized in zip(floats, integers, strict=True):
        # weights that several operators read are one layer
        found.setdefault(place, Weights(name, kind, place, tensor, quantized))
    return FloatGraph(part, before, tuple(found.values()))


def _float_weights(graph: Graph, prefix: str) -> Iterator[tuple[str, str, int, Tensor]]:
    """Name and kind of each operator with float weights, where these stand, and what they are."""
    for operator, name in zip(graph.operators, operator_names(graph, prefix), strict=True):
        tensor = float_weights(graph, operator)
        if tensor is not None:
            yield name, operator.kind, operator.inputs[1], tensor


def _integer_weights(graph: Graph) -> Iterator[Tensor]:
    """The constant weights of each such operator, in front of a DEQUANTIZE where there is one."""
    stored = {o.outputs[0]: o.inputs[0] for o in graph.operators if o.kind == "DEQUANTIZE"}
    for operator in graph.operators:
        if operator.kind in WEIGHED:
            index = operator.inputs[1]
            tensor = graph.tensors[stored.get(index, index)]
            if tensor.data is not None:
                yield tensor


def _ports(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.tensors[index].shape for index in (*graph.inputs, *graph.outputs)]


def _stands_for(integers: Tensor, floats: Tensor) -> bool:
    """Whether integers have the name and shape of float weights, and scales by their first axis."""
    quantization = integers.quantization
    if (integers.name, integers.shape) != (floats.name, floats.shape) or quantization is None:
        return False
    scales, outputs = len(quantization.scales), floats.shape[0]
    by_row = scales == 1 or (quantization.axis == 0 and scales % outputs == 0)
    fits = by_row and integers.elements % scales == 0
    return fits and integers.dtype.startswith("int") and not any(quantization.zero_points)
