# SPDX-License-Identifier: Apache-2.0
"""RESHAPE: the same data under another shape; no code runs."""

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

KIND = "RESHAPE"
TYPES = ("int8", "int16", "float32")
CONSTRAINTS = (arity(1, 2), first_input_varies, one_type, same_elements, same_quantization)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Alias:
    """The output is the input."""
    return Alias(operator.inputs[0], operator.outputs[0])


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """The shape as an input."""
    while True:
        source = _cases.tensor(rng, (4, 6), _cases.any_type(rng))
        shape = _cases.choice(rng, (24,), (2, 3, 4), (1, 24, 1))
        sizes = _cases.indices(list(shape))
        yield _cases.graph(KIND, (source, sizes), _cases.like(source, shape), {})
