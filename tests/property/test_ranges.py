# SPDX-License-Identifier: Apache-2.0
"""Ways to choose the ranges of activations, whatever files ptq/ranges holds, by histograms."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.ptq.histogram import BINS, Histogram, Range, Seen
from codegen.ptq.ranges import mse, percentile
from codegen.ptq.recipe import RANGES
from codegen.registry import plugins


def _values(seed: int) -> np.ndarray:
    """Activations with tails, of any scale; some on one side of 0, some with many zeros."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(2 + seed % 3, 20_000) * 10.0 ** rng.integers(-30, 30)
    if seed % 4 == 1:
        values = np.maximum(values, 0)
    if seed % 4 == 2:
        values = np.abs(values) * -1 - 10 * np.abs(values).mean()
    return np.asarray(values, np.float32)


def _seen(values: np.ndarray, pieces: int = 1) -> Seen:
    histogram = Histogram()
    for piece in np.array_split(values, pieces):
        histogram.add(piece)
    return histogram.seen(float(values.min()), float(values.max()))


def _squares(values: np.ndarray, found: Range, bits: int) -> float:
    """Sum of squared errors of values in a range that is widened to 0, as the quantizer does it."""
    low, high = min(found[0], 0.0), max(found[1], 0.0)
    exact = values.astype(np.float64)
    if bits == 16:
        step, least, most, zero = max(high, -low) / 32767, -32767, 32767, 0.0
    else:
        step, least, most = (high - low) / 255, -128, 127
        zero = np.rint(-128 - low / step)
    integers = np.clip(np.rint(exact / step) + zero, least, most)
    return float(np.square((integers - zero) * step - exact).sum())


@pytest.mark.parametrize("seed", range(12))
def test_counts_depend_on_the_values_alone(seed: int) -> None:
    values = _values(seed)
    values[: len(values) // 2] *= np.float32(1e-3)
    once, pieces = _seen(values), _seen(values, 37)
    shuffled = _seen(np.random.default_rng(0).permutation(values), 5)
    for other in (pieces, shuffled):
        assert np.array_equal(once.edges, other.edges)
        assert np.array_equal(once.counts, other.counts)
    assert BINS // 4 < len(once.counts) <= BINS
    assert once.counts.sum() == np.count_nonzero(values)
    expected, _ = np.histogram(values[values != 0].astype(np.float64), once.edges)
    assert np.array_equal(once.counts, expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", plugins(RANGES))
def test_a_range_lies_within_what_was_seen(name: str, bits: int) -> None:
    for seed in range(12):
        seen = _seen(_values(seed))
        low, high = plugins(RANGES)[name].chosen(seen, bits)
        assert min(seen.lowest, 0) <= low <= high <= max(seen.highest, 0)
    nothing = _seen(np.zeros(5, np.float32))
    assert plugins(RANGES)[name].chosen(nothing, bits) == (0.0, 0.0)


@pytest.mark.parametrize("bits", [8, 16])
def test_mse_never_errs_more_than_minmax(bits: int) -> None:
    clipped = 0
    for seed in range(24):
        values = _values(seed)
        seen = _seen(values)
        ends = seen.lowest, seen.highest
        found = mse.chosen(seen, bits)
        least, whole = (
            float(mse.error(seen, np.array(min(low, 0)), np.array(max(high, 0)), bits))
            for low, high in (found, ends)
        )
        assert least <= whole
        # and so by integers themselves, of which the error is a model
        assert _squares(values, found, bits) <= 1.02 * _squares(values, ends, bits)
        clipped += least < whole
    assert bits == 16 or clipped > 8, "with 8 bits clipping pays"


def test_mse_finds_about_the_best_of_all_ranges() -> None:
    values = np.random.default_rng(1).laplace(0, 1, 50_000).astype(np.float32)
    found = mse.chosen(_seen(values), 8)
    tried = [(float(values.min()) * f, float(values.max()) * f) for f in np.linspace(0.2, 1, 60)]
    best = min(_squares(values, each, 8) for each in tried)
    assert _squares(values, found, 8) < 1.03 * best


def test_a_percentile_leaves_out_its_share() -> None:
    for seed in range(12):
        values = _values(seed)
        low, high = percentile.chosen(_seen(values), 8)
        inside = values[values != 0]
        beyond = np.count_nonzero((inside < low) | (inside > high))
        assert beyond <= percentile.SHARE * len(inside)
    spread = np.linspace(-1, 1, 1_000_001).astype(np.float32)
    low, high = percentile.chosen(_seen(np.append(spread, [-50, 90]).astype(np.float32)), 8)
    assert (low, high) == (-1.0, 1.0)
