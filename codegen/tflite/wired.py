# SPDX-License-Identifier: Apache-2.0
"""Checks that the graphs of a package fit together as wiring.py says, so that bytes are copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph, Tensor
from codegen.package import SpeechPackage
from codegen.wiring import LOGITS, MASK

#: A graph's tensors by the names that package.json gives them.
Ports = dict[str, Tensor]
_That = Callable[[bool, str], None]


def ports(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Ports, Ports]:
    """Inputs and outputs by name; the counts must be equal."""
    return (
        {name: graph.tensors[i] for name, i in zip(inputs, graph.inputs, strict=True)},
        {name: graph.tensors[i] for name, i in zip(outputs, graph.outputs, strict=True)},
    )


def check_wired(package: SpeechPackage, graphs: Sequence[Graph]) -> None:
    """Raise UserError unless the package's graphs fit each other, state, tables and words.

    `graphs` is what the package's files say, in order.
    """
    where = f"package '{package.name}'"

    def that(holds: bool, problem: str) -> None:
        if not holds:
            raise UserError(f"{where}: {problem}; make the package again.")

    made: Ports = {}
    taken: Ports = {}
    for part, graph in zip(package.graphs, graphs, strict=True):
        for what, names, indices in (
            ("inputs", part.inputs, graph.inputs),
            ("outputs", part.outputs, graph.outputs),
        ):
            that(
                len(names) == len(indices),
                f"{part.name}.tflite has {len(indices)} {what}, package.json names {len(names)}",
            )
        taken, given = ports(graph, part.inputs, part.outputs)
        for name, tensor in (*taken.items(), *given.items()):
            that(
                tensor.dtype == "float32"
                or (
                    tensor.dtype in ("int8", "int16")
                    and tensor.quantization is not None
                    and len(tensor.quantization.scales) == 1
                ),
                f"{name} of {part.name} is {tensor.dtype}, quantized int8 or int16, or float32 is"
                " needed",
            )
        for name in sorted(taken.keys() & made.keys()):
            that(made[name].shape == taken[name].shape, f"{name} has two shapes")
            that(_kind(made[name]) == _kind(taken[name]), f"{name} is quantized in two ways")
        made |= given
    _check_step(package, taken, made, that)


def _kind(tensor: Tensor) -> tuple[str, float, int]:
    """Type, scale and zero point; 1 and 0 for floats."""
    if tensor.quantization is None:
        return tensor.dtype, 1.0, 0
    return tensor.dtype, tensor.quantization.scale, tensor.quantization.zero_point


def _check_step(package: SpeechPackage, taken: Ports, made: Ports, that: _That) -> None:
    """State, tables, mask and logits of the decoder's step."""
    rule = package.decoding
    for buffer in package.state:
        tensor, rows = taken[buffer.name], made[buffer.rows_from]
        row = (*buffer.shape[: buffer.axis], 1, *buffer.shape[buffer.axis + 1 :])
        that(tensor.shape == buffer.shape, f"{buffer.name} has two shapes")
        that(rows.shape == row, f"{buffer.rows_from} has the shape {rows.shape}, not {row}")
        that(_kind(tensor) == _kind(rows), f"{buffer.name} is quantized unlike {buffer.rows_from}")
    for table in package.tables:
        tensor, width = taken[table.name], table.values.shape[1]
        dtype = table.values.dtype.name if table.scales is None else tensor.dtype
        that(
            (tensor.elements, tensor.dtype) == (width, dtype),
            f"table {table.name} has rows of {width} {dtype}, the input {tensor.elements}"
            f" {tensor.dtype}",
        )
        that(
            table.scales is None or table.scales.ndim == 1 or dtype == "float32",
            f"table {table.name} has scales of blocks, the input {dtype}, float32 is needed",
        )
    mask = taken[MASK]
    dtype, scale, zero_point = _kind(mask)
    places = {buffer.shape[buffer.axis] for buffer in package.state}
    that(places == {mask.elements - 1}, "the mask's length is not that of the state and one more")
    masked = 0
    if dtype != "float32":
        limits = np.iinfo(dtype)
        masked = max(limits.min, min(limits.max, round(rule["float_masked"] / scale) + zero_point))
    that(
        (rule["masked"], rule["attended"]) == (masked, zero_point),
        f"decoding.masked and decoding.attended are not the mask's {masked} and {zero_point}",
    )
    that(
        made[LOGITS].elements == len(package.vocabulary),
        f"{LOGITS} has {made[LOGITS].elements} values, the vocabulary {len(package.vocabulary)}",
    )
