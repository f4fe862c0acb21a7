# SPDX-License-Identifier: Apache-2.0
"""Every way to choose the integers of a weight, whatever files ptq/methods holds."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.errors import StapesError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.ptq.methods import _grid
from codegen.ptq.recipe import METHODS, methods_with
from codegen.registry import plugins
from codegen.tflite.read import read
from codegen.tflite.write import write

NARROW = (4, 3, 2)
FORMS = [(8, 0), *((bits, size) for bits in NARROW for size in (0, 32, 64, 128))]
LIMITS = {8: (-127, 127), 4: (-8, 7), 3: (-4, 3), 2: (-2, 1)}


def _weights(seed: int) -> np.ndarray:
    """(rows, 128 or 256) with outliers, rows of zeros, and values too small for a float16."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_t(2, (int(rng.integers(1, 30)), int(rng.integers(1, 3)) * 128))
    weight *= 10.0 ** rng.integers(-6, 3, (len(weight), 1))
    weight[:: int(rng.integers(2, 9))] = 0
    weight[-1] *= 1e-6
    return np.asarray(weight, np.float32)


def _error(weight: np.ndarray, integers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Sum of squared errors of each block."""
    blocks = weight.reshape(*scales.shape, -1)
    exact = integers.reshape(blocks.shape) * scales[..., None] - blocks
    return np.asarray(np.square(exact.astype(np.float32)).sum(-1, dtype=np.float64))


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
@pytest.mark.parametrize("name", methods_with("quantize"))
def test_integers_and_scales_are_what_a_file_can_hold(
    name: str, bits: int, block_size: int
) -> None:
    for seed in range(20):
        weight = _weights(seed)
        integers, scales = plugins(METHODS)[name].quantize(weight, bits, block_size)
        assert (integers.dtype, scales.dtype) == (np.int8, np.float32)
        assert integers.shape == weight.shape
        assert scales.shape == (len(weight), weight.shape[1] // (block_size or weight.shape[1]))
        low, high = LIMITS[bits]
        assert low <= integers.min() <= integers.max() <= high
        assert (scales > 0).all()
        assert np.isfinite(scales).all()
        if block_size:
            assert np.array_equal(scales, scales.astype(np.float16).astype(np.float32))
            assert not (scales.view(np.uint32) & 0xFFFF).any(), "a scale is no bfloat16"
        again = plugins(METHODS)[name].quantize(weight, bits, block_size)
        assert np.array_equal(integers, again[0])


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
def test_rounding_errs_by_half_a_step_at_most(bits: int, block_size: int) -> None:
    """A little more where the scale itself was rounded and the largest weight clipped."""
    weight = _weights(3)[:-1]
    integers, scales = plugins(METHODS)["round"].quantize(weight, bits, block_size)
    steps = np.repeat(scales, block_size or weight.shape[1], axis=1)
    most = 0.5 + (LIMITS[bits][1] * 2.0**-8 if block_size else 1e-4)
    held = steps > 1e-4 if block_size else steps > 0
    assert (np.abs(integers * steps - weight)[held] <= (most * steps)[held]).all()


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
def test_the_searched_scale_never_errs_more_than_plain_rounding(bits: int, block_size: int) -> None:
    methods = plugins(METHODS)
    better = 0
    for seed in range(20):
        weight = _weights(seed)
        plain, searched = (
            _error(weight, *methods[name].quantize(weight, bits, block_size))
            for name in ("round", "round_mse")
        )
        assert (searched <= plain).all()
        better += int((searched < plain).sum())
    assert bits == 8 or better > 100, "with fewer bits clipping pays"


def _powers(weight: np.ndarray, integers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Sum of |error|^0.7 of each block, which hqq makes small."""
    blocks = weight.reshape(*scales.shape, -1)
    exact = integers.reshape(blocks.shape) * scales[..., None] - blocks
    sizes = np.abs(exact.astype(np.float32))
    return np.asarray(np.power(sizes, np.float32(0.7)).sum(-1, dtype=np.float64))


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
def test_hqq_never_errs_more_than_rounding(bits: int, block_size: int) -> None:
    methods = plugins(METHODS)
    ratios = []
    for seed in range(8):
        weight = _weights(seed)
        error = _powers(weight, *methods["hqq"].quantize(weight, bits, block_size))
        for baseline in ("round", "round_mse"):
            plain = _powers(weight, *methods[baseline].quantize(weight, bits, block_size))
            assert (error <= plain).all()
            ratios.append((error / np.maximum(plain, 1e-30))[plain > 0].mean())
    assert np.median(ratios) < (0.99 if bits == 8 else 0.9)


def test_hqq_passes_over_what_is_far_off() -> None:
    """Nine weights in steps of 1, and one between: the grid stays the nine's."""
    weight = np.array([[0, 1, -1, 2, -2, 3, -3, 4, -4, 8.6]], np.float32)
    integers, scales = plugins(METHODS)["hqq"].quantize(weight, 4, 0)
    assert abs(scales[0, 0] - 1) < 0.01
    assert integers[0].tolist() == [0, 1, -1, 2, -2, 3, -3, 4, -4, 7]
    _, squares = plugins(METHODS)["round_mse"].quantize(weight, 4, 0)
    assert squares[0, 0] > 1.03


@pytest.mark.parametrize("block_size", [0, 32])
@pytest.mark.parametrize("bits", NARROW)
def test_the_search_goes_as_far_as_pays(bits: int, block_size: int) -> None:
    weight = np.random.default_rng(4).standard_normal((20, 1024)).astype(np.float32)
    searched = plugins(METHODS)["round_mse"].quantize(weight, bits, block_size)
    values = _grid.blocks(weight, block_size)
    shrunk = [_grid.widest(values, bits) * np.float32(f) for f in np.linspace(0.02, 1, 50)]
    tried = [(_grid.rounded(values, scales, bits), scales) for scales in shrunk]
    least = np.min([_error(weight, *each) for each in tried], axis=0)
    assert _error(weight, *searched).sum() < 1.02 * least.sum()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 32), (7, 33)])
