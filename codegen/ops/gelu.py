# SPDX-License-Identifier: Apache-2.0
"""GELU, int8 or int16 by table, or float32.

x * P(X <= x) for normal X, or its approximation by tanh.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _unary
from codegen.ops._libm import libm
from codegen.ops._operands import (
    arity,
    first_input_varies,
    is_float,
    one_type,
    per_tensor,
    same_shape,
)
from codegen.program import Step

KIND = "GELU"
TYPES = ("int8", "int16", "float32")
#: How far float32 outputs may be from LiteRT's, in ulp of the largest.
TOLERANCE_ULP = 8
CONSTRAINTS = (
    arity(1, 1),
    first_input_varies,
    one_type,
    per_tensor,
    same_shape,
    _unary.tabulated_in_range,
)


def _exact(x: np.ndarray) -> np.ndarray:
    """x / 2 * erfc(-x / sqrt 2). Source: Hendrycks and Gimpel 2016, section 2."""
    y: np.ndarray = np.float32(0.5) * x * libm("erfcf")(x * np.float32(-math.sqrt(0.5)))
    return y


def _approximate(x: np.ndarray) -> np.ndarray:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))). Source: as _exact."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    y: np.ndarray = np.float32(0.5) * x * (np.float32(1) + libm("tanhf")(inner))
    return y


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    approximate = bool(operator.options.get("approximate", False))
    if is_float(graph, operator):
        kernel = "stapes_gelu_tanh_f32" if approximate else "stapes_gelu_f32"
        return _unary.float_step(graph, operator, kernel)
    return _unary.tabulated(graph, operator, _approximate if approximate else _exact)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """All values of a type under scales from flat to saturated."""
    return _unary.cases(rng, KIND, lambda: {"approximate": bool(rng.integers(2))})
