# SPDX-License-Identifier: Apache-2.0
"""ADD: int8, int16 or float32, with repeated or constant inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _broadcast, _sum
from codegen.program import Step

KIND = "ADD"
TYPES = ("int8", "int16", "float32")
CONSTRAINTS = _sum.CONSTRAINTS


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions, columns the rest."""
    return _sum.lower(graph, operator, "stapes_add")


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Equal shapes and each way of repeating, either input constant or not."""
    return _broadcast.cases(rng, KIND)
