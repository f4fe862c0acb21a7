# SPDX-License-Identifier: Apache-2.0
"""Ranges adapted after calibration."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ptq.adapted import adapted


def _graph(*kinds: str, outputs: tuple[int, ...] = ()) -> Graph:
    """Operators in a chain, tensor n being the input of the n-th."""
    tensors = tuple(Tensor(f"t{n}", (1, 4), "float32") for n in range(len(kinds) + 1))
    operators = tuple(Operator(n, kind, (n,), (n + 1,)) for n, kind in enumerate(kinds))
    return Graph("g", tensors, operators, (0,), outputs or (len(kinds),))


SEEN = {"t0": (-1.0, 2.0), "t1": (-1500.0, 90.0), "t2": (-0.2, 90.0)}


def test_what_gelu_makes_zero_costs_no_range() -> None:
    found = adapted(_graph("FULLY_CONNECTED", "GELU"), SEEN)
    assert found == {"t0": SEEN["t0"], "t1": (-6.0, 64.0), "t2": (-0.2, 64.0)}
    assert adapted(_graph("TANH", "RELU"), SEEN) == SEEN


def test_a_range_that_others_read_is_left() -> None:
    graph = _graph("FULLY_CONNECTED", "GELU", outputs=(1, 2))
    assert adapted(graph, SEEN) == SEEN
    chain = _graph("FULLY_CONNECTED", "GELU")
    second = Operator(2, "RELU", (1,), (2,))
    shared = Graph("g", chain.tensors, (*chain.operators, second), (0,), (2,))
    assert adapted(shared, SEEN) == SEEN


def test_gelu_is_flat_where_the_range_ends() -> None:
    from scipy.special import ndtr

    x = np.linspace(-40, -6, 1000)
    assert np.abs(x * ndtr(x)).max() < 1e-8


def test_a_difference_that_was_always_zero_has_a_range() -> None:
    seen = {"t0": (-64.0, 2.0), "t1": (0.0, 0.0)}
    assert adapted(_graph("SUB"), seen) == {"t0": (-64.0, 2.0), "t1": (0.0, 0.25)}
    wide = seen | {"t1": (-3.0, 3.0)}
    assert adapted(_graph("SUB"), wide) == wide
