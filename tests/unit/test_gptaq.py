# SPDX-License-Identifier: Apache-2.0
"""GPTAQ: what it makes small, the order in which it goes, and packages of tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import pipeline
from codegen.calibration import audible, heard
from codegen.errors import UserError
from codegen.models import SpeechModel, load_model
from codegen.package import SpeechPackage
from codegen.ptq.methods import gptaq, gptq
from codegen.ptq.methods._outputs import Made
from codegen.ptq.recipe import Recipe, Rule
from codegen.ptq.side_by_side import SideBySide, Sums
from codegen.tflite.read import read
from codegen.tflite.weights import MATRIX
from tests.unit._encoder_decoder import (
    exported_once,
    noise,
    save_recordings,
    save_tiny_moonshine,
    save_tiny_whisper,
)

pytest.importorskip("torch")
pytest.importorskip("transformers")

WINDOW = 32000
FAMILIES = {"moonshine": save_tiny_moonshine, "whisper": save_tiny_whisper}


class _Rows:
    """What a layer of 40 outputs is fed by two models that differ."""

    def __init__(self, seed: int, apart: float = 0.1):
        width = 64
        rng = np.random.default_rng(seed)
        self.weight = rng.standard_t(3, (40, width)).astype(np.float32)
        turn = rng.standard_normal((width, width)) * rng.exponential(1, width)
        self.exact = rng.standard_normal((300, width)) @ turn
        # errors that lie in few directions, as those of layers before do
        self.fed = self.exact + apart * self.exact @ rng.standard_normal((width, 4)) @ (
            rng.standard_normal((4, width)) / width
        )
        self.apart = apart * rng.standard_normal((300, 4)) @ rng.standard_normal((4, 40))
        self.apart += (self.fed - self.exact) @ rng.standard_normal((width, 40)) / width

    def sums(self) -> Sums:
        return Sums(
            self.fed.T @ self.fed, (self.exact - self.fed).T @ self.fed, self.apart.T @ self.fed
        )

    def error(self, made: Made) -> np.ndarray:
        integers, scales = made
        weight = integers * np.repeat(np.float64(scales), 64 // scales.shape[1], axis=1)
        wrong = self.fed @ weight.T - self.exact @ self.weight.T - self.apart
        return np.asarray(np.square(wrong).sum(0))


def _equal(one: Made, other: Made) -> bool:
    """Whether integers and scales are the same."""
    return np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


@pytest.mark.parametrize(("bits", "block_size"), [(8, 0), (4, 0), (4, 32), (3, 32), (2, 0)])
def test_no_row_errs_more_than_by_gptq_with_the_same_moments(bits: int, block_size: int) -> None:
    ratios = []
    for seed in range(8):
        rows = _Rows(seed)
        sums = rows.sums()
        made = gptaq.chosen(rows.weight, Rule("", None, bits, block_size), sums, sums)
        plain = gptq.quantize(rows.weight, bits, block_size, sums.moments)
        error, before = rows.error(made), rows.error(plain)
        assert (error <= before * (1 + 1e-9)).all()
        ratios.append(error.sum() / before.sum())
    assert np.median(ratios) < 0.98


def test_errors_are_those_of_outputs() -> None:
    rows = _Rows(1)
    sums = rows.sums()
    tried = [gptq.quantize(rows.weight, bits, 0, sums.moments) for bits in (2, 4)]
    tried.append(gptaq.chosen(rows.weight, Rule("", None, 4, 0), sums, sums))
    found = [rows.error(made) - gptaq.errors(rows.weight, sums, made) for made in tried]
    for each in found[1:]:
        assert np.allclose(each, found[0], rtol=1e-6), "all but what is the same of all"


def test_of_rows_held_out_the_better_is_kept() -> None:
    """What errs the other way there is made up for in the wrong direction."""
    rows = _Rows(2)
    sums = rows.sums()
    other = Sums(sums.moments, -sums.drift, -sums.carried)
    made = gptaq.chosen(rows.weight, Rule("", None, 4, 0), sums, other)
    plain = gptq.quantize(rows.weight, 4, 0, sums.moments)
    assert _equal(made, plain)


def test_inputs_that_are_equal_or_zeros_are_as_by_gptq() -> None:
    rows = _Rows(3)
    for moments in (rows.sums().moments, np.zeros((64, 64))):
        sums = Sums(moments, np.zeros((64, 64)), 0.0)
        made = gptaq.chosen(rows.weight, Rule("", None, 4, 0), sums, sums)
        plain = gptq.quantize(rows.weight, 4, 0, moments)
        assert _equal(made, plain)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A checkpoint, and recordings with a manifest."""
    made = tmp_path_factory.mktemp("tiny")
    FAMILIES[request.param](made / "tiny")
    save_recordings(made, 3)
    with exported_once():
        yield made


