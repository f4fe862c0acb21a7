# SPDX-License-Identifier: Apache-2.0
"""Random one-operator graphs for the conformance tests, with scales that also saturate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ops._operands import RANGES, affine


def integer(rng: np.random.Generator, least: int, most: int) -> int:
    """A random integer, both ends included."""
    return int(rng.integers(least, most + 1))


def choice(rng: np.random.Generator, *values: Any) -> Any:
    """One of `values`."""
    return values[int(rng.integers(len(values)))]


def either_type(rng: np.random.Generator) -> str:
    """A random integer activation type."""
    return str(choice(rng, "int8", "int16"))


def any_type(rng: np.random.Generator) -> str:
    """A random activation type, float32 among them."""
    return str(choice(rng, "int8", "int16", "float32"))


def scale(rng: np.random.Generator, least: float = 1e-3, most: float = 1.0) -> float:
    """A random single-precision scale, log-uniform."""
    return float(np.float32(np.exp(rng.uniform(np.log(least), np.log(most)))))


def tensor(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: str,
    real_scale: float | None = None,
    zero_point: int | None = None,
) -> Tensor:
    """An activation of random scale and zero point, where none is given; float32 has neither."""
    if dtype == "float32":
        return Tensor("", shape, dtype)
    lowest, highest = RANGES[dtype]
    if zero_point is None:
        zero_point = choice(rng, 0, lowest, highest, integer(rng, lowest, highest))
    if dtype == "int16":
        zero_point = 0
    if real_scale is None:
        real_scale = scale(rng) / (1 if dtype == "int8" else 256)
    real_scale = float(np.float32(real_scale))
    return Tensor("", shape, dtype, Quantization((real_scale,), (zero_point,)))


def like(source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An activation with the type and quantization of `source`."""
    return Tensor("", shape, source.dtype, source.quantization)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random data over the type's whole range, sometimes only its ends; normal float32."""
    if dtype == "float32":
        return (scale(rng, 0.1, 10.0) * rng.normal(0.0, 1.0, shape)).astype(np.float32)
    lowest, highest = RANGES[dtype]
    kind = integer(rng, 0, 9)
    if kind == 0:
        return np.full(shape, choice(rng, lowest, highest), dtype)
    if kind == 1:
        return rng.choice(np.array([lowest, highest], dtype), shape)
    return rng.integers(lowest, highest, shape, dtype, endpoint=True)


def constant(rng: np.random.Generator, source: Tensor) -> Tensor:
    """`source` with random data."""
    data = values(rng, source.shape, source.dtype)
    return Tensor("", source.shape, source.dtype, source.quantization, data)


def indices(data: list[int] | list[list[int]]) -> Tensor:
    """An int32 constant, such as a shape, axes or paddings."""
    array = np.array(data, np.int32)
    return Tensor("", array.shape, "int32", None, array)


def weights(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    axis: int,
    per_channel: bool = True,
    dtype: str = "int8",
    bits: int | None = None,
) -> Tensor:
    """Weights of 8, 4 or 2 bits, as the type, or of `bits`; one scale a channel along `axis`, or
    one for all. int8 is -127 ... 127."""
    count = shape[axis] if per_channel else 1
    scales = tuple(scale(rng, 1e-3, 1e-1) for _ in range(count))
    data = np.maximum(values(rng, shape, "int8"), -127) >> 8 - (bits or int(dtype[3:]))
    return Tensor("", shape, dtype, Quantization(scales, (0,) * count, axis), data)


def narrow_form(rng: np.random.Generator) -> tuple[str, int]:
    """A type of weights, and how many of its bits they use."""
    form: tuple[str, int] = choice(
        rng, ("int4", 4), ("int4", 3), ("int4", 2), ("int8", 4), ("int8", 3), ("int8", 2)
    )
    return form


def blocks(rng: np.random.Generator, shape: tuple[int, int], size: int, bits: int = 4) -> Tensor:
    """int4 weights of `bits` in blocks of `size`, with scales that float16 and bfloat16 share."""
    count = shape[0] * shape[1] // size
    scales = tuple(
        float(rng.integers(128, 256)) * 2.0 ** -integer(rng, 9, 18) for _ in range(count)
    )
    data = values(rng, shape, "int8") >> 8 - bits
    return Tensor("", shape, "int4", Quantization(scales, (0,) * count, 0, size), data)


def tamed(source: Tensor) -> Tensor:
    """`source` with scales times a power of two, so that outputs are about as large as inputs."""
    assert source.data is not None
    reach = max(affine(source).scales) * max(1, np.abs(source.data.astype(np.int16)).max())
    factor = 2.0 ** -round(math.log2(reach * math.sqrt(source.elements / source.shape[0])))
    scales = tuple(scale * factor for scale in affine(source).scales)
    return replace(source, quantization=replace(affine(source), scales=scales))


def bias(
    rng: np.random.Generator, source: Tensor, filters: Tensor, axis: int, wide: bool | None = None
) -> Tensor:
    """A bias of int32 beside int8 activations or int64 beside int16, where `wide` is not given."""
    channels = filters.shape[axis]
    wide = source.dtype == "int16" if wide is None else wide
    reach = choice(rng, 1, 1 << 10, 1 << (30 if wide else 20))
    data = rng.integers(-reach, reach, channels, np.int64, endpoint=True)
    before = affine(source).scale
    scales = tuple(float(np.float32(before * s)) for s in affine(filters).scales)
    quantization = Quantization(scales, (0,) * len(scales))
    stored = "int64" if wide else "int32"
    return Tensor("", (channels,), stored, quantization, data.astype(stored))


def fitted(rng: np.random.Generator, source: Tensor, filters: Tensor, products: int) -> float:
    """An output scale under which sums of `products` products use the range, or saturate: one time
    in eight, even a single product does."""
    unit = affine(source).scale * max(affine(filters).scales)
    if rng.integers(8) == 0:
        return float(np.float32(max(unit * scale(rng, 0.02, 20.0), 1e-8)))
    return float(np.float32(73 * np.sqrt(products) * unit * scale(rng, 0.3, 8.0)))


def activation(rng: np.random.Generator) -> str:
    """A random fused activation."""
    return str(choice(rng, "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"))


def graph(
    kind: str, inputs: tuple[Tensor | None, ...], output: Tensor, options: Mapping[str, Any]
) -> Graph:
    """One operator; inputs without data are the graph's inputs, None is an input left out."""
    tensors: list[Tensor] = []
    numbers = []
    for source in inputs:
        numbers.append(-1 if source is None else len(tensors))
        if source is not None:
            name = f"t{len(tensors)}"
            tensors.append(
                Tensor(name, source.shape, source.dtype, source.quantization, source.data)
            )
    variable = tuple(i for i, t in enumerate(tensors) if t.data is None)
    last = len(tensors)
    tensors.append(Tensor("y", output.shape, output.dtype, output.quantization))
    operator = Operator(0, kind, tuple(numbers), (last,), dict(options))
    return Graph("case", tuple(tensors), (operator,), variable, (last,))


def window(rng: np.random.Generator, dilate: bool = True) -> dict[str, Any]:
    """Random options of a sliding window."""
    options: dict[str, Any] = {
        "padding": choice(rng, "SAME", "VALID"),
        "stride_h": integer(rng, 1, 3),
        "stride_w": integer(rng, 1, 3),
        "fused_activation_function": activation(rng),
    }
    if dilate:
        options["dilation_h_factor"] = choice(rng, 1, 1, 2, 3)
        options["dilation_w_factor"] = choice(rng, 1, 1, 2, 3)
    return options
