# SPDX-License-Identifier: Apache-2.0
"""SQUEEZE: the same data under another shape; no code runs."""

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

KIND = "SQUEEZE"
TYPES = ("int8", "int16", "float32")
CONSTRAINTS = (arity(1, 1), first_input_varies, one_type, same_elements, same_quantization)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Alias:
    """The output is the input."""
    return Alias(operator.inputs[0], operator.outputs[0])


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """All dimensions of 1, or one of them."""
    while True:
        source = _cases.tensor(rng, (1, 5, 1, 3), _cases.any_type(rng))
        dimensions, shape = _cases.choice(rng, ((), (5, 3)), ((0,), (5, 1, 3)), ((2,), (1, 5, 3)))
        options = {"squeeze_dims": dimensions}
        yield _cases.graph(KIND, (source,), _cases.like(source, shape), options)