@pytest.fixture(scope="module")
def model(folder: Path) -> SpeechModel:
    return load_model(folder / "tiny", WINDOW)


def _windows(model: SpeechModel, count: int = 3) -> list[np.ndarray]:
    return [heard(model, noise(seed, WINDOW - 4000 * seed)) for seed in range(count)]


def _rules(model: SpeechModel) -> dict[str, Rule]:
    paths = [path for stage in model.stages for layers in stage.layers for path in layers]
    return {path: Rule(path, "dynamic8", 4, 0) for path in paths}


def test_stages_name_every_layer_once_in_the_order_in_which_it_runs(model: SpeechModel) -> None:
    """And those that read the same are together; a stage feeds the next."""
    import torch

    ran: list[tuple[str, Any]] = []  # alive, so that no other tensor has its id

    def note(path: str) -> Callable[..., None]:
        return lambda _, inputs: ran.append((path, inputs[0]))

    paths = list(_rules(model))
    hooks = [model.module(path).register_forward_pre_hook(note(path)) for path in paths]
    x = torch.from_numpy(_windows(model)[0]).reshape(model.graphs[0].sample_inputs[0].shape)
    with torch.no_grad():
        encoded = model.graphs[0].module(x)
        model.graphs[1].module(encoded)
        for stage in model.stages[:-1]:
            x = model.module(stage.module)(x)
    for hook in hooks:
        hook.remove()
    assert torch.equal(x, encoded)
    assert [path for path, _ in ran[: len(paths)]] == paths
    fed = {path: id(x) for path, x in ran[: len(paths)]}
    groups = [layers for stage in model.stages for layers in stage.layers]
    assert [len({fed[path] for path in layers}) for layers in groups] == [1] * len(groups)
    assert len(set(fed.values())) == len(groups)


def _until(both: SideBySide, last: str) -> tuple[Sums, Sums]:
    """The sums of a layer where those before it are rounded."""
    for stage in both.stages():
        for layers in stage.layers:
            fitted, held_out = both.sums(stage, layers)
            if last in layers:
                return fitted, held_out
            for path in layers:
                weight = both.models[0].module(path).weight.numpy()
                both.put(path, *gptq.quantize(weight, 4, 0, fitted.moments))
    raise AssertionError(last)


def test_sums_are_of_what_both_models_are_fed(model: SpeechModel) -> None:
    """The stream's difference at the second layer that writes to it is that of the norm."""
    import torch

    both = SideBySide(model, _windows(model))
    fitted, held_out = _until(both, "encoder/layers/1/feed/down")
    found = []
    for rows in _windows(model):
        at = []
        for one in both.models:
            seen: list[Any] = []
            names = ("layers/1/feed_norm", "layers/1/feed/down", "norm")
            parts = [one.module(f"encoder/{name}") for name in names]
            hooks = [
                p.register_forward_pre_hook(lambda _, i, s=seen: s.append(i[0])) for p in parts
            ]
            with torch.no_grad():
                shaped = rows.reshape(model.graphs[0].sample_inputs[0].shape)
                one.graphs[0].module(torch.from_numpy(shaped))
            for hook in hooks:
                hook.remove()
            at.append([value.double().numpy() for value in seen])
        (r, x, behind), (q, y, _) = at
        share = 1 / behind.std(1, keepdims=True)  # as the norm will
        found.append((y.T @ (share**2 * y), (x - y).T @ (share**2 * y), (r - q).T @ (share**2 * y)))
    for mine, parts in ((fitted, found[:2]), (held_out, found[2:])):
        expected = [sum(each) for each in zip(*parts, strict=True)]
        for a, b in zip((mine.moments, mine.drift, mine.carried), expected, strict=True):
            assert np.allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
    assert np.abs(held_out.drift).max() > 0
    assert not np.isscalar(held_out.carried)


