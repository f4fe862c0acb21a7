# SPDX-License-Identifier: Apache-2.0
"""Weights and bias of the matrix operators: their constraints, and how the kernels read them."""

from __future__ import annotations

import math

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    fused_activation,
    input_of,
    optional_input,
    output_of,
)
from codegen.ops._quantize import narrow_multiplier, quantize_multiplier
from codegen.program import Constant

#: TensorType of the schema, as it stands in the option quantized_bias_type.
_INT32, _INT64 = 2, 4

_CONTAINERS = {"DEPTHWISE_CONV_2D": ("int8",), "FULLY_CONNECTED": ("int8", "int4", "int2")}

#: Bits of a weight that FULLY_CONNECTED kernels read.
MATRIX_WIDTHS = (2, 3, 4, 8)
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def known_activation(graph: Graph, operator: Operator) -> str | None:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    activation = fused_activation(operator)
    return None if activation in ACTIVATIONS else activation


def constant_weights(graph: Graph, operator: Operator) -> str | None:
    """The weights are an int8 or int4 constant, in FULLY_CONNECTED also int2; DEPTHWISE_CONV_2D
    takes int8 only."""
    weights = input_of(graph, operator, 1)
    allowed = _CONTAINERS.get(operator.kind, ("int8", "int4"))
    if weights.dtype not in allowed:
        return f"{weights.dtype} weights"
    return None if weights.data is not None else "weights that are computed"


def symmetric_weights(graph: Graph, operator: Operator) -> str | None:
    """The weights have zero point 0 and positive finite scales: one, one an output channel, or, in
    FULLY_CONNECTED, one a block."""
    weights = input_of(graph, operator, 1)
    quantization = weights.quantization
    if quantization is None or not quantization.scales:
        return "weights without a scale"
    if any(quantization.zero_points):
        return f"zero point {next(z for z in quantization.zero_points if z)}"
    if not all(0 < scale < math.inf for scale in quantization.scales):
        return "a scale that is not positive and finite"
    if quantization.block_size:
        return (
            None if operator.kind == "FULLY_CONNECTED" else f"blocks of {quantization.block_size}"
        )
    count = len(quantization.scales)
    axis = channel_axis(operator)
    if count > 1 and (quantization.axis, count) != (axis, weights.shape[axis]):
        return f"{count} scales along dimension {quantization.axis} of {list(weights.shape)}"
    return None


def constant_bias(graph: Graph, operator: Operator) -> str | None:
    """The bias is a constant with one value an output channel: int32 beside int8 activations,
    int64 beside int16 (in FULLY_CONNECTED int32, where its option quantized_bias_type says so),
    float32 beside float32. All operators but CONV_2D may lack it."""
    bias = optional_input(graph, operator, 2)
    before = input_of(graph, operator, 0).dtype
    if bias is None:
        return None
    allowed = {"int8": {"int32"}, "int16": {"int64"}}.get(before, {"float32"})
    if (
        before != "float32"
        and operator.kind == "FULLY_CONNECTED"
        and _stated_bias(operator) == _INT32
    ):
        allowed = {"int32"}
    if bias.data is None or bias.dtype not in allowed:
        return f"{'a computed' if bias.data is None else bias.dtype} bias"
    channels = input_of(graph, operator, 1).shape[channel_axis(operator)]
    return None if bias.elements == channels else f"{bias.elements} values for {channels} channels"


def accumulator_fits(graph: Graph, operator: Operator) -> str | None:
    """No input can make a sum overflow: 2^31, or 2^47 where the accumulator has 64 bits."""
    largest = max(largest_sums(graph, operator))
    limit = 1 << 47 if is_wide(graph, operator) else 1 << 31
    return None if largest < limit else f"sums up to {largest}"


def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """input scale * weight scale / output scale is below 2^30, or 2^7 for 64-bit accumulators."""
    limit = 128.0 if is_wide(graph, operator) else 2.0**30
    largest = max(real_multipliers(graph, operator))
    return None if largest < limit else f"{largest:.3g}"


#: In the order in which they may rely on each other; of scales, each operator has its own.
CONSTRAINTS = (
    constant_weights,
    symmetric_weights,
    constant_bias,
    accumulator_fits,
    known_activation,
)


def is_wide(graph: Graph, operator: Operator) -> bool:
    """Whether LiteRT accumulates in 64 bits: int16 activations, unless the bias has 32 bits or,
    in FULLY_CONNECTED, there is none."""
    if input_of(graph, operator, 0).dtype != "int16":
        return False
    bias = optional_input(graph, operator, 2)
    if bias is not None:
        return bias.dtype == "int64"
    return operator.kind != "FULLY_CONNECTED" or _stated_bias(operator) == _INT64


