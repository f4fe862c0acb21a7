# SPDX-License-Identifier: Apache-2.0
"""EXPAND_DIMS: the same data under another shape; no code runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    arity,
    first_input_varies,
    one_type,
    same_elements,
    same_quantization,
)
from codegen.program import Alias

KIND = "EXPAND_DIMS"
TYPES = ("int8", "int16", "float32")
CONSTRAINTS = (arity(2, 2), first_input_varies, one_type, same_elements, same_quantization)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Alias:
    """The output is the input."""
    return Alias(operator.inputs[0], operator.outputs[0])


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """A new dimension before, inside or behind."""
    while True:
        source = _cases.tensor(rng, (5, 3), _cases.any_type(rng))
        axis, shape = _cases.choice(rng, (0, (1, 5, 3)), (1, (5, 1, 3)), (-1, (5, 3, 1)))
        yield _cases.graph(KIND, (source, _cases.indices([axis])), _cases.like(source, shape), {})
