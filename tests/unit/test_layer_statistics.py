# SPDX-License-Identifier: Apache-2.0
"""Figures of layers, held beside what their definitions say of the values themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codegen.analyze.inputs import WatchedInputs, patches
from codegen.analyze.layers import Weights
from codegen.analyze.statistics import MOST_DB, PowerSums, snr_db
from codegen.errors import UserError
from codegen.evaluate.interpreter import Interpreter
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ops import _window
from codegen.ops._window import output_shape
from codegen.tflite.write import write

RNG = np.random.default_rng(4)


def _kurtosis(values: np.ndarray) -> float:
    about = values - values.mean()
    return float((about**4).mean() / (about**2).mean() ** 2)


def test_kurtosis_and_peaks_are_those_of_the_values() -> None:
    values = RNG.normal(5, 1, (400, 12))
    values[:, 7] *= 30
    values[11, 3] = 90
    sums = PowerSums(12)
    for part in np.array_split(values, 7):
        sums.add(part)
    spread = sums.spread()
    own = [_kurtosis(column) for column in values.T]
    assert spread.kurtosis == pytest.approx(_kurtosis(values))
    assert spread.channel_kurtosis == pytest.approx(np.median(own))
    assert spread.worst_kurtosis == pytest.approx(max(own))
    assert spread.peak == pytest.approx(np.abs(values).max() / np.sqrt((values**2).mean()))
    assert spread.channels[:2] == (7, 3)
    assert len(spread.channels) == 8


def test_outliers_are_counted_by_channel() -> None:
    values = np.ones((1000, 4))
    values[0, 2] = values[1, 2] = -100
    sums = PowerSums(4)
    sums.add(values)
    assert sums.spread().outliers == 1
    assert sums.spread().channels[0] == 2


@pytest.mark.parametrize("value", [0.0, 3.7, 1e-20])
def test_equal_values_have_no_kurtosis(value: float) -> None:
    sums = PowerSums(3)
    sums.add(np.full((100, 3), value))
    spread = sums.spread()
    assert (spread.kurtosis, spread.channel_kurtosis, spread.worst_kurtosis) == (None,) * 3
    assert (spread.peak is None) == (value == 0)


def test_the_error_is_that_of_the_outputs() -> None:
    weight, inputs = RNG.normal(size=(1500, 6)), RNG.normal(size=(50, 6)) * [1, 1, 9, 1, 1, 0]
    quantized = np.rint(weight * 4) / 4
    outputs, wrong = inputs @ weight.T, inputs @ (quantized - weight).T
    expected = 10 * np.log10((outputs**2).sum() / (wrong**2).sum())
    assert snr_db(weight, quantized, inputs.T @ inputs) == pytest.approx(expected)
    assert snr_db(weight, weight, inputs.T @ inputs) == pytest.approx(MOST_DB)
    assert snr_db(weight, quantized, np.zeros((6, 6))) is None
    assert snr_db(weight, weight * np.inf, inputs.T @ inputs) == -MOST_DB


def _convolution(
    shape: tuple[int, ...], filters: tuple[int, ...], weights: np.ndarray, options: Any
) -> Graph:
    found = output_shape((shape[1], shape[2]), filters[1:3], options)
    assert found is not None
    after = Tensor("y", (1, *found, filters[0]), "float32")
    before, bias = Tensor("x", shape, "float32"), np.zeros(filters[0], np.float32)
    tensors = (
        before,
        Tensor("w", filters, "float32", None, weights),
        Tensor("b", bias.shape, "float32", None, bias),
        after,
    )
    operator = Operator(0, "CONV_2D", (0, 1, 2), (3,), options)
    return Graph("g", tensors, (operator,), (0,), (3,))


def _options(padding: str, stride: int = 1, dilation: int = 1) -> dict[str, Any]:
    return {
        "padding": padding,
        "fused_activation_function": "NONE",
        **{f"stride_{axis}": stride for axis in "hw"},
        **{f"dilation_{axis}_factor": dilation for axis in "hw"},
    }


@pytest.mark.parametrize(
    ("shape", "filters", "options"),
    [
        ((1, 9, 7, 3), (5, 3, 2, 3), _options("SAME")),
        ((1, 9, 7, 3), (5, 3, 2, 3), _options("VALID", stride=2)),
        ((1, 10, 8, 2), (4, 4, 3, 2), _options("SAME", stride=3)),
        ((1, 12, 9, 2), (4, 3, 3, 2), _options("SAME", dilation=2)),
        ((1, 1, 20, 4), (6, 1, 5, 4), _options("SAME", stride=2)),
        ((1, 20, 1, 4), (6, 5, 1, 4), _options("VALID")),
    ],
)
def test_patches_times_filters_are_the_convolution(
    shape: tuple[int, ...], filters: tuple[int, ...], options: dict[str, Any]
) -> None:
    weights = RNG.normal(size=filters).astype(np.float32)
    graph = _convolution(shape, filters, weights, options)
    values = RNG.normal(size=shape).astype(np.float32)
    (expected,) = Interpreter(write(graph)).run([values])
    rows = patches(values, *_window.axes(graph, graph.operators[0]))
    found = rows @ weights.reshape(filters[0], -1).T
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5)
    watched = WatchedInputs(write(graph), graph)
    watched.run([values])
    watched.run([2 * values])
    np.testing.assert_allclose(watched.moments()[1], 5 * rows.T @ rows)
    assert watched.spreads()[1].peak is not None


def test_a_convolution_in_groups_is_refused() -> None:
    weights = np.ones((4, 3, 3, 2), np.float32)
    graph = _convolution((1, 9, 9, 4), (4, 3, 3, 2), weights, _options("SAME"))
    with pytest.raises(UserError, match="CONV_2D 'y' before quantizing has filter"):
        WatchedInputs(write(graph), graph)


@pytest.mark.parametrize(
    ("values", "bits", "size_bytes"),
    [([-2, 1], 2, 8 + 16), ([-3, 3], 3, 12 + 16), ([4, 0], 4, 16 + 16), ([-128, 0], 8, 32 + 16)],
)
def test_the_width_is_that_of_the_values(values: list[int], bits: int, size_bytes: int) -> None:
    integers = np.resize(np.array(values, np.int8), (4, 8))
    scales = np.array([1, 2, 3, 4], np.float32)
    quantization = Quantization(tuple(scales.tolist()), (0,) * 4)
    floats = Tensor("w", (4, 8), "float32", None, integers * scales[:, None])
    made = Weights("w", "CONV_2D", 0, floats, Tensor("w", (4, 8), "int8", quantization, integers))
    assert (made.bits, made.size_bytes) == (bits, size_bytes)
    np.testing.assert_array_equal(made.dequantized, floats.data)


def test_blocks_have_scales_of_their_own() -> None:
    integers, scales = np.array([[1, 2, 3, -8]], np.int8), (2.0, 0.5)
    stored = Tensor("w", (1, 4), "int4", Quantization(scales, (0, 0), 0, 2), integers)
    made = Weights("w", "FULLY_CONNECTED", 0, Tensor("w", (1, 4), "float32"), stored)
    assert made.dequantized.tolist() == [[2, 4, 1.5, -4]]
    assert made.size_bytes == 2 + 2 * 2