def _stated_bias(operator: Operator) -> int:
    return int(operator.options.get("quantized_bias_type", 0))


def channel_axis(operator: Operator) -> int:
    """The dimension of the weights that counts output channels."""
    return 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0


def matrix(graph: Graph, operator: Operator) -> np.ndarray:
    """The weights as int8 values (output channels, products an output)."""
    weights = input_of(graph, operator, 1)
    assert weights.data is not None
    axis = channel_axis(operator)
    return np.moveaxis(weights.data, axis, 0).reshape(weights.shape[axis], -1)


def largest_sums(graph: Graph, operator: Operator) -> list[int]:
    """A bound on the magnitude of each output channel's sum."""
    reach = 32768 if input_of(graph, operator, 0).dtype == "int16" else 256
    weights = np.abs(matrix(graph, operator).astype(np.int64)).sum(axis=1).tolist()
    bias = raw_bias(graph, operator).tolist()
    return [reach * w + abs(b) for w, b in zip(weights, bias, strict=True)]


def raw_bias(graph: Graph, operator: Operator) -> np.ndarray:
    """The integer bias as the file has it, or zeros: int64 (output channels,)."""
    bias = optional_input(graph, operator, 2)
    if bias is None or bias.data is None or bias.dtype == "float32":
        return np.zeros(input_of(graph, operator, 1).shape[channel_axis(operator)], np.int64)
    return bias.data.reshape(-1).astype(np.int64)


def real_multipliers(graph: Graph, operator: Operator) -> tuple[float, ...]:
    """The rescaling factor of each output channel."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    weights = input_of(graph, operator, 1)
    scales = affine(weights).scales
    scale, target = affine(before).scale, affine(after).scale
    channels = weights.shape[channel_axis(operator)]
    factors = [scale * s / target for s in scales]
    return tuple(factors) if len(factors) == channels else (factors[0],) * channels


def rescaling(graph: Graph, operator: Operator) -> tuple[Constant, Constant]:
    """Multipliers int32 and shifts int8, one each an output channel."""
    quantized = narrow_multiplier if is_wide(graph, operator) else quantize_multiplier
    pairs = [quantized(real) for real in real_multipliers(graph, operator)]
    return (
        Constant("multipliers", np.array([m for m, _ in pairs], np.int32)),
        Constant("shifts", np.array([s for _, s in pairs], np.int8)),
    )


def true_bits(graph: Graph, operator: Operator, widths: tuple[int, ...]) -> int:
    """The first of the ascending `widths` that holds every weight, whatever the file's type."""
    return least_bits(matrix(graph, operator), widths)


def least_bits(values: np.ndarray, widths: tuple[int, ...]) -> int:
    """The first of the ascending `widths` that holds every value.

    >>> [least_bits(np.array(each), MATRIX_WIDTHS) for each in ([-2, 1], [-2, 2], [-8], [8])]
    [2, 3, 4, 8]
    """
    least, greatest = int(values.min()), int(values.max())
    return next(bits for bits in widths if -(1 << bits - 1) <= least and greatest < 1 << bits - 1)


def kernel_suffix(graph: Graph, operator: Operator, bits: int) -> str:
    """What ends an integer kernel's name: the activations' type, then the bits where below 8."""
    suffix = SUFFIXES[input_of(graph, operator, 0).dtype]
    return suffix if bits == 8 else f"{suffix}_w{bits}"


def packed_weights(graph: Graph, operator: Operator, bits: int, rows: int = 1) -> Constant:
    """The weights in the file's order: int8, or uint8 of `bits` each, the low ones first.

    Each of `rows` starts at a byte, as firmware/include/stapes/packed.h has them.
    """
    weights: Tensor = input_of(graph, operator, 1)
    assert weights.data is not None
    return Constant("weights", packed(weights.data.reshape(rows, -1), bits).reshape(-1))


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows of int8 `values` (rows, count) as the C reads them: (rows, bytes), uint8 below 8 bits.

    >>> packed(np.array([[1, -1, 3], [0, -2, 0]], np.int8), 3).tolist()
    [[249, 0], [48, 0]]
    """
    if bits == 8:
        return values
    fields = np.unpackbits(values[..., None].view(np.uint8), axis=2, count=bits, bitorder="little")
    return np.packbits(fields.reshape(len(values), -1), axis=1, bitorder="little")


def folded_bias(graph: Graph, operator: Operator) -> Constant:
    """The bias less zero point * sum of weights (int32), or as it is (int64) beside int16."""
    before = input_of(graph, operator, 0)
    bias = raw_bias(graph, operator)
    if before.dtype == "int16":
        return Constant("bias", bias)
    sums = matrix(graph, operator).astype(np.int64).sum(axis=1)
    return Constant("bias", (bias - affine(before).zero_point * sums).astype(np.int32))
