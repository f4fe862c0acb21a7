# SPDX-License-Identifier: Apache-2.0
"""Layers of tiny packages: held beside their own files, measured one at a time, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codegen import pipeline
from codegen.analyze.effect import Effects
from codegen.analyze.layers import float_graphs
from codegen.analyze.package import Request, analyze, untracked
from codegen.cli import main
from codegen.errors import UserError
from codegen.evaluate.corpus import read_manifest
from codegen.measure import read_clips
from codegen.package import SpeechPackage, load_package, save_package
from codegen.ptq.recipe import Recipe, Rule
from codegen.report.layers import LayersReport
from codegen.tflite.read import read
from codegen.tflite.write import write
from tests.unit._encoder_decoder import exported_once, save_recordings, save_tiny_moonshine

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CTC = ROOT / "examples" / "commands_ctc" / "checkpoint"
KEY = "encoder/layers/0/attention/key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages and recordings with a manifest."""
    made = tmp_path_factory.mktemp("tiny")
    save_tiny_moonshine(made / "tiny")
    save_recordings(made, 2)
    rule = Rule("encoder/layers/0/.*", weight_bits=8)
    with exported_once():
        for name, recipe in (
            ("narrow", Recipe("dynamic8", 4)),
            ("mixed", Recipe("dynamic8", 4, rules=(rule,))),
            ("static", Recipe("static16", 8)),
        ):
            package = pipeline.quantize(made / "tiny", made / "m.jsonl", recipe)
            save_package(package, made / name)
    save_package(pipeline.quantize(CTC, made / "m.jsonl", Recipe("static8")), made / "ctc")
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> LayersReport:
    beside = folder / "mixed"
    return analyze(Request(folder / "narrow", folder / "m.jsonl", beside, None, True, 2))


