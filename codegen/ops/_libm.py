# SPDX-License-Identifier: Apache-2.0
"""Single-precision functions of the C library.

LiteRT fills its look-up tables with the C library's own functions, whose last bit differs from
correct rounding: so tables equal LiteRT's only where both ask the same library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np


def libm(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The C function `name` of one float, over all values of an array of any shape."""
    function = getattr(ctypes.CDLL(None), name)
    function.restype, function.argtypes = ctypes.c_float, (ctypes.c_float,)

    def over(x: np.ndarray) -> np.ndarray:
        values = [function(value) for value in x.astype(np.float32).reshape(-1).tolist()]
        return np.array(values, np.float32).reshape(x.shape)

    return over
