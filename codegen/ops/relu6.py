# SPDX-License-Identifier: Apache-2.0
"""RELU6 on its own, int8, int16 or float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph
from codegen.ops import _rectify

KIND = "RELU6"
TYPES = _rectify.TYPES
CONSTRAINTS = _rectify.CONSTRAINTS
lower = _rectify.lower


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Outputs of the input's scale and of others."""
    return _rectify.cases(rng, KIND)
