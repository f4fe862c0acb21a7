# SPDX-License-Identifier: Apache-2.0
"""A tiny Moonshine as a package: calibrated through its loop, wired without rescaling, and run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen import calibration, encoder_decoder, pipeline, transcriber
from codegen.emit.context import model_context
from codegen.errors import UserError
from codegen.evaluate.greedy import detokenized, greedy_tokens, most_steps
from codegen.evaluate.split import cut, joined
from codegen.graph import Graph, Quantization
from codegen.measure import accuracy, measure, recognizer
from codegen.models import load_model
from codegen.models._graphs import INT16_SCOPES
from codegen.native import native_engine
from codegen.package import SpeechPackage, load_package, save_package
from codegen.ptq.ranges import percentile
from codegen.ptq.recipe import Recipe, Rule
from codegen.target import load_target
from codegen.tflite.read import read
from codegen.tflite.write import write
from codegen.wiring import Table
from tests.unit._encoder_decoder import (
    Steps,
    exported_once,
    noise,
    save_recordings,
    save_tiny_moonshine,
)

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and recordings with a manifest."""
    made = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(made / "tiny")
    save_recordings(made, 3)
    return made


@pytest.fixture(scope="module", autouse=True)
def _exported_once() -> Iterator[None]:
    """All packages here are of one checkpoint, whose graphs take seconds to export."""
    with exported_once():
        yield


@pytest.fixture(scope="module")
def package(folder: Path) -> SpeechPackage:
    recipe = Recipe.for_mode("static16")
    return pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)


@pytest.fixture(scope="module")
def dynamic(folder: Path) -> SpeechPackage:
    """In dynamic8 with int4 weights: no recordings are needed."""
    return pipeline.quantize(folder / "tiny", None, Recipe("dynamic8", 4))


def test_it_is_saved_and_loaded(package: SpeechPackage, tmp_path: Path) -> None:
    save_package(package, tmp_path / "package")
    loaded = load_package(tmp_path / "package")
    assert loaded.sha256 == package.sha256
    for buffers in (transcriber.read_graphs(loaded), transcriber.read_graphs(package)):
        assert [graph.name for graph in buffers] == ["encoder", "cross", "decoder"]


def test_the_embedding_is_the_heads_array(package: SpeechPackage) -> None:
    """In the package's bytes, in the generated C, and in what is predicted of it."""
    embedding, decoder = package.tables[0], read(package.graphs[-1].data)[0]
    logits = decoder.outputs[package.graphs[-1].outputs.index("logits")]
    (head,) = (o.inputs[1] for o in decoder.operators if logits in o.outputs)
    assert np.array_equal(embedding.values, np.asarray(decoder.tensors[head].data))
    compiled = pipeline.compile_model(pipeline.packaged_model(package), load_target("mps3-an547"))
    assert compiled.footprint.component_bytes("table embedding") == 4 * 24
    context = model_context(pipeline.emit_inputs(compiled, "tiny"))
    assert context.speech is not None
    table = context.speech.tables[0]
    assert (table.row_bytes, table.value_bytes) == (16, 2)
    symbols = [each.symbol for each in context.data]
    assert symbols.count(table.data.symbol) == 1
    assert "tiny_table_embedding" not in symbols
    assert "tiny_table_embedding_scales" in symbols
    used = [argument for call in context.graphs[-1].calls for argument in call.arguments]
    assert table.data.symbol in used


def _step(steps: Steps, token: int, _: int) -> np.ndarray:
    return steps.step(token)


def test_the_float_engine_says_what_the_torch_model_says(
    package: SpeechPackage, folder: Path
) -> None:
    model = load_model(folder / "tiny")
    engine = recognizer(package, "reference", floats=True)()
    for seed in range(4):
        pcm = noise(seed, RATE * 2)
        steps = Steps(model, pcm)
        most = most_steps(package.decoding, len(pcm), RATE)
        wanted = greedy_tokens(package.decoding, most, partial(_step, steps))
        assert engine(pcm) == detokenized(wanted, package.vocabulary)


def test_the_integers_follow_the_floats(package: SpeechPackage) -> None:
    """Of a random network the logits lie close together; most choices still agree."""
    found = [recognizer(package, "reference", floats)() for floats in (False, True)]
    texts = [[engine(noise(seed, RATE * 2)) for engine in found] for seed in range(4)]
    assert all(one for one, _ in texts)
    assert sum(one.split()[:1] == other.split()[:1] for one, other in texts) >= 3