def _apart(model: SpeechModel, made: dict[str, Any], rows: np.ndarray) -> float:
    """How far the cross graph's outputs are off where the encoder's and its weights are these."""
    import torch

    both = SideBySide(model, [rows])
    for path, each in made.items():
        both.put(path, *each)
    with torch.no_grad():
        shaped = torch.from_numpy(rows.reshape(model.graphs[0].sample_inputs[0].shape))
        exact, rounded = (one.graphs[1].module(one.graphs[0].module(shaped)) for one in both.models)
    return float(sum((a - b).square().sum() for a, b in zip(exact, rounded, strict=True)))


def test_the_model_errs_less_than_by_gptq(model: SpeechModel) -> None:
    rules, windows = _rules(model), _windows(model, 8)
    made = gptaq.sequence(model, windows, rules)
    assert list(made) == list(rules)
    both, plain = SideBySide(model, windows), {}
    for stage in both.stages():
        for layers in stage.layers:
            fitted, _ = both.sums(stage, layers)  # the copy's weights are the model's
            for path in layers:
                weight = model.module(path).weight.numpy()
                plain[path] = gptq.quantize(weight, 4, 0, fitted.moments)
    fresh = [heard(model, noise(100 + seed, WINDOW)) for seed in range(3)]
    errors = [sum(_apart(model, each, rows) for rows in fresh) for each in (made, plain)]
    assert errors[0] < errors[1]


def test_layers_are_left_out_and_models_left_alone(model: SpeechModel) -> None:
    before = {path: model.module(path).weight.clone() for path in _rules(model)}
    rules = {path: rule for path, rule in _rules(model).items() if "feed" in path}
    made = gptaq.sequence(model, _windows(model), rules)
    again = gptaq.sequence(model, _windows(model), rules)
    assert list(made) == list(rules) == list(again)
    assert all(_equal(each, again[path]) for path, each in made.items())
    assert all(before[path].equal(model.module(path).weight) for path in before)
    assert not any(model.module(path)._forward_pre_hooks for path in before)


def test_nothing_heard_and_no_numbers_are_refused(model: SpeechModel) -> None:
    with pytest.raises(UserError, match="at least one sample, but got none"):
        gptaq.sequence(model, [], _rules(model))
    with pytest.raises(UserError, match=r"'encoder/layers/0/attention/query' is fed .* not finite"):
        gptaq.sequence(model, [np.full_like(_windows(model)[0], np.nan)], _rules(model))
    one = gptaq.sequence(model, _windows(model, 1), _rules(model))
    assert set(one) == set(_rules(model))


def _package(folder: Path, mode: str) -> SpeechPackage:
    pytest.importorskip("litert_torch")
    recipe = Recipe(mode, 4, 0, ("gptaq",))
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe, window_samples=WINDOW)
    assert made.recipe["methods"] == ["gptaq"]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["dynamic8", "static16"])
def test_packages_hold_what_was_chosen(folder: Path, model: SpeechModel, mode: str) -> None:
    pieces = audible(model, [noise(seed, 16000 * (seed + 1)) for seed in range(3)])
    chosen = gptaq.sequence(model, [heard(model, pcm) for pcm in pieces], _rules(model))
    held = []
    for part in _package(folder, mode).graphs[:2]:
        (graph,) = read(part.data)
        weights = [graph.tensors[o.inputs[1]] for o in graph.operators if o.kind == MATRIX]
        held += [(w.data, w.quantization.scales) for w in weights if w.quantization is not None]
    assert len(held) == len(chosen) == 16
    for integers, scales in chosen.values():
        assert (
            sum(
                np.array_equal(np.asarray(data), integers) and np.array_equal(steps, scales[:, 0])
                for data, steps in held
            )
            == 1
        )


@pytest.mark.slow
def test_packages_are_the_same_again(folder: Path) -> None:
    one, other = (_package(folder, "dynamic8") for _ in range(2))
    assert [part.data for part in one.graphs] == [part.data for part in other.graphs]
