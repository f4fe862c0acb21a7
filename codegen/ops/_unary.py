# SPDX-License-Identifier: Apache-2.0
"""Functions of one value: steps that look up all int8 values, or that change the scale."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    input_of,
    leading,
    operand,
    output_of,
    result,
    step_name,
)
from codegen.ops._quantize import quantize_multiplier, requantize
from codegen.program import Constant, Params, Row0, Rows, Step


def rescaling_in_range(graph: Graph, operator: Operator) -> str | None:
    """input scale / output scale is below 2^30."""
    real = affine(input_of(graph, operator, 0)).scale / affine(output_of(graph, operator)).scale
    return None if real < 2**30 else f"{real:.3g}"


def rescale(graph: Graph, operator: Operator, real: float, limits: tuple[int, int]) -> Step:
    """output = (input - its zero point) * real + zero point, clamped to `limits`."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    multiplier, shift = quantize_multiplier(real)
    lowest, highest = limits
    if (before.dtype, after.dtype) == ("int8", "int8"):
        values = np.arange(-128, 128) - affine(before).zero_point
        scaled = requantize(values, multiplier, shift) + affine(after).zero_point
        return lookup(graph, operator, np.clip(scaled, lowest, highest))
    fields = (
        ("columns", before.shape[-1] if before.shape else 1),
        ("input_zero_point", affine(before).zero_point),
        ("multiplier", multiplier),
        ("shift", shift),
        ("output_zero_point", affine(after).zero_point),
        ("output_min", lowest),
        ("output_max", highest),
    )
    kinds = dict.fromkeys((SUFFIXES[before.dtype], SUFFIXES[after.dtype]))
    kernel = f"stapes_quantize_{'_'.join(kinds)}"
    return _step(graph, operator, kernel, Params("stapes_quantize_params", fields))


def lookup(graph: Graph, operator: Operator, table: np.ndarray) -> Step:
    """output = table[input + 128], int8."""
    before = input_of(graph, operator, 0)
    constant = Constant("table", table.astype(np.int8))
    fields = (("columns", before.shape[-1] if before.shape else 1), ("table", constant))
    return _step(graph, operator, "stapes_lookup_s8", Params("stapes_lookup_params", fields))


def _step(graph: Graph, operator: Operator, kernel: str, params: Params) -> Step:
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    pair = (operator.inputs[0], operator.outputs[0])
    return Step(
        name=step_name(operator),
        kernel=kernel,
        header="stapes/unary.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=leading(before.shape),
        in_place=(pair,) if before.dtype == after.dtype else (),
    )
