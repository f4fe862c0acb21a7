# SPDX-License-Identifier: Apache-2.0
"""Functions of one value: steps that look a value up, or that change the scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    input_of,
    leading,
    of_integers,
    operand,
    output_of,
    result,
    row_by_row,
    step_name,
)
from codegen.ops._quantize import quantize_multiplier, requantize
from codegen.ops._tables import FloatFunction, sampled_table, value_table
from codegen.program import Constant, Params, Row0, Rows, Step


@of_integers
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
    return step(graph, operator, kernel, Params("stapes_quantize_params", fields))


def lookup(graph: Graph, operator: Operator, table: np.ndarray) -> Step:
    """int8 output = table[input + 128], or int16 between two of the table's 513 values."""
    before = input_of(graph, operator, 0)
    dtype = before.dtype
    constant = Constant("table", table.astype(dtype))
    fields = (("columns", before.shape[-1] if before.shape else 1), ("table", constant))
    struct = "stapes_lookup_params" if dtype == "int8" else "stapes_lookup_s16_params"
    return step(graph, operator, f"stapes_lookup_{SUFFIXES[dtype]}", Params(struct, fields))


@of_integers
def tabulated_in_range(graph: Graph, operator: Operator) -> str | None:
    """Scales lie between 2^-60 and 2^60, and input scale / output scale is below 2^20."""
    before, after = affine(input_of(graph, operator, 0)), affine(output_of(graph, operator))
    if not all(2**-60 < scale < 2**60 for scale in (before.scale, after.scale)):
        return f"scales {before.scale:.3g} and {after.scale:.3g}"
    real = before.scale / after.scale
    return None if real < 2**20 else f"{real:.3g}"


def tabulated(graph: Graph, operator: Operator, function: FloatFunction) -> Step:
    """A step that looks `function` up in the table that LiteRT makes of it."""
    tensor = input_of(graph, operator, 0)
    before, after = affine(tensor), affine(output_of(graph, operator))
    if tensor.dtype == "int8":
        return lookup(graph, operator, value_table(function, before, after))
    return lookup(graph, operator, sampled_table(function, before.scale, after.scale))


def float_step(graph: Graph, operator: Operator, kernel: str) -> Step:
    """One call of the float32 `kernel`."""
    shape = input_of(graph, operator, 0).shape
    fields = (("columns", shape[-1] if shape else 1),)
    return step(graph, operator, kernel, Params("stapes_unary_f32_params", fields))


def cases(
    rng: np.random.Generator, kind: str, options: Callable[[], Mapping[str, Any]]
) -> Iterator[Graph]:
    """Many values under scales from flat to saturated."""
    while True:
        dtype = _cases.any_type(rng)
        if dtype == "float32":
            source = _cases.tensor(rng, (8, 64), dtype)
            yield _cases.graph(kind, (source,), source, options())
            continue
        unit = 1 if dtype == "int8" else 256
        source = _cases.tensor(rng, (8, 64), dtype, _cases.scale(rng, 1e-3, 1.0) / unit)
        spread = affine(source).scale * _cases.scale(rng, 0.02, 2.0)
        output = _cases.tensor(rng, source.shape, dtype, spread)
        yield _cases.graph(kind, (source,), output, options())


def step(
    graph: Graph,
    operator: Operator,
    kernel: str,
    params: Params,
    header: str = "stapes/unary.h",
) -> Step:
    """One call of `kernel`, in place where the type stays."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    pair = (operator.inputs[0], operator.outputs[0])
    call = Step(
        name=step_name(operator),
        kernel=kernel,
        header=header,
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
    return row_by_row(graph, call)
