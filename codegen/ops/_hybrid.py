# SPDX-License-Identifier: Apache-2.0
"""float32 activations times integer weights: what the kernels with activations quantized at run
time read.

The arithmetic is that of XNNPACK's qd8 operators, which quantize asymmetrically whatever the option
asymmetric_quantize_inputs says, and keep the scales of blocks as bfloat16.
"""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _window
from codegen.ops._operands import (
    affine,
    fused_activation,
    input_of,
    operand,
    optional_input,
    output_of,
    result,
    row_by_row,
    step_name,
)
from codegen.ops._quantize import float_range
from codegen.ops._weights import (
    MATRIX_WIDTHS,
    channel_axis,
    packed_weights,
    true_bits,
)
from codegen.program import Constant, Params, Row0, Rows, Scratch, Step

#: Rows that share the unpacking of weights: STAPES_HYBRID_ROWS of fully_connected.h.
ROWS = 4
BLOCK_SIZES = (32, 64, 128, 256)


def is_hybrid(graph: Graph, operator: Operator) -> bool:
    """Whether activations are float32, which the constraints have found to mean integer weights."""
    return input_of(graph, operator, 0).dtype == "float32"


def blocks_fit(graph: Graph, operator: Operator) -> str | None:
    """Weights in blocks along their inputs are int4, in blocks of 32, 64, 128 or 256 that fill
    whole rows, beside float32 activations; their scales are at least 2^-126 as bfloat16."""
    weights = input_of(graph, operator, 1)
    size = affine(weights).block_size
    if not size:
        return None
    if not is_hybrid(graph, operator) or weights.dtype != "int4" or size not in BLOCK_SIZES:
        return f"{weights.dtype} in blocks of {size}"
    count = len(affine(weights).scales)
    if weights.shape[1] % size or count != weights.elements // size:
        return f"{count} scales for blocks of {size} of {list(weights.shape)}"
    kept = bfloat16(np.array(affine(weights).scales))
    return None if (kept < 0x7F80).all() and (kept >= 0x80).all() else "a scale out of range"


def whole_bytes(graph: Graph, operator: Operator) -> str | None:
    """int4 weights beside float32 activations have an even input depth."""
    weights = input_of(graph, operator, 1)
    odd = is_hybrid(graph, operator) and weights.dtype == "int4" and weights.shape[-1] % 2
    return f"{weights.shape[-1]}" if odd else None


def no_int2(graph: Graph, operator: Operator) -> str | None:
    """Weights beside float32 activations are not int2, of which LiteRT makes other results."""
    dtype = input_of(graph, operator, 1).dtype
    return dtype if is_hybrid(graph, operator) and dtype == "int2" else None


def int8_convolution(graph: Graph, operator: Operator) -> str | None:
    """Weights beside float32 activations are int8."""
    dtype = input_of(graph, operator, 1).dtype
    return dtype if is_hybrid(graph, operator) and dtype != "int8" else None


def scales(graph: Graph, operator: Operator) -> Constant:
    """float32, one an output channel; in blocks bfloat16 as uint16, (channels, blocks)."""
    weights = input_of(graph, operator, 1)
    found = affine(weights).scales
    if affine(weights).block_size:
        return Constant("scales", bfloat16(np.array(found)))
    channels = weights.shape[channel_axis(operator)]
    one_each = found if len(found) == channels else found * channels
    return Constant("scales", np.array(one_each, np.float32))


def bias(graph: Graph, operator: Operator) -> Constant:
    """float32, one an output channel."""
    given = optional_input(graph, operator, 2)
    channels = input_of(graph, operator, 1).shape[channel_axis(operator)]
    if given is None or given.data is None:
        return Constant("bias", np.zeros(channels, np.float32))
    return Constant("bias", given.data.reshape(-1))


def matrix_step(graph: Graph, operator: Operator) -> Step:
    """One call of a FULLY_CONNECTED kernel; rows are the product of the leading dimensions."""
    weights, after = input_of(graph, operator, 1), output_of(graph, operator)
    outputs, inputs = weights.shape[0], weights.shape[-1]
    size = affine(weights).block_size
    bits = true_bits(graph, operator, MATRIX_WIDTHS)
    rows = after.elements // outputs
    params = Params(
        f"stapes_fully_connected_{'blocks' if size else 'f32'}_params",
        (
            ("input_depth", inputs),
            ("output_depth", outputs),
            *((("block_size", size),) if size else ()),
            *range_fields(operator),
            ("scales", scales(graph, operator)),
        ),
    )
    call = Step(
        name=step_name(operator),
        kernel=f"stapes_fully_connected_f32_w{bits}{'_blocks' if size else ''}",
        header="stapes/fully_connected.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            packed_weights(graph, operator, bits, outputs),
            bias(graph, operator),
            Scratch(),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=rows,
        scratch_bytes=2 * inputs * (1 if bits == 8 else min(rows, ROWS)),
        macs=after.elements * inputs,
    )
    return row_by_row(graph, call)


def convolution_params(graph: Graph, operator: Operator) -> Params:
    """Of a CONV_2D with float32 activations."""
    y, x = _window.axes(graph, operator)
    return Params(
        "stapes_conv_2d_f32_params",
        (
            *_window.fields(graph, operator, "input_channels"),
            ("dilation_y", y.dilation),
            ("dilation_x", x.dilation),
            ("output_channels", output_of(graph, operator).shape[3]),
            *range_fields(operator),
            ("scales", scales(graph, operator)),
        ),
    )


def range_fields(operator: Operator) -> tuple[tuple[str, float], ...]:
    """The fields of a params struct that bound the output."""
    lowest, highest = float_range(fused_activation(operator))
    return ("output_min", lowest), ("output_max", highest)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper halves of float32 `values`, rounded to nearest, halves to even: uint16.

    >>> [hex(v) for v in bfloat16(np.array([1.0, 1.00390625, 1.01171875]))]
    ['0x3f80', '0x3f80', '0x3f82']
    """
    with np.errstate(over="ignore"):
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
