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
from codegen.row_scales import RowScales, row_scales
from tests.firmware.conftest import FLAGS, HERE, SANITIZERS

#: The greatest scale of a row that a package may have; of float32 the least normal and the least.
LARGEST = float(np.nextafter(np.float32(2**121), np.float32(0)))
NORMAL, LEAST = 2.0**-126, 2.0**-149
#: int8 rows that hold every value, and what a file may give as scales of rows and of the input.
ROWS = np.arange(-128, 128).astype(np.int8)
SCALES: dict[str, tuple[list[float], float]] = {
    "as quantized": (np.geomspace(2e-4, 6e-2, 60).tolist(), 2.3e-4),
    "powers of two": ([2.0**n for n in range(-20, 21)], 1.0),
    "one": ([1.0], 1.0),
    "rounds up to 2^31": ([1.0, 2 - 2**-23], 1 + 2**-23),
    "large over least": ([LARGEST, 1.0, LEAST], NORMAL),
    "least over large": ([LEAST, NORMAL], LARGEST),
    "to the ends of a shift": ([2.0**30, 2.0**29, 1.0], 1.0),
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


def _row_scales(case: str, dtype: str, zero_point: int) -> RowScales:
    given, scale = SCALES[case]
    quantization = None if dtype == "float32" else Quantization((scale,), (zero_point,))
    tensor = Tensor("embedding", (1, ROWS.size), dtype, quantization)
    return row_scales(np.array(given, np.float32), tensor)


@pytest.mark.parametrize("dtype", ZERO_POINTS)
@pytest.mark.parametrize("case", SCALES)
def test_the_c_writes_what_numpy_says(program: Path, case: str, dtype: str) -> None:
    values = np.tile(ROWS, (len(SCALES[case][0]), 1))
    for zero_point in ZERO_POINTS[dtype]:
        scales = _row_scales(case, dtype, zero_point)
        command = (ROWS.size, scales.value_bytes, scales.shift, scales.zero_point, len(values))
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
        scales = _row_scales(case, dtype, zero_point)
        assert 1 <= scales.shift <= 62
        assert scales.factors.dtype == np.int32
        assert (scales.factors >= 0).all()
        for row, step in zip(scales.rows(np.tile(ROWS, (len(given), 1))), given, strict=True):
            ratio = Fraction(float(np.float32(step))) / Fraction(scale)
            exact = [ratio * q for q in ROWS.tolist()]
            for value, real in zip(row.tolist(), exact, strict=True):
                wanted = min(max(real + zero_point, Fraction(limits.min)), Fraction(limits.max))
                assert abs(value - wanted) <= Fraction(1, 2) + Fraction(1, 1 << 14)


@pytest.mark.parametrize("case", ["as quantized", "powers of two", "one", "rounds up to 2^31"])
def test_multipliers_use_31_bits(case: str) -> None:
    assert 1 << 30 <= _row_scales(case, "int16", 0).factors.max() < 1 << 31
