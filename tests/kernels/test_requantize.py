# SPDX-License-Identifier: Apache-2.0
"""The rescaling helpers of requantize.h, also where a result lies within an ulp of a tie."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from codegen.data import data_folder
from codegen.ops._quantize import quantize_multiplier, requantize

SHIM = r"""
#include "stapes/requantize.h"
void run_fixed(int32_t n, const int32_t *x, const int32_t *m, const int32_t *s, int32_t *y)
{
    for (int32_t i = 0; i < n; i++) { y[i] = stapes_requantize(x[i], m[i], s[i]); }
}
void run_double(int32_t n, const int64_t *x, const uint64_t *scale, int32_t *y)
{
    for (int32_t i = 0; i < n; i++) { y[i] = stapes_requantize_double(x[i], scale[i]); }
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("shim")
    source, shared = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    include = f"-I{data_folder('firmware') / 'include'}"
    flags = "-std=c11 -O1 -fsanitize=undefined -fno-sanitize-recover=all -fPIC -shared".split()
    subprocess.run(["gcc", *flags, include, "-o", str(shared), str(source)], check=True)
    return ctypes.CDLL(str(shared))


def call(function: Callable[..., object], *arrays: np.ndarray) -> np.ndarray:
    out = np.empty(arrays[0].size, np.int32)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
    function(ctypes.c_int32(out.size), *pointers)
    return out


def test_fixed_point_equals_the_hosts(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(1)
    edges = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1])
    for real in np.exp(rng.uniform(np.log(2.0**-33), np.log(0.999), 400)):
        multiplier, shift = quantize_multiplier(float(real))
        x = np.concatenate([edges, rng.integers(-(2**31), 2**31, 200), rng.integers(-999, 999, 99)])
        full = np.full(x.size, 1, np.int32)
        got = call(library.run_fixed, x.astype(np.int32), multiplier * full, shift * full)
        assert (got == requantize(x, multiplier, shift)).all()


def as_double(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    product = x.astype(np.float64) * scale
    whole = np.floor(np.abs(product))
    rounded = whole + (np.abs(product) - whole >= 0.5)
    return np.asarray(np.copysign(rounded, product))


@pytest.mark.parametrize("bits", [8, 16, 24, 31, 32])
def test_double_product_is_exact_beside_ties(library: ctypes.CDLL, bits: int) -> None:
    rng = np.random.default_rng(bits)
    x = rng.integers(1, 2**bits, 300_000)
    tie = rng.integers(0, 2**17, x.size) + 0.5
    scale = tie / x
    scale = (scale.view(np.int64) + rng.integers(-2, 3, x.size)).view(np.float64)
    keep = (scale > 2.0**-60) & (scale < 2.0**18)
    x, scale = x[keep] * rng.choice([-1, 1], keep.sum()), scale[keep]
    got = call(library.run_double, x, scale.view(np.uint64))
    assert (got == as_double(x, scale)).all()
    above = np.abs(x) * scale
    assert (np.floor(above) + 0.5 == above).mean() > 0.1


def test_double_product_over_all_magnitudes(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-(2**32) + 1, 2**32, 300_000) >> rng.integers(0, 33, 300_000)
    scale = np.exp2(rng.uniform(-60, 18, x.size))
    keep = np.abs(x * scale) < 2**31 - 1
    x, scale = x[keep], scale[keep]
    assert (call(library.run_double, x, scale.view(np.uint64)) == as_double(x, scale)).all()