def test_silence_is_empty_text(package: SpeechPackage) -> None:
    engine = recognizer(package, "reference")()
    assert engine(np.full(RATE, 31, np.int16)) == ""
    assert engine(np.full(RATE, 32, np.int16)) != ""


def test_wer_names_its_normalizer(package: SpeechPackage, folder: Path) -> None:
    report = measure(
        package, folder / "m.jsonl", recognizer(package, "reference"), "interpreter", jobs=2
    )
    assert "EnglishTextNormalizer" in accuracy(report).normalizer
    assert report.baseline is not None
    assert report.baseline.sha256 == package.sha256
    assert report.score.errors.words == 3 * 5


def test_a_shorter_window_cuts_recordings(folder: Path) -> None:
    """Calibration's longest recording lasts 3 s; so does the one that is measured."""
    told: list[str] = []
    arguments = (str(folder / "tiny"), folder / "m.jsonl", Recipe.for_mode("static16"), told.append)
    package = pipeline.quantize(*arguments, window_samples=2 * RATE + 1, language="en")
    assert package.window_samples == 2 * RATE + 64
    assert any("rounded up to 2.004 s" in line for line in told)
    assert package.source["name"] == "tiny"
    assert set(package.source) == {"name", "sha256"}
    engine = recognizer(package, "reference")
    heard = measure(package, folder / "m.jsonl", engine, "interpreter", baseline=False)
    pieces = cut(noise(2, 3 * RATE), package.window_samples, RATE)
    assert len(pieces) > 1
    assert heard.score.clips[2].hypothesis == joined(map(engine(), pieces))


def _graph(package: SpeechPackage, number: int, change: Callable[[Graph], Graph]) -> SpeechPackage:
    graphs = list(package.graphs)
    (graph,) = read(graphs[number].data)
    graphs[number] = replace(graphs[number], data=write(change(graph)))
    return replace(package, graphs=tuple(graphs))


def _rescaled(output: int) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        tensors = list(graph.tensors)
        index = graph.outputs[output]
        quantization = tensors[index].quantization
        assert quantization
        scale = Quantization((quantization.scale * 1.0001,), quantization.zero_points)
        tensors[index] = replace(tensors[index], quantization=scale)
        return replace(graph, tensors=tuple(tensors))

    return change


def _table(package: SpeechPackage, change: Callable[[np.ndarray], np.ndarray]) -> SpeechPackage:
    first, *others = package.tables
    changed = Table(first.name, first.by, change(first.values))
    return replace(package, tables=(changed, *others))


def _ruled(package: SpeechPackage, **values: Any) -> SpeechPackage:
    return replace(package, decoding={**package.decoding, **values})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: _graph(p, 0, _rescaled(0)), "encoded is quantized in two ways"),
        (lambda p: _graph(p, 1, _rescaled(2)), "cross_key_1 is quantized in two ways"),
        (lambda p: _graph(p, 2, _rescaled(1)), "self_key_0 is quantized unlike new_key_0"),
        (lambda p: replace(p, state=p.state[::-1]), None),
        (
            lambda p: replace(p, state=(replace(p.state[0], axis=0), *p.state[1:])),
            "new_key_0 has the shape",
        ),
        (lambda p: _table(p, lambda v: v.astype(np.int8)), "table embedding has rows"),
        (lambda p: _table(p, lambda v: v[:, 1:]), "table embedding has rows"),
        (lambda p: _ruled(p, masked=-1), "decoding.masked and decoding.attended"),
        (lambda p: _ruled(p, attended=1), "decoding.masked and decoding.attended"),
        (lambda p: replace(p, vocabulary=p.vocabulary[1:]), "logits has 24 values"),
        (lambda p: replace(p, window_samples=79936), "front_end and window_samples"),
        (lambda p: replace(p, window_samples=80001), "not whole rows"),
        (
            lambda p: replace(p, front_end={**p.front_end, "multiplier": 5}),
            "front_end and window_samples",
        ),
        (lambda p: replace(p, front_end={"kind": "log_mel"}), "front end 'log_mel' is unknown"),
        (
            lambda p: replace(p, graphs=(p.graphs[0], replace(p.graphs[1], outputs=("a",)))),
            "names 1",
        ),
    ],
)
def test_graphs_that_do_not_fit_are_refused(
    package: SpeechPackage, change: Callable[[SpeechPackage], SpeechPackage], message: str | None
) -> None:
    changed = change(package)
    if len(changed.graphs) == 2:
        changed = replace(changed, graphs=(*changed.graphs, package.graphs[2]))
    if message is None:
        transcriber.read_graphs(changed)
        return
    with pytest.raises(UserError, match=message):
        transcriber.read_graphs(changed)


