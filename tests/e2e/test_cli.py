# SPDX-License-Identifier: Apache-2.0
"""The commands on small models: each does its work."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.e2e._stapes import MODELS, complained, stapes, succeeded

MICRO_SPEECH = MODELS / "micro_speech_quantized.tflite"


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_help_names_every_command() -> None:
    listed = succeeded(stapes("--help"))
    for command in "analyze build doctor emit operators plan quantize run size targets wer".split():
        assert f" {command} " in listed
        assert "--help" in succeeded(stapes(command, "--help"))


def test_defaults_stand_in_the_help() -> None:
    assert "static8" in succeeded(stapes("quantize", "--help"))
    assert "interpreter" in succeeded(stapes("wer", "--help"))


def test_version() -> None:
    assert succeeded(stapes("--version")).startswith("stapes 0.")


def test_targets_as_json() -> None:
    targets = {t["name"]: t for t in json.loads(succeeded(stapes("targets", "--json")))}
    assert targets["mps3-an547"]["cpu"] == "cortex-m55"
    assert targets["mps3-an547"]["regions"]


def test_doctor_finds_what_the_tests_need() -> None:
    findings = json.loads(succeeded(stapes("doctor", "--json")))
    assert all(finding["found"] for finding in findings if finding["required"])


def test_doctor_without_tools() -> None:
    done = stapes("doctor", environment={"PATH": "/nonexistent"})
    assert done.returncode == 1
    assert "MISSING  arm-none-eabi-gcc" in done.stdout
    assert "apt-get install gcc-arm-none-eabi" in done.stdout


def test_operators_page_is_the_committed_one() -> None:
    page = (MODELS.parents[1] / "docs" / "operators.md").read_text(encoding="utf-8")
    assert succeeded(stapes("operators")) == page


def test_sizes_sum_to_the_regions_totals() -> None:
    shown = json.loads(succeeded(stapes("size", MICRO_SPEECH, "-t", "mps3-an547", "--json")))
    assert shown["sha256"] == hashlib.sha256(MICRO_SPEECH.read_bytes()).hexdigest()
    for region in shown["regions"]:
        rows = [r["size_bytes"] for r in shown["rows"] if r["region"] == region["region"]]
        assert sum(rows) == region["required_bytes"] <= region["available_bytes"]


def test_plan_shows_the_bound() -> None:
    shown = json.loads(succeeded(stapes("plan", MICRO_SPEECH, "-t", "mps3-an547", "--json")))
    assert shown["lower_bound_bytes"] <= sum(shown["arena_bytes"].values())
    assert shown["any_order_bytes"] == shown["lower_bound_bytes"]
    assert "lower bound" in succeeded(stapes("plan", MICRO_SPEECH, "-t", "mps3-an547"))


def test_plan_draws_a_map_or_says_why_not(tmp_path: Path) -> None:
    drawn = tmp_path / "map.svg"
    arguments = ("plan", MICRO_SPEECH, "-t", "mps3-an547", "--map")
    succeeded(stapes(*arguments, drawn))
    assert ElementTree.parse(drawn).getroot().tag.endswith("svg")
    assert list(tmp_path.iterdir()) == [drawn]
    complained(stapes(*arguments, tmp_path / "nowhere" / "map.svg"), "its folder does not exist")


@pytest.mark.parametrize("target", ["host", "mps3-an547"])
def test_run_gives_the_interpreters_bytes(tmp_path: Path, target: str) -> None:
    from codegen.evaluate.interpreter import Interpreter

    project = tmp_path / "project"
    succeeded(stapes("emit", MICRO_SPEECH, "--target", target, "-o", project))
    inputs = np.random.default_rng(5).integers(-128, 128, (3, 1960), dtype=np.int8)
    arguments: list[str | Path] = []
    for number, values in enumerate(inputs):
        (tmp_path / f"{number}.bin").write_bytes(values.tobytes())
        arguments += ["--input", tmp_path / f"{number}.bin"]
    records = json.loads(succeeded(stapes("run", project, *arguments, "--json")))["records"]
    interpreter = Interpreter(MICRO_SPEECH.read_bytes())
    expected = [interpreter.run([values])[0].tobytes().hex() for values in inputs]
    assert [record["outputs"] for record in records] == expected
    assert all((record["instructions"] > 100_000) == (target != "host") for record in records)


def test_emit_gives_the_same_bytes_under_any_hash_seed(tmp_path: Path, package: Path) -> None:
    for source in (MICRO_SPEECH, package):
        made = []
        for seed in ("1", "2"):
            folder = tmp_path / seed / "deeper" / source.name
            arguments = ("emit", source, "--target", "mps3-an547", "-o", folder)
            succeeded(stapes(*arguments, environment={"PYTHONHASHSEED": seed}))
            made.append(_files(folder))
        assert made[0] == made[1]


def test_emit_takes_the_name_it_is_given(tmp_path: Path) -> None:
    arguments = ("--target", "host", "-o", tmp_path / "p", "--name", "keyword")
    succeeded(stapes("emit", MICRO_SPEECH, *arguments))
    assert (tmp_path / "p" / "model" / "keyword.h").is_file()


def test_force_replaces_a_project(tmp_path: Path) -> None:
    arguments = ("emit", MICRO_SPEECH, "--target", "host", "-o", tmp_path / "p")
    succeeded(stapes(*arguments))
    before = _files(tmp_path / "p")
    succeeded(stapes(*arguments, "--force"))
    assert _files(tmp_path / "p") == before


@pytest.mark.slow
def test_wer_of_both_engines(package: Path, manifest: Path) -> None:
    reports = {
        engine: json.loads(
            succeeded(stapes("wer", package, "--data", manifest, "--engine", engine, "--json"))
        )
        for engine in ("interpreter", "native")
    }
    texts = {
        engine: [clip["hypothesis"] for clip in report["score"]["clips"]]
        for engine, report in reports.items()
    }
    assert texts["interpreter"] == texts["native"]
    assert any(texts["native"])
    described = json.loads((package / "package.json").read_text(encoding="utf-8"))
    for report in reports.values():
        assert report["score"]["sha256"] == described["graphs"][0]["sha256"]
        assert report["baseline"]["sha256"] == described["graphs"][0]["float_sha256"]
    assert reports["interpreter"]["score"]["engine"] == "interpreter, LiteRT BUILTIN_REF"
    assert "native" in reports["native"]["score"]["engine"]


def test_wer_is_the_same_from_any_number_of_processes(package: Path, manifest: Path) -> None:
    one, three = (
        succeeded(stapes("wer", package, "--data", manifest, "--json", "--jobs", jobs))
        for jobs in ("1", "3")
    )
    assert one == three


@pytest.mark.slow
def test_run_says_what_the_host_interpreter_heard(
    package: Path, manifest: Path, project: Path
) -> None:
    report = json.loads(succeeded(stapes("wer", package, "--data", manifest, "--json")))
    heard = {clip["name"]: clip["hypothesis"] for clip in report["score"]["clips"]}
    wavs = [part for name in heard for part in ("--wav", manifest.parent / name)]
    records = json.loads(succeeded(stapes("run", project, *wavs, "--json")))["records"]
    assert {record["input"]: record["text"] for record in records} == heard


def test_a_recording_longer_than_the_window_is_cut(
    tmp_path: Path, package: Path, manifest: Path, project: Path
) -> None:
    """The same pieces for both engines and for the firmware, which refuses more."""
    from codegen.evaluate.corpus import read_pcm

    sounds = [read_pcm(path, 16000) for path in sorted(manifest.parent.glob("*.wav"))]
    soundfile.write(tmp_path / "a.wav", np.concatenate(sounds), 16000, subtype="PCM_16")
    line = json.dumps({"audio": "a.wav", "text": "on off"})
    (tmp_path / "m.jsonl").write_text(line, encoding="utf-8")
    wer = ("wer", package, "--data", tmp_path / "m.jsonl", "--json", "--engine")
    reports = [json.loads(succeeded(stapes(*wer, name))) for name in ("interpreter", "native")]
    heard = [report["score"]["clips"][0]["hypothesis"] for report in reports]
    done = stapes("run", project, "--wav", tmp_path / "a.wav", "--json")
    (record,) = json.loads(succeeded(done))["records"]
    assert [record["text"], *heard] == [heard[0]] * 3 != [""] * 3
    window = json.loads((project / "stapes.json").read_text(encoding="utf-8"))["window_samples"]
    assert record["pieces"] > sum(map(len, sounds)) // window >= 2
    assert "pieces, " in succeeded(stapes("run", project, "--wav", tmp_path / "a.wav"))


@pytest.mark.slow
def test_build_does_everything(tmp_path: Path, checkpoint: Path, manifest: Path) -> None:
    output = tmp_path / "built"
    arguments = ("--calibration", manifest, "--data", manifest, "--mode", "static16")
    done = stapes("build", checkpoint, "-t", "mps2-an386", *arguments, "-o", output)
    page = succeeded(done)
    assert "calibrating" in done.stderr
    for expected in ("static16", "WER", "float", "flash", "Written", "arena"):
        assert expected in page
    assert {"firmware.elf", "package", "project", "report.html", "report.json"} == {
        path.name for path in output.iterdir()
    }
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    tflite = (output / "package" / "network.tflite").read_bytes()
    assert report["sha256"] == hashlib.sha256(tflite).hexdigest()
    assert report["sha256"] in (output / "project" / "stapes.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in (output / "report.html").read_text(encoding="utf-8")
