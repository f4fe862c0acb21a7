# SPDX-License-Identifier: Apache-2.0
"""RELU and RELU6 on their own: a change of scale, clamped to what the activation lets through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _unary
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    one_type,
    output_of,
    per_tensor,
    same_shape,
)
from codegen.ops._quantize import activation_range, float32, float_range
from codegen.program import Params, Step

TYPES = ("int8", "int16", "float32")
CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    _unary.rescaling_in_range,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    if is_float(graph, operator):
        lowest, highest = float_range(operator.kind)
        fields = (
            ("columns", before.shape[-1] if before.shape else 1),
            ("output_min", lowest),
            ("output_max", highest),
        )
        return _unary.step(
            graph, operator, "stapes_clamp_f32", Params("stapes_clamp_params", fields)
        )
    # LiteRT divides in single precision here.
    real = float32(affine(before).scale / affine(after).scale)
    return _unary.rescale(graph, operator, real, activation_range(after, operator.kind))


def cases(rng: np.random.Generator, kind: str) -> Iterator[Graph]:
    """Outputs of the input's scale and of others."""
    while True:
        source = _cases.tensor(rng, (2, 3, 50), _cases.choice(rng, *TYPES))
        output = _cases.tensor(rng, source.shape, source.dtype)
        if rng.integers(2):
            output = _cases.like(source, source.shape)
        yield _cases.graph(kind, (source,), output, {})
