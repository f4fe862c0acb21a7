# SPDX-License-Identifier: Apache-2.0
"""MAX_POOL_2D: the maximum over sliding windows, int8 or int16."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _pool
from codegen.program import Step

KIND = "MAX_POOL_2D"
TYPES = ("int8", "int16")
CONSTRAINTS = _pool.CONSTRAINTS


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the output's, along height (width where the height is 1)."""
    return _pool.lower(graph, operator, "stapes_max_pool_2d")


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Every padding, stride and activation."""
    return _pool.cases(rng, KIND)
