# SPDX-License-Identifier: Apache-2.0
"""The raw-PCM front end's integers beside the floats that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.frontend.raw_pcm import RawPcm

EVERY = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype"),
    [
        (1 / 32767, 0, "int16"),
        (1 / 32768, 0, "int16"),
        (0.3 / 32767, 0, "int16"),
        (1 / 127.5, -1, "int8"),
        (0.7 / 127.5, 90, "int8"),
    ],
)
def test_every_sample_is_rounded_to_the_nearest(scale: float, zero_point: int, dtype: str) -> None:
    front_end = RawPcm().fitted(scale, zero_point)
    info = np.iinfo(dtype)
    wanted = np.clip(EVERY / 32768.0 / scale + zero_point, info.min, info.max)
    got = front_end.quantized(EVERY, dtype)
    assert got.dtype == dtype
    assert np.abs(got - wanted).max() <= 0.5 + 1e-4


def test_a_window_is_filled_with_silence() -> None:
    rows = RawPcm(row_samples=4).rows(np.array([1, 2, 3, 4, 5], np.int16), 12)
    assert rows.tolist() == [[1, 2, 3, 4], [5, 0, 0, 0], [0, 0, 0, 0]]


def test_the_spec_is_read_back() -> None:
    front_end = RawPcm(8000, 32, 5, -7, 3)
    assert RawPcm.from_dict(front_end.to_dict()) == front_end


@pytest.mark.parametrize(
    "change",
    [
        {"shift": 64},
        {"shift": -1},
        {"multiplier": 0},
        {"multiplier": True},
        {"offset": 1.5},
        {"row_samples": 0},
        {"sample_rate_hz": 0},
        {"more": 1},
    ],
)
def test_a_wrong_spec_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="raw_pcm front end"):
        RawPcm.from_dict(RawPcm().to_dict() | change)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-12, 10.0, float("inf"), float("nan")])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(UserError, match="scale"):
        RawPcm().fitted(scale, 0)
