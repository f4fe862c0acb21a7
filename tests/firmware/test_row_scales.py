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
from codegen.ops._weights import packed
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


def _written(program: Path, scales: RowScales, values: np.ndarray, bits: int = 8) -> bytes:
    """What the C makes of `values` (entries, width), which take so many bits."""
    rows, factors = packed(values, bits), scales.factors.tobytes()
    entries, width = values.shape
    command = [width, scales.value_bytes, scales.shift, scales.zero_point, entries]
    command += [rows.shape[1], bits, scales.block_size, len(factors)]
    sent = struct.pack("<9i", *command) + rows.tobytes() + factors
    done = subprocess.run([program], input=sent, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("dtype", ZERO_POINTS)
@pytest.mark.parametrize("case", SCALES)
def test_the_c_writes_what_numpy_says(program: Path, case: str, dtype: str) -> None:
    values = np.tile(ROWS, (len(SCALES[case][0]), 1))
    for zero_point in ZERO_POINTS[dtype]:
        scales = _row_scales(case, dtype, zero_point)
        wanted = scales.rows(values)
        assert wanted.dtype == dtype
        assert _written(program, scales, values) == wanted.tobytes()


def _random_rows(rng: np.random.Generator, bits: int, width: int) -> np.ndarray:
    return rng.integers(-(1 << bits - 1), 1 << bits - 1, (7, width), np.int8)


@pytest.mark.parametrize("width", [1, 7, 8, 31, 33, 96, 101])
@pytest.mark.parametrize("bits", [4, 3, 2])
@pytest.mark.parametrize("dtype", ZERO_POINTS)
def test_packed_rows_with_a_scale_each(program: Path, dtype: str, bits: int, width: int) -> None:
    rng = np.random.default_rng(width)
    quantization = None if dtype == "float32" else Quantization((3e-3,), (7,))
    tensor = Tensor("embedding", (1, width), dtype, quantization)
    values = _random_rows(rng, bits, width)
    given = rng.uniform(1e-3, 1, len(values)).astype(np.float32)
    scales = row_scales(given, tensor)
    wanted = scales.rows(values)
    assert np.unique(wanted[:, 0]).size > 1
    assert _written(program, scales, values, bits) == wanted.tobytes()
    if dtype == "float32":
        assert np.array_equal(wanted, values * given[:, None])


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_packed_rows_with_a_scale_a_block(program: Path, bits: int, size: int) -> None:
    rng = np.random.default_rng(size)
    for blocks in (1, 2, 5):
        values = _random_rows(rng, bits, size * blocks)
        halves = rng.integers(0x0080, 0x7BFF, (len(values), blocks), np.uint16)
        halves[0, 0], halves[-1, -1] = 1, 0x7BFF  # the least, and the greatest below 2^121
        given = (halves.astype(np.uint32) << 16).view(np.float32)
        scales = row_scales(given, Tensor("embedding", (1, size * blocks), "float32"))
        assert scales.block_size == size
        assert np.array_equal(scales.factors, halves.reshape(-1))
        wanted = scales.rows(values)
        for block in range(blocks):
            part = slice(block * size, (block + 1) * size)
            assert np.array_equal(wanted[:, part], values[:, part] * given[:, [block]])
        assert wanted.dtype == np.float32
        assert _written(program, scales, values, bits) == wanted.tobytes()


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
