# SPDX-License-Identifier: Apache-2.0
"""stapes/float_math.h against double precision, over a sweep of all single-precision numbers."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import special

from codegen.data import data_folder
from codegen.emit.project import FLOAT_FLAGS
from tests.kernels.harness import SANITIZE, WARNINGS

#: Every so many bit patterns: about four million numbers, and a million where functions bend.
STRIDE = 1021
NEAR = (-20.0, 20.0, 1 << 20)


#: Function: its exact values, and the error in ulp that the header states.
FUNCTIONS: Mapping[str, tuple[Callable[[np.ndarray], Any], float]] = {
    "exp": (np.exp, 1.0),
    "tanh": (np.tanh, 1.5),
    "logistic": (special.expit, 2.5),
    "normal_cdf": (special.ndtr, 6.0),
    "sqrt": (np.sqrt, 0.5),
    "inverse_sqrt": (lambda x: 1 / np.sqrt(x), 1.5),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("math")
    lines = ['#include "stapes/float_math.h"', "#include <stddef.h>"]
    for name in FUNCTIONS:
        lines.append(
            f"void all_{name}(size_t n, const float *x, float *y) {{"
            f" for (size_t i = 0; i < n; i++) y[i] = stapes_{name}(x[i]); }}"
        )
    (folder / "math.c").write_text("\n".join(lines) + "\n")
    include = data_folder("firmware") / "include"
    options = [*WARNINGS, *FLOAT_FLAGS, *SANITIZE, "-fsanitize=float-cast-overflow"]
    command = ["gcc", *options, "-O2", "-fPIC", "-shared", f"-I{include}", str(folder / "math.c")]
    subprocess.run([*command, "-o", str(folder / "math.so")], check=True)
    return ctypes.CDLL(str(folder / "math.so"))


def computed(library: ctypes.CDLL, name: str, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    pointers = (ctypes.c_void_p(each.ctypes.data) for each in (x, y))
    getattr(library, f"all_{name}")(ctypes.c_size_t(x.size), *pointers)
    return y


def arguments() -> np.ndarray:
    """Numbers of all magnitudes, the ends among them, and many of moderate ones."""
    bits = np.arange(0, 1 << 32, STRIDE).astype(np.uint32)
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45], np.float32)
    return np.concatenate([bits.view(np.float32), ends, np.linspace(*NEAR, dtype=np.float32)])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_error_in_ulp(name: str, library: ctypes.CDLL) -> None:
    exact, most = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        x = arguments()
        wanted: np.ndarray = exact(x.astype(np.float64))
        nearest = wanted.astype(np.float32)
        got = computed(library, name, x)
        finite = np.isfinite(nearest)
        assert (np.isnan(got) == np.isnan(nearest))[np.isfinite(x)].all()
        assert (got[np.isinf(nearest)] == nearest[np.isinf(nearest)]).all()
        error = np.abs(got.astype(np.float64) - wanted)[finite] / np.spacing(
            np.abs(nearest[finite])
        )
    worst = int(error.argmax())
    assert error[worst] <= most, (x[finite][worst], got[finite][worst], wanted[finite][worst])
    assert error[worst] > most / 2