def test_a_silent_recording_does_not_calibrate(folder: Path) -> None:
    recordings = [noise(0, 99), np.zeros(9, np.int16)]
    with pytest.raises(UserError, match="recording 1 of the calibration manifest is silent"):
        calibration.check_audible(recordings, 1024)


def test_a_rule_that_matches_nothing_is_refused(folder: Path) -> None:
    recipe = Recipe(mode="static16", rules=(Rule("layers/0/.*", "static8"),))
    with pytest.raises(UserError, match="matches none"):
        pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)


def test_a_stem_keeps_8_bits(folder: Path) -> None:
    package = pipeline.quantize(folder / "tiny", folder / "m.jsonl", Recipe("static16", 4))
    graph = transcriber.read_graphs(package)[0]
    layers = [o for o in graph.operators if o.kind in ("CONV_2D", "FULLY_CONNECTED")]
    found = {(layer.kind, graph.tensors[layer.inputs[1]].dtype) for layer in layers}
    assert found == {("CONV_2D", "int8"), ("FULLY_CONNECTED", "int4")}


@pytest.fixture(scope="module")
def package8(folder: Path) -> SpeechPackage:
    recipe = Recipe(rules=(Rule("encoder/layers/0/feed", "static16"),))
    return pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)


def test_static8_leaves_to_int16_what_the_family_says(package8: SpeechPackage) -> None:
    scopes = [(rule["scope"], rule["mode"]) for rule in package8.recipe["rules"]]
    assert scopes == [(s, "static16") for s in (*INT16_SCOPES, "encoder/layers/0/feed")]
    types = {}
    for graph in transcriber.read_graphs(package8):
        for operator in graph.operators:
            tensor = graph.tensors[operator.outputs[0]]
            types[f"{graph.name}/{tensor.name}"] = tensor.dtype
    for name, dtype in (
        ("encoder/stem", "int16"),
        ("encoder/layers/1", "int16"),
        ("encoder/layers/1/feed_norm", "int16"),
        ("encoder/layers/1/feed", "int8"),
        ("encoder/layers/0/feed", "int16"),
        ("encoder/output", "int8"),
        ("encoder/layers/1/attention/mix_2", "int16"),
        ("cross/output_0", "int8"),
        ("cross/output_1", "int8"),
        ("decoder/1", "int16"),
        ("decoder/1/attention/query", "int8"),
        ("decoder/1/feed/down", "int16"),
        ("decoder/output_0", "int16"),
        ("decoder/output_1", "int8"),
    ):
        assert types[name] == dtype, name


