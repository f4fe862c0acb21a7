# SPDX-License-Identifier: Apache-2.0
"""The range of every activation of a float model over calibration inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from codegen.errors import UserError
from codegen.graph import Graph


def calibrate(
    float_bytes: bytes, graph: Graph, samples: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each activation, by tensor name, over all samples.

    `graph` is what `float_bytes` says; a sample maps each input's tensor name to an array of the
    input's shape. The reference kernels run, whose order of summation is the same on every
    computer. Raises UserError for no samples, a missing input, a wrong shape, or values that are
    not finite.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=float_bytes,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    watched = [*graph.inputs, *(i for operator in graph.operators for i in operator.outputs)]
    lowest = np.full(len(watched), np.inf)
    highest = np.full(len(watched), -np.inf)
    count = 0
    for sample in samples:
        for index in graph.inputs:
            interpreter.set_tensor(index, _input(graph, index, sample, count))
        interpreter.invoke()
        for place, index in enumerate(watched):
            values = interpreter.get_tensor(index)
            lowest[place] = min(lowest[place], float(values.min()))
            highest[place] = max(highest[place], float(values.max()))
        count += 1
    if count == 0:
        raise UserError("Calibration needs at least one sample, but got none; check the data.")
    ranges = {}
    for place, index in enumerate(watched):
        name = graph.tensors[index].name
        if not (np.isfinite(lowest[place]) and np.isfinite(highest[place])):
            raise UserError(
                f"Tensor '{name}' takes the values {lowest[place]} to {highest[place]} over the"
                f" {count} calibration samples; only finite values can be quantized: check the"
                " model and the data."
            )
        ranges[name] = (float(lowest[place]), float(highest[place]))
    return ranges


def _input(graph: Graph, index: int, sample: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    tensor = graph.tensors[index]
    if tensor.name not in sample:
        raise UserError(
            f"Calibration sample {number} lacks the input '{tensor.name}'; it has"
            f" {', '.join(sorted(sample)) or 'none'}: name the arrays after the model's inputs."
        )
    values = np.asarray(sample[tensor.name])
    if values.shape != tensor.shape:
        raise UserError(
            f"Calibration sample {number} has shape {values.shape} for the input"
            f" '{tensor.name}'; the model takes {tensor.shape}."
        )
    return np.ascontiguousarray(values, tensor.dtype)