def test_every_layer_has_its_figures(report: LayersReport) -> None:
    names = [row.layer.name for row in report.rows]
    assert len(names) == len(set(names)) == 3 + 2 * 6 + 2 * 2 + 2 * 9 + 1
    for row in report.rows:
        assert row.beside is not None
        assert row.layer.snr_db is not None
        assert row.layer.inputs.kurtosis is not None
        assert row.beside.inputs == row.layer.inputs
    found = {row.layer.name: row for row in report.rows}
    key, head = found[KEY], found["decoder/output_0"].layer
    assert (key.layer.bits, key.layer.size_bytes) == (4, 16 * 16 // 2 + 4 * 16)
    assert key.beside is not None
    assert key.beside.bits == 8
    assert (key.beside.snr_db or 0) > (key.layer.snr_db or 0) + 15
    assert (head.bits, head.kind, head.shape) == (8, "FULLY_CONNECTED", (24, 16))
    assert found["encoder/stem/first/convolution"].layer.kind == "CONV_2D"
    assert report.recipe == "dynamic8, 4 bits, round"


def test_wer_is_measured_of_the_largest_errors_alone(report: LayersReport) -> None:
    measured = [row.layer for row in report.rows if row.effect is not None]
    ratios = sorted(row.layer.snr_db or 0 for row in report.rows)
    assert sorted(layer.snr_db or 0 for layer in measured) == ratios[:2]
    assert report.wer is not None
    assert report.wer.words == 10
    for effect in (report.wer.together, *(row.effect for row in report.rows if row.effect)):
        assert effect.low_points <= effect.points <= effect.high_points
        assert effect.wer == pytest.approx(report.wer.float_wer + effect.points)


def test_only_the_weights_asked_for_change(folder: Path) -> None:
    package = load_package(folder / "narrow")
    encoder = float_graphs(package)[0]
    assert encoder.with_quantized(frozenset()) is package.graphs[0]
    data = encoder.with_quantized(frozenset([KEY])).float_data
    assert data is not None
    (changed,) = read(data)
    (stored,) = (w.integers for w in encoder.weights if w.name == KEY)
    assert stored.data is not None
    assert stored.quantization is not None
    expected = stored.data * np.array(stored.quantization.scales, np.float32)[:, None]
    different = [
        (old.name, new.data)
        for old, new in zip(encoder.graph.tensors, changed.tensors, strict=True)
        if not np.array_equal(old.data, new.data)  # type: ignore[arg-type]
    ]
    ((name, values),) = different
    assert name == f"{KEY.removeprefix('encoder/')}/weights"
    np.testing.assert_array_equal(values, expected)


def test_silenced_weights_change_what_is_heard(folder: Path) -> None:
    package = load_package(folder / "narrow")
    graphs = float_graphs(package)
    decoder = graphs[-1]
    zeroed = tuple(
        replace(w, integers=replace(w.integers, data=np.zeros_like(w.integers.data)))
        for w in decoder.weights
    )
    graphs = (*graphs[:-1], replace(decoder, weights=zeroed))
    clips = read_manifest(folder / "m.jsonl")[:1]
    sounds = read_clips(package, clips)
    effects = Effects(package, graphs, clips, sounds, 1)
    floats = effects.score(frozenset(), lambda done: None)
    silenced = effects.score(frozenset(["decoder/output_0"]), lambda done: None)
    assert floats.clips[0].hypothesis != silenced.clips[0].hypothesis


def test_integer_modes_and_layers_by_name(folder: Path) -> None:
    shown: list[str] = []

    @contextmanager
    def track(title: str, total: int) -> Iterator[Callable[[int], None]]:
        shown.append(f"{title} {total}")
        with untracked(title, total) as advance:
            yield advance

    found = analyze(
        Request(folder / "static", folder / "m.jsonl", scope="cross/0/.*|decoder/out.*"), track
    )
    assert [row.layer.name for row in found.rows] == [
        "cross/0/key",
        "cross/0/value",
        "decoder/output_0",
    ]
    assert all((row.layer.snr_db or 0) > 30 for row in found.rows)
    assert shown == ["listening, static16, 8 bits, round 2"]


def test_a_model_of_one_graph(folder: Path) -> None:
    request = Request(folder / "ctc", folder / "m.jsonl", wer=True, top=1)
    found = analyze(request)
    assert {row.layer.kind for row in found.rows} == {"CONV_2D"}
    assert all((row.layer.snr_db or 0) > 30 for row in found.rows)
    assert sum(row.effect is not None for row in found.rows) == 1
    assert not any(row.layer.name.startswith("network/") for row in found.rows)


def _refused(folder: Path, package: SpeechPackage, match: str) -> None:
    save_package(package, folder / "refused", overwrite=True)
    with pytest.raises(UserError, match=match):
        analyze(Request(folder / "refused", folder / "m.jsonl"))


def test_packages_without_their_own_float_graphs_are_refused(folder: Path) -> None:
    package = load_package(folder / "narrow")
    first, *others = package.graphs
    without = replace(package, graphs=(replace(first, float_data=None), *others))
    _refused(folder, without, "does not hold encoder before quantizing.* make the package again")
    assert first.float_data is not None
    (graph,) = read(first.float_data)
    tensors = tuple(replace(t, name=f"{t.name}!") for t in graph.tensors)
    other = replace(first, float_data=write(replace(graph, tensors=tensors)))
    strange = replace(package, graphs=(other, *others))
    _refused(folder, strange, "float file of encoder is not what encoder was quantized from")
    bias = next(o for o in graph.operators if o.kind == "CONV_2D").inputs[2]
    short = np.zeros(3, np.float32)
    tensors = tuple(
        replace(t, shape=(3,), data=short) if n == bias else t for n, t in enumerate(graph.tensors)
    )
    broken = replace(first, float_data=write(replace(graph, tensors=tensors)))
    _refused(
        folder,
        replace(package, graphs=(broken, *others)),
        "LiteRT refuses the float file of encoder",
    )


def test_what_a_person_gets_wrong_is_said(folder: Path) -> None:
    data, narrow = folder / "m.jsonl", folder / "narrow"
    silent = folder / "silent.jsonl"
    soundfile.write(folder / "silent.wav", np.zeros(16000, np.int16), 16000)
    silent.write_text(json.dumps({"audio": "silent.wav", "text": "a"}), encoding="utf-8")
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    for request, match in (
        (Request(narrow / "encoder.tflite", data), "is a file; .* the folder that `stapes quan"),
        (Request(folder, data), "has no package.json"),
        (Request(narrow, folder / "empty.jsonl"), "the manifest is empty"),
        (Request(narrow, silent), "recording 0 .* is silent"),
        (Request(folder / "ctc", silent), "recording 0 .* is silent"),
        (Request(narrow, data, scope="decoder"), "'decoder' matches none of the 38 layers"),
        (Request(narrow, data, folder / "ctc"), "'commands_ctc' is of another checkpoint"),
    ):
        with pytest.raises(UserError, match=match):
            analyze(request)
    with pytest.raises(UserError, match="is not a regular expression"):
        Request(narrow, data, scope="(")
    with pytest.raises(UserError, match="add --wer"):
        Request(narrow, data, top=3)


def test_the_command_writes_the_same_files_twice(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("a.json", "a.html", "b.json", "b.html")]
    for json_file, html_file in (files[:2], files[2:]):
        arguments = ["analyze", str(folder / "narrow"), "--data", str(folder / "m.jsonl")]
        arguments += ["--layers", "cross/.*", "--beside", str(folder / "mixed")]
        arguments += ["--json", str(json_file), "--html", str(html_file)]
        assert main(arguments) == 0
    assert files[0].read_bytes() == files[2].read_bytes()
    assert files[1].read_bytes() == files[3].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f.name for f in files)
    assert "cross/1/value" in capsys.readouterr().out
    assert len(json.loads(files[0].read_text(encoding="utf-8"))["rows"]) == 4
    assert main([*arguments[:4], "--json", str(tmp_path)]) == 2
    assert "is a folder; give the name of a file" in capsys.readouterr().err
