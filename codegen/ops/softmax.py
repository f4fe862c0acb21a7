# SPDX-License-Identifier: Apache-2.0
"""SOFTMAX over the last dimension, int8 or int16 with tables made here, or float32."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    SUFFIXES,
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    leading,
    of_integers,
    one_type,
    operand,
    output_of,
    per_tensor,
    result,
    row_by_row,
    same_shape,
    step_name,
)
from codegen.ops._quantize import quantize_multiplier
from codegen.ops._tables import interpolation_table, softmax_exponentials
from codegen.program import Constant, Params, Row0, Rows, Step

KIND = "SOFTMAX"
TYPES = ("int8", "int16", "float32")
#: How far float32 outputs may be from LiteRT's, in ulp of the largest.
TOLERANCE_ULP = 8


def positive_beta(graph: Graph, operator: Operator) -> str | None:
    """beta is positive, and beta * input scale (float32: beta) from 2^-30 to 2^10."""
    beta = float(operator.options.get("beta", 1.0))
    floating = is_float(graph, operator)
    product = beta * (1 if floating else affine(input_of(graph, operator, 0)).scale)
    return None if 2**-30 <= product <= 2**10 else f"beta {beta}, product {product:.3g}"


@of_integers
def fixed_output(graph: Graph, operator: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128 (int8), or 1/32768 and 0 (int16)."""
    after = output_of(graph, operator)
    scale, zero_point = (1 / 256, -128) if after.dtype == "int8" else (1 / 32768, 0)
    found = affine(after)
    if math.isclose(found.scale, scale, rel_tol=1e-3) and found.zero_point == zero_point:
        return None
    return f"scale {found.scale}, zero point {found.zero_point}"


def depth_in_range(graph: Graph, operator: Operator) -> str | None:
    """The last dimension is at most 4095 (int8) or 65535 (int16, float32)."""
    tensor = input_of(graph, operator, 0)
    depth = tensor.shape[-1] if tensor.shape else 0
    return None if 0 < depth < (4096 if tensor.dtype == "int8" else 65536) else str(depth)


CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    positive_beta,
    fixed_output,
    depth_in_range,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    tensor = input_of(graph, operator, 0)
    beta = float(operator.options.get("beta", 1.0))
    fields: tuple[tuple[str, int | float | Constant], ...] = (("depth", tensor.shape[-1]),)
    if tensor.dtype == "float32":
        fields += (("beta", beta),)
    elif tensor.dtype == "int8":
        table = softmax_exponentials(affine(tensor).scale, beta)
        fields += (("exponentials", Constant("exponentials", table)),)
    else:
        scale = affine(tensor).scale
        multiplier, shift = quantize_multiplier(scale * beta / (10.0 / 65535.0))
        exponentials = interpolation_table(np.exp, -10.0, 0.0)
        reciprocals = interpolation_table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0)
        fields += (
            ("multiplier", multiplier),
            ("shift", shift),
            ("exponentials", Constant("exponentials", exponentials)),
            ("reciprocals", Constant("reciprocals", reciprocals)),
        )
    suffix = SUFFIXES[tensor.dtype]
    call = Step(
        name=step_name(operator),
        kernel=f"stapes_softmax_{suffix}",
        header="stapes/softmax.h",
        operands=(
            Params(f"stapes_softmax_{suffix}_params", fields),
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=leading(tensor.shape),
        in_place=((operator.inputs[0], operator.outputs[0]),),
    )
    return row_by_row(graph, call)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Scales under which everything, or only the largest value, counts."""
    while True:
        dtype = _cases.any_type(rng)
        depth = _cases.choice(rng, 1, 2, 4, 29, 200)
        lead = _cases.choice(rng, (), (1,), (7,), (2, 3))
        scale = _cases.scale(rng, 1e-3, 3.0) / (1 if dtype == "int8" else 256)
        source = _cases.tensor(rng, (*lead, depth), dtype, scale)
        options = {"beta": _cases.choice(rng, 1.0, 1.0, 0.5)}
        if dtype == "float32":
            yield _cases.graph(KIND, (source,), source, options)
            continue
        unit, zero_point = (1 / 256, -128) if dtype == "int8" else (1 / 32768, 0)
        output = _cases.tensor(rng, source.shape, dtype, unit, zero_point)
        yield _cases.graph(KIND, (source,), output, options)