def test_int4_weights_come_back_from_a_file(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(5).integers(-8, 8, shape).astype(np.int8)
    scales = Quantization((0.5,) * shape[0], (0,) * shape[0])
    graph = Graph(
        "one",
        (
            Tensor("in", (1, shape[1]), "float32"),
            Tensor("weights", shape, "int4", scales, values),
            Tensor("out", (1, shape[0]), "float32"),
        ),
        (Operator(0, "FULLY_CONNECTED", (0, 1, -1), (2,)),),
        (0,),
        (2,),
    )
    (found,) = read(write(graph))
    assert found.tensors[1].data is not None
    assert np.array_equal(found.tensors[1].data, values)


def _moments(inputs: int, seed: int, rank: int) -> np.ndarray:
    """X^T X of correlated inputs, some of them dead."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((3 * inputs, rank)) @ rng.standard_normal((rank, inputs))
    rows += 0.3 * rng.standard_normal(rows.shape) * (rank < inputs // 2)
    rows *= 10.0 ** rng.uniform(-2, 1, inputs)
    rows[:, rng.integers(0, inputs, 5)] = 0
    return np.asarray(rows.T @ rows)


def _outputs_error(
    weight: np.ndarray, moments: np.ndarray, made: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Squared error of each row's outputs."""
    integers, scales = (each.astype(np.float64) for each in made)
    wrong = integers * np.repeat(scales, weight.shape[1] // scales.shape[1], axis=1) - weight
    return np.asarray(np.einsum("ij,jk,ik->i", wrong, moments, wrong, optimize=True))


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
@pytest.mark.parametrize(
    ("name", "median"), [("gptq", 0.5), ("omniquant", 0.97), ("round_output", 0.97)]
)
def test_outputs_never_err_more_than_those_of_rounding(
    name: str, median: float, bits: int, block_size: int
) -> None:
    methods = plugins(METHODS)
    ratios = []
    for seed in range(8):
        weight = np.random.default_rng(seed).standard_normal((40, 256)).astype(np.float32)
        weight *= 1 + 9 * (np.arange(256) % 50 == 0)
        moments = _moments(256, seed, 64 if seed % 2 else 200)
        kept = moments.copy()
        error = _outputs_error(
            weight, moments, methods[name].quantize(weight, bits, block_size, moments)
        )
        assert np.array_equal(moments, kept)
        for baseline in ("round", "round_mse"):
            other = methods[baseline].quantize(weight, bits, block_size, moments)
            plain = _outputs_error(weight, moments, other)
            assert (error <= plain * (1 + 1e-9)).all()
            ratios.append(error.sum() / plain.sum())
    assert np.median(ratios) < median


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
def test_learned_clipping_never_errs_more_than_what_it_begins_with(
    bits: int, block_size: int
) -> None:
    methods, less = plugins(METHODS), 0
    for seed in range(4):
        weight, moments = _weights(seed), _moments(_weights(seed).shape[1], seed, 64)
        before, after = (
            _outputs_error(
                weight, moments, methods[name].quantize(weight, bits, block_size, moments)
            )
            for name in ("round_output", "omniquant")
        )
        assert (after <= before * (1 + 1e-9)).all()
        less += int((after < before).sum())
    assert less > 0


WITH_MOMENTS = [n for n, m in plugins(METHODS).items() if getattr(m, "NEEDS_MOMENTS", False)]


@pytest.mark.parametrize(("bits", "block_size"), FORMS)
@pytest.mark.parametrize("name", WITH_MOMENTS)
def test_singular_moments_are_taken_and_give_the_same_again(
    name: str, bits: int, block_size: int
) -> None:
    quantize = plugins(METHODS)[name].quantize
    for seed in range(4):
        weight = _weights(seed)
        inputs = weight.shape[1]
        for rank in (0, 1, inputs // 4):
            rows = np.random.default_rng(seed).standard_normal((rank, inputs))
            moments = rows.T @ rows * 10.0 ** (6 * seed - 12)
            integers, scales = quantize(weight, bits, block_size, moments)
            low, high = LIMITS[bits]
            assert low <= integers.min() <= integers.max() <= high
            assert np.isfinite(scales).all()
            again = quantize(weight, bits, block_size, moments)
            assert np.array_equal(integers, again[0])
            assert np.array_equal(scales, again[1])


@pytest.mark.parametrize("name", WITH_MOMENTS)
def test_moments_that_are_not_finite_are_refused(name: str) -> None:
    moments = np.full((32, 32), np.nan)
    with pytest.raises(StapesError, match="second moments"):
        plugins(METHODS)[name].quantize(_weights(1)[:, :32], 4, 32, moments)


def test_round_output_rounds_to_the_nearest_by_a_scale_that_outputs_ask_for() -> None:
    """Inputs that are always opposite: what one weight loses, the other must lose as well."""
    weight = np.array([[7.0, 2.4, 2.4]], np.float32)
    rows = np.array([[0.1, 0, 0], [0, 10, -9]])
    integers, scales = plugins(METHODS)["round_output"].quantize(weight, 4, 0, rows.T @ rows)
    assert np.array_equal(integers, np.rint(weight / scales).clip(-8, 7))
    assert scales[0, 0] != 1.0, "that scale clips nothing and errs by 0.4 on both"


def test_gptq_moves_an_error_to_where_it_cancels() -> None:
    """Two inputs that are always equal: what one weight loses by rounding, the other makes up."""
    weight = np.array([[7.0, 2.4, 2.4]], np.float32)
    rows = np.array([[1.0, 0, 0], [0, 1, 1]])
    integers, scales = plugins(METHODS)["gptq"].quantize(weight, 4, 0, rows.T @ rows)
    assert scales.tolist() == [[1.0]]
    assert sorted(integers[0].tolist()) == [2, 3, 7]
