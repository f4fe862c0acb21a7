# SPDX-License-Identifier: Apache-2.0
"""Rows with scales: the C writes what numpy says, and that is what the rows stand for."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from codegen.data import data_folder
from codegen.graph import Quantization, Tensor
from codegen.row_scales import row_scales
from tests.firmware.conftest import FLAGS, HERE, SANITIZERS

F = np.float32
LARGEST = np.nextafter(F(2**121), F(0))
NORMAL, LEAST = np.finfo(F).tiny, np.finfo(F).smallest_subnormal
#: int8 rows that hold every value, and what a file may give as scales of rows and of the input.
ROWS = np.arange(-128, 128).astype(np.int8)
SCALES = {
    "as quantized": (np.geomspace(2e-4, 6e-2, 60).astype(F), F(0.06 * 127 / 32767)),
    "powers of two": (F(2) ** np.arange(-20, 21, dtype=F), F(1)),
    "one": (F([1]), F(1)),
    "rounds up to 2^31": (F([1, 2 - 2**-23]), F(1 + 2**-23)),
    "large over least": (F([LARGEST, 1, LEAST]), NORMAL),
    "least over large": (F([LEAST, NORMAL]), LARGEST),
    "to the ends of a shift": (F([2.0**30, 2.0**29, 1.0]), F(1)),
}
ZERO_POINTS = {"int8": (0, -128, 127, 5), "int16": (0, -32768, 32767, -9), "float32": (0,)}


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("row_scales") / "row_scales"
    firmware = data_folder("firmware")
    command = ["gcc", *FLAGS, *SANITIZERS, f"-I{firmware / 'include'}", f"-I{firmware / 'speech'}"]
    command += [str(HERE / "row_scales_harness.c"), str(firmware / "speech/stapes_greedy_text.c")]
    command += [*map(str, firmware.glob("runtime/*.c")), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def _input(dtype: str, scale: float, zero_point: int) -> Tensor:
    quantization = None if dtype == "float32" else Quantization((float(scale),), (zero_point,))
    return Tensor("embedding", (1, ROWS.size), dtype, quantization)


@pytest.mark.parametrize("dtype", ZERO_POINTS)
@pytest.mark.parametrize("case", SCALES)
def test_the_c_writes_what_numpy_says(program: Path, case: str, dtype: str) -> None:
    given, scale = SCALES[case]
    values = np.tile(ROWS, (len(given), 1))
    for zero_point in ZERO_POINTS[dtype]:
        scales = row_scales(given, _input(dtype, scale, zero_point))
        command = (ROWS.size, scales.value_bytes, scales.shift, scales.zero_point, len(given))
        sent = struct.pack("<5i", *command) + values.tobytes() + scales.factors.tobytes()
        done = subprocess.run([program], input=sent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        wanted = scales.rows(values)
        assert wanted.dtype == dtype
        assert done.stdout == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("case", SCALES)
def test_integers_are_what_the_rows_stand_for(case: str, dtype: str) -> None:
    """Within half a step of the input's type, and what the multipliers' 31 bits leave."""
    given, scale = SCALES[case]
    limits = np.iinfo(dtype)
    for zero_point in ZERO_POINTS[dtype]:
        scales = row_scales(given, _input(dtype, scale, zero_point))
        assert 1 <= scales.shift <= 62
        assert scales.factors.dtype == np.int32
        assert (scales.factors >= 0).all()
        for row, step in zip(scales.rows(np.tile(ROWS, (len(given), 1))), given, strict=True):
            exact = [Fraction(float(step)) / Fraction(float(scale)) * int(q) for q in ROWS]
            ends = [min(max(e + zero_point, limits.min), limits.max) for e in exact]
            errors = [abs(Fraction(int(v)) - e) for v, e in zip(row, ends, strict=True)]
            assert max(errors) <= Fraction(1, 2) + Fraction(1, 1 << 14)


def test_multipliers_use_31_bits() -> None:
    for scale in np.geomspace(1e-6, 1e4, 50):
        scales = row_scales(SCALES["as quantized"][0], _input("int16", scale, 0))
        assert 1 << 30 <= scales.factors.max() < 1 << 31
