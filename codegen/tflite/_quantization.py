# SPDX-License-Identifier: Apache-2.0
"""Scales and zero points of a .tflite tensor, checked against its shape and type."""

from __future__ import annotations

import numpy as np

from codegen.errors import UserError
from codegen.graph import NUMPY_TYPES, Quantization
from codegen.tflite._blocks import BLOCKWISE, BlockScales, block_details
from codegen.tflite._flat import Table

_DETAILS = {1: "custom quantization", 3: "several axes"}
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


def read_quantization(
    table: Table, dtype: str, shape: tuple[int, ...], where: str, blocks: BlockScales
) -> Quantization | None:
    """The quantization of an integer tensor, None where the file has none.

    Raises UserError unless there is one scale, one for each index of the quantized axis, or one for
    each block of a row, each a positive normal float32, with zero points inside the type.
    """
    params = table.table(4, f"quantization of {table.where}")
    if params is None or dtype in ("float32", "bool"):
        return None
    details = params.number(4, "B")
    if details == BLOCKWISE:
        return _in_blocks(table, params, shape, where, blocks)
    if details:
        raise UserError(
            f"{where} has {_DETAILS.get(details, 'an unknown kind of quantization')}; supported is"
            " one scale a tensor, a channel or a block: quantize it so."
        )
    scales = params.floats(2, f"scales of {table.where}")
    zero_points = params.numbers(3, "q", f"zero points of {table.where}")
    axis = params.number(6, "i")
    if not scales:
        return None
    if len(shape) == 1:
        axis = 0  # older converters leave the weights' axis on the bias
    if len(scales) > 1 and not (0 <= axis < len(shape) and len(scales) == shape[axis]):
        raise UserError(
            f"{where} has {len(scales)} scales on axis {axis} of shape {shape}; one is needed, or"
            " one for each index of that axis: quantize the model again."
        )
    if len(zero_points) not in (0, 1, len(scales)):
        raise UserError(
            f"{where} has {len(scales)} scales but {len(zero_points)} zero points; they must be"
            " as many: quantize the model again."
        )
    _check_scales(scales, where)
    lowest, highest = _limits(dtype)
    for zero_point in zero_points:
        if not lowest <= zero_point <= highest:
            raise UserError(
                f"{where} has the zero point {zero_point}; {dtype} allows {lowest} to {highest}:"
                " quantize the model again."
            )
    if len(zero_points) != len(scales):
        zero_points = (zero_points or (0,)) * len(scales)
    return Quantization(scales, zero_points, axis if 0 <= axis < len(shape) else 0)


def _in_blocks(
    table: Table, params: Table, shape: tuple[int, ...], where: str, blocks: BlockScales
) -> Quantization:
    """The quantization of a matrix (channels, inputs) in blocks along its inputs."""
    details = block_details(params, where)
    size, axis = details.number(2, "i"), params.number(6, "i")
    if len(shape) != 2 or axis != 0 or size < 1 or shape[1] % size:
        raise UserError(
            f"{where} of shape {shape} is quantized along axis {axis} in blocks of {size};"
            " supported are matrices in blocks that divide their last axis: quantize again."
        )
    if details.number(1, "i") > 0:
        raise UserError(
            f"{where} has zero points a block; only 0 is supported: quantize symmetrically."
        )
    scales = blocks.scales(table, where)
    if len(scales) != shape[0] * (shape[1] // size):
        raise UserError(
            f"{where} of shape {shape} has {len(scales)} scales; blocks of {size} need"
            f" {shape[0] * (shape[1] // size)}: quantize the model again."
        )
    _check_scales(scales, where)
    return Quantization(scales, (0,) * len(scales), 0, size)


def _check_scales(scales: tuple[float, ...], where: str) -> None:
    for scale in scales:
        if not _SMALLEST_SCALE <= scale < float("inf"):
            raise UserError(
                f"{where} has the scale {scale}; a scale must be a positive, finite, normal"
                " number: quantize the model again."
            )


def _limits(dtype: str) -> tuple[int, int]:
    if dtype in ("int4", "int2"):
        half = 1 << (int(dtype[3:]) - 1)
        return -half, half - 1
    limits = np.iinfo(np.dtype(NUMPY_TYPES[dtype]).name)
    return int(limits.min), int(limits.max)
