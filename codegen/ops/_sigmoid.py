# SPDX-License-Identifier: Apache-2.0
"""What int16 LOGISTIC and TANH share: the table of one, and its constraints."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codegen.graph import Graph, Operator
from codegen.ops import _cases, _unary
from codegen.ops._operands import affine, input_of, of_integers
from codegen.program import Constant, Params, Step

#: Scale and zero point of an output from 0 or -1 to 1.
UNITS = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
#: Steps of the table's argument in 1.
_STEPS = 24


@of_integers
def moderate_scale(graph: Graph, operator: Operator) -> str | None:
    """int16: the input scale is from 2^-30 to 4."""
    tensor = input_of(graph, operator, 0)
    scale = affine(tensor).scale
    fits = tensor.dtype == "int8" or 2**-30 <= scale <= 4
    return None if fits else f"{scale:.3g}"


def logistic_table() -> np.ndarray:
    """1 / (1 + exp(-i / 24)), i = 0 ... 255, as uint16 with 16 fraction bits.

    LiteRT's table: each value is moved by half the error of linear interpolation midway to the
    next; the last counts as 1.
    """

    def value(i: np.ndarray) -> np.ndarray:
        y: np.ndarray = (1 << 16) / (1 + np.exp(-i / _STEPS))
        return y

    i = np.arange(256.0)
    error = value(i + 0.5) - (value(i) + value(i + 1)) / 2
    table: np.ndarray = np.floor(value(i) + error / 2 + 0.5)
    table[-1] = (1 << 16) - 1
    words: np.ndarray = table.astype(np.uint16)
    return words


def _multiplier(scale: float, shifts: tuple[int, ...]) -> tuple[int, int]:
    """The input scale as (multiplier, shift) of steps of 2^-12 / 3.

    Powers of two up to 2^-12 * 2^shift, shift one of `shifts`, have the multiplier 3 * 2^shift.
    """
    log = math.log2(scale)
    if abs(log - round(log)) < 1e-3 and 12 + round(log) in shifts:
        return 3 << (12 + round(log)), 0
    real, shift = scale * 4096.0 * 3.0, 0
    while real <= 32767 / 2 and shift <= 30:
        real, shift = real * 2, shift + 1
    return int(real), shift


def lower(graph: Graph, operator: Operator, kernel: str, shifts: tuple[int, ...]) -> Step:
    """One call of `kernel`; rows are the product of the leading dimensions."""
    tensor = input_of(graph, operator, 0)
    multiplier, shift = _multiplier(affine(tensor).scale, shifts)
    fields = (
        ("columns", tensor.shape[-1] if tensor.shape else 1),
        ("multiplier", multiplier),
        ("shift", shift),
        ("table", Constant("table", logistic_table())),
    )
    params = Params("stapes_sigmoid_params", fields)
    return _unary.step(graph, operator, kernel, params, "stapes/sigmoid.h")


def cases(rng: np.random.Generator, kind: str) -> Iterator[Graph]:
    """Scales from flat to a step, powers of two among them."""
    while True:
        dtype = _cases.any_type(rng)
        if dtype == "float32":
            source = _cases.tensor(rng, (8, 64), dtype)
            yield _cases.graph(kind, (source,), source, {})
            continue
        scale = _cases.scale(rng, 1e-3, 2.0) / (1 if dtype == "int8" else 256)
        if rng.integers(3) == 0:
            scale = 2.0 ** -_cases.integer(rng, 9, 14)
        before = _cases.tensor(rng, (8, 64), dtype, scale)
        after = _cases.tensor(rng, before.shape, dtype, *UNITS[dtype])
        yield _cases.graph(kind, (before,), after, {})