def test_ranges_are_chosen_and_wires_share_them(
    folder: Path, package8: SpeechPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder reads keys at each step, the cross graph makes them once."""
    monkeypatch.setattr(percentile, "SHARE", 0.05)
    recipe = Recipe("static8", ranges="percentile")
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)
    assert made.recipe["ranges"] == "percentile"
    assert "ranges" not in package8.recipe
    transcriber.read_graphs(made)  # raises where the ends of a wire differ
    assert all(a.data != b.data for a, b in zip(made.graphs, package8.graphs, strict=True))
    assert recognizer(made, "reference")()(noise(1, 16000))


def test_static8_caches_bytes_and_decides_on_int16(package8: SpeechPackage) -> None:
    step = transcriber.read_graphs(package8)[-1]
    names = dict(zip(package8.graphs[-1].inputs, step.inputs, strict=True))
    assert {step.tensors[names[buffer.name]].dtype for buffer in package8.state} == {"int8"}
    assert step.tensors[step.outputs[0]].dtype == "int16"
    tables = {table.name: table.values.dtype.name for table in package8.tables}
    assert tables == {"embedding": "int8", "cos": "int8", "sin": "int8"}


def test_static8_says_in_c_what_it_says_on_the_host(package8: SpeechPackage) -> None:
    engine = recognizer(package8, "reference")()
    with native_engine(package8) as make_native:
        native = make_native()
        for seed in range(3):
            pcm = noise(seed, RATE * 2)
            assert native(pcm) == engine(pcm) != ""


def test_a_torn_wire_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(mode="static16", rules=(Rule("cross/.*", "static8"),))
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)
    assert read(made.graphs[1].data)[0].operators[0].kind == "QUANTIZE"
    monkeypatch.setattr(encoder_decoder, "_taken_as_made", lambda _, graphs: graphs)
    with pytest.raises(UserError, match=r"encoded is quantized in two ways.*rule"):
        pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)


def test_dynamic8_is_saved_loaded_and_float_at_its_ports(
    dynamic: SpeechPackage, tmp_path: Path
) -> None:
    save_package(dynamic, tmp_path / "package")
    loaded = load_package(tmp_path / "package")
    assert loaded.sha256 == dynamic.sha256
    for graph in transcriber.read_graphs(loaded):
        ports = {graph.tensors[index].dtype for index in (*graph.inputs, *graph.outputs)}
        assert ports == {"float32"}
    assert (loaded.decoding["masked"], loaded.decoding["attended"]) == (0, 0)
    assert loaded.calibration == {}


def test_the_head_keeps_int8_and_shares_its_bytes_with_the_embedding(
    dynamic: SpeechPackage, folder: Path
) -> None:
    assert dynamic.recipe["rules"] == [
        {"scope": "decoder/output_0", "weight_bits": 8, "block_size": 0}
    ]
    (step,) = read(dynamic.graphs[-1].data)
    weights = {
        step.tensors[o.outputs[0]].name: step.tensors[o.inputs[1]]
        for o in step.operators
        if o.kind == "FULLY_CONNECTED"
    }
    head, embedding = weights.pop("output_0"), dynamic.tables[0]
    assert {tensor.dtype for tensor in weights.values()} == {"int4"}
    assert head.quantization
    assert head.data is not None
    assert embedding.scales is not None
    assert np.array_equal(head.data, embedding.values)
    assert head.quantization.scales == tuple(embedding.scales.tolist())
    narrow = Recipe("dynamic8", 4, rules=(Rule("decoder/output_0", weight_bits=4),))
    asked = pipeline.quantize(folder / "tiny", None, narrow)
    assert asked.recipe["rules"][-1] == {"scope": "decoder/output_0", "weight_bits": 4}
    assert np.abs(asked.tables[0].values).max() <= 8
    assert len(asked.graphs[-1].data) < len(dynamic.graphs[-1].data)


def test_dynamic8_follows_the_floats(folder: Path) -> None:
    int8 = pipeline.quantize(folder / "tiny", None, Recipe("dynamic8"))
    found = [recognizer(int8, "reference", floats)() for floats in (False, True)]
    texts = [[engine(noise(seed, RATE * 2)) for engine in found] for seed in range(4)]
    assert all(one for one, _ in texts)
    assert sum(one.split()[:1] == other.split()[:1] for one, other in texts) >= 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: _ruled(p, masked=-5), "decoding.masked and decoding.attended"),
        (lambda p: _table(p, lambda v: v[:, 1:]), "table embedding has rows of 15 int8"),
        (lambda p: replace(p, window_samples=79936), "front_end and window_samples"),
    ],
)
def test_float_graphs_that_do_not_fit_are_refused(
    dynamic: SpeechPackage, change: Callable[[SpeechPackage], SpeechPackage], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        transcriber.read_graphs(change(dynamic))


def test_blocks_that_do_not_divide_the_width_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="rows of 16 weights are not whole blocks"):
        pipeline.quantize(folder / "tiny", None, Recipe("dynamic8", 4, 32))


def test_static16_takes_int4_weights_and_keeps_the_head(folder: Path) -> None:
    recipe = Recipe("static16", 4, 0, ("round_mse",))
    made = pipeline.quantize(folder / "tiny", folder / "m.jsonl", recipe)
    (step,) = transcriber.read_graphs(made)[-1:]
    matrices = [o for o in step.operators if o.kind == "FULLY_CONNECTED"]
    bits = {o.outputs[0]: step.tensors[o.inputs[1]].dtype for o in matrices}
    assert bits.pop(step.outputs[0]) == "int8"
    assert set(bits.values()) == {"int4"}
    assert recognizer(made, "reference")()(noise(1, RATE))
