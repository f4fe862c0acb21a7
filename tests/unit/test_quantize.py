# SPDX-License-Identifier: Apache-2.0
"""Float export and quantization of the CTC network, against the float model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.models.ctc import CtcConfig, folded, network
from codegen.ptq.calibrate import calibrate
from codegen.ptq.recipe import Recipe, Rule
from codegen.tflite.convert import convert, named
from codegen.tflite.quantize import activation_bits, check_integer, quantize
from codegen.tflite.read import read
from codegen.tflite.write import write

torch = pytest.importorskip("torch")

FRAMES = 41
_SHAPE = (1, FRAMES, 1, 40)


def _samples(count: int, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {"input": rng.standard_normal(_SHAPE).astype(np.float32)}


def _module() -> Any:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = network(CtcConfig(vocabulary=12, channels=16, blocks=2))
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.8, 1.2)
            torch.nn.init.normal_(layer.bias, 0, 0.1)
    return folded(net)


@pytest.fixture(scope="module")
def exported() -> bytes:
    return convert(_module(), (torch.zeros(_SHAPE),), "network")


def _run(model: bytes, values: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    if scale:
        limits = np.iinfo(given["dtype"])
        values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
    interpreter.invoke()
    result = interpreter.get_tensor(wanted["index"]).astype(np.float64)
    scale, zero_point = wanted["quantization"]
    return np.asarray((result - zero_point) * scale if scale else result)


def _snr_db(exported: bytes, quantized: bytes) -> float:
    signal = noise = 0.0
    for sample in _samples(4, seed=1):
        exact = _run(exported, sample["input"])
        signal += float(np.square(exact).sum())
        noise += float(np.square(exact - _run(quantized, sample["input"])).sum())
    return float(10 * np.log10(signal / noise))


def test_the_export_says_what_torch_says(exported: bytes) -> None:
    (sample,) = _samples(1)
    with torch.no_grad():
        expected = _module()(torch.from_numpy(sample["input"])).numpy()
    np.testing.assert_allclose(_run(exported, sample["input"]), expected, atol=1e-5)


def test_the_export_needs_no_padding_or_transposes(exported: bytes) -> None:
    (graph,) = read(exported)
    assert {o.kind for o in graph.operators} == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD"}
    names = [graph.tensors[o.outputs[0]].name for o in graph.operators]
    assert names[:2] == ["stem/convolution", "down/depthwise/convolution"]
    assert names[-2:] == ["blocks/1", "output"]
    assert graph.tensors[graph.operators[0].inputs[1]].name == "stem/convolution/weights"


def test_the_export_is_quiet_and_repeats(
    exported: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert convert(_module(), (torch.zeros(_SHAPE),), "network") == exported
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("mode", "dtype", "bias", "least_db"),
    [("static8", "int8", "int32", 20.0), ("static16", "int16", "int64", 40.0)],
)
def test_integers_stay_close_to_the_float_model(
    exported: bytes, mode: str, dtype: str, bias: str, least_db: float
) -> None:
    quantized = quantize(exported, _samples(16), Recipe.for_mode(mode))
    assert quantized == quantize(exported, _samples(16), Recipe.for_mode(mode))
    (graph,) = read(quantized)
    assert {o.kind for o in graph.operators} == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD"}
    for name in ("input", "output"):
        (tensor,) = [t for t in graph.tensors if t.name == name]
        assert tensor.dtype == dtype
        assert tensor.quantization is not None
    for operator in graph.operators:
        if operator.kind == "ADD":
            continue
        weights, biases = (graph.tensors[i] for i in operator.inputs[1:])
        assert (weights.dtype, biases.dtype) == ("int8", bias)
        assert weights.quantization is not None
        assert set(weights.quantization.zero_points) == {0}
        channels = weights.shape[3 if operator.kind == "DEPTHWISE_CONV_2D" else 0]
        assert len(weights.quantization.scales) == channels
    assert _snr_db(exported, quantized) >= least_db


def test_a_rule_changes_its_scope_alone(exported: bytes) -> None:
    recipe = Recipe("static8", rules=(Rule("blocks/1/.*", "static16"),))
    quantized = quantize(exported, _samples(8), recipe)
    (graph,) = read(quantized)
    wide = {t.name for t in graph.tensors if t.dtype == "int16" and t.data is None}
    assert "blocks/1/depthwise/convolution" in wide
    assert not any(name.startswith(("stem", "blocks/0/depth", "output")) for name in wide)
    assert _snr_db(exported, quantized) >= 20.0


def test_a_rule_that_matches_nothing(exported: bytes) -> None:
    with pytest.raises(UserError, match="matches none of the 10 operators"):
        quantize(exported, _samples(1), Recipe(rules=(Rule("decoder/.*", "static16"),)))


def test_bad_samples_are_named(exported: bytes) -> None:
    recipe = Recipe.for_mode("static8")
    with pytest.raises(UserError, match="at least one sample"):
        quantize(exported, [], recipe)
    with pytest.raises(UserError, match="sample 0 lacks the input 'input'; it has x"):
        quantize(exported, [{"x": np.zeros(_SHAPE)}], recipe)
    with pytest.raises(UserError, match=r"sample 0 has shape \(2, 3\)"):
        quantize(exported, [{"input": np.zeros((2, 3))}], recipe)
    with pytest.raises(UserError, match="only finite values"):
        quantize(exported, [{"input": np.full(_SHAPE, np.nan)}], recipe)
    (late,) = _samples(1, seed=2)
    late["input"][0, 3] = np.nan
    with pytest.raises(UserError, match="only finite values"):
        quantize(exported, [*_samples(2), late], recipe)


def test_ranges_cover_every_sample(exported: bytes) -> None:
    (graph,) = read(exported)
    samples = list(_samples(5))
    ranges = calibrate(exported, graph, samples)
    low, high = ranges["input"]
    assert low == min(float(s["input"].min()) for s in samples)
    assert high == max(float(s["input"].max()) for s in samples)
    outputs = [_run(exported, s["input"]) for s in samples]
    assert ranges["output"] == (
        min(float(o.min()) for o in outputs),
        max(float(o.max()) for o in outputs),
    )


@pytest.mark.parametrize(("ranges", "share"), [("percentile", 0.03), ("mse", 1)])
def test_ranges_are_chosen_as_the_recipe_says(exported: bytes, ranges: str, share: float) -> None:
    samples = list(_samples(20))
    samples[1]["input"][0, 7, 0, 3] = 400
    recipe = Recipe("static8", ranges=ranges)
    plain, made, again = (
        quantize(exported, samples, each) for each in (Recipe("static8"), recipe, recipe)
    )
    assert made == again
    scales = []
    for data in (plain, made):
        (graph,) = read(data)
        quantization = graph.tensors[graph.inputs[0]].quantization
        assert quantization is not None
        scales.append(quantization.scale)
    assert scales[1] < share * scales[0]
    assert ranges == "mse" or _snr_db(exported, made) > _snr_db(exported, plain) + 5


def test_a_tensor_has_the_bits_of_who_reads_it_in_the_fewest() -> None:
    names = ("x", "w", "y", "z")
    tensors = tuple(Tensor(name, (1, 2), "float32") for name in names)
    first = Operator(0, "FULLY_CONNECTED", (0, 1, -1), (2,))
    graph = Graph("g", tensors, (first, Operator(1, "RELU", (2,), (3,))), (0,), (3,))
    recipe = Recipe("static8", rules=(Rule("g/y", "static16"),))
    assert activation_bits(graph, recipe, "g/") == {"x": 16, "w": 16, "y": 8, "z": 8}


def _one(kind: str, quantization: Quantization | None, dtype: str) -> Graph:
    tensors = (
        Tensor("x", (1, 2), dtype, Quantization((1.0,), (0,))),
        Tensor("w", (1, 2), "int8", quantization, np.ones((1, 2), np.int8)),
        Tensor("y", (1, 2), dtype, Quantization((1.0,), (0,))),
    )
    return Graph("g", tensors, (Operator(0, kind, (0, 1), (2,)),), (0,), (2,))


def test_an_operator_that_stays_float_is_named() -> None:
    with pytest.raises(UserError, match=r"SIN 'y' stays float .*tensor 'x'"):
        check_integer(_one("SIN", None, "float32"))
    with pytest.raises(UserError, match="'w' has a zero point other than 0"):
        check_integer(_one("FULLY_CONNECTED", Quantization((1.0,), (3,)), "int8"))
    check_integer(_one("FULLY_CONNECTED", Quantization((1.0,), (0,)), "int8"))
    check_integer(_one("ADD", Quantization((1.0,), (3,)), "int8"))


def test_an_operator_that_the_quantizer_does_not_know() -> None:
    class Sine(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.sin(x) + 1.0

    exported = convert(Sine(), (torch.zeros(_SHAPE),), "sine")
    with pytest.raises(UserError, match=r"SIN '.*' stays float"):
        quantize(exported, _samples(2), Recipe.for_mode("static8"))


def test_names_are_unique(exported: bytes) -> None:
    (graph,) = read(exported)
    same = replace(graph, tensors=tuple(replace(t, name="x") for t in graph.tensors))
    fresh = named(same)
    assert len({tensor.name for tensor in fresh.tensors}) == len(fresh.tensors)
    assert quantize(write(same), ({"x": s["input"]} for s in _samples(2)), Recipe())
