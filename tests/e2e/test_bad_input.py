# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong ends in one clear sentence, with nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.e2e._stapes import MODELS, ROOT, assert_empty, complained, stapes, succeeded

MICRO_SPEECH = MODELS / "micro_speech_quantized.tflite"
TARGET = ("--target", "mps3-an547")


def _emit(source: Path, output: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return stapes("emit", source, *TARGET, "-o", output, *more)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("nonsense",), ("nonsense", "stapes --help")),
        (("emit",), ("Missing", "stapes emit --help")),
        (("emit", "a.tflite", "-o", "x"), ("--target",)),
        (("emit", "a.tflite", "-t", "host", "-o", "x", "--nonsense"), ("--nonsense",)),
        (("wer", "p", "--data", "m", "--jobs", "0"), ("--jobs",)),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], fragments: tuple[str, ...]) -> None:
    complained(stapes(*arguments), *fragments)


def test_unknown_target(tmp_path: Path) -> None:
    done = stapes("emit", MICRO_SPEECH, "--target", "mps3-an54", "-o", tmp_path / "p")
    complained(done, "mps3-an54", "did you mean mps3-an547", "stapes targets")
    assert_empty(tmp_path)


def test_target_toml_with_an_unknown_key(tmp_path: Path) -> None:
    text = (ROOT / "targets" / "mps3-an547.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace("clock_hz", "clok_hz"), encoding="utf-8")
    done = stapes("size", MICRO_SPEECH, "--target", tmp_path / "mine.toml")
    complained(done, "mine.toml", "clok_hz", "clock_hz")


def test_a_target_of_ones_own_and_a_model_too_big_for_it(tmp_path: Path) -> None:
    text = (ROOT / "targets" / "mps3-an547.toml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(text, encoding="utf-8")
    succeeded(stapes("size", MICRO_SPEECH, "--target", mine))
    mine.write_text(text.replace("0x00200000", "0x1000"), encoding="utf-8")
    arguments = ("--target", mine, "-o", tmp_path / "p")
    expected = ("'sram' requires", "4,096 are available", "in excess")
    complained(stapes("emit", MICRO_SPEECH, *arguments), *expected)
    complained(stapes("build", MICRO_SPEECH, *arguments), *expected)
    done = stapes("size", MICRO_SPEECH, "--target", mine)
    complained(done, *expected)
    assert "too many" in done.stdout
    assert_empty(tmp_path, "mine.toml")


@pytest.mark.parametrize(
    "recipe", ["mod = 'static8'", "mode = 'static9'", "[[rules]]\nmode = 'static8'", "mode = "]
)
def test_wrong_recipe(tmp_path: Path, checkpoint: Path, manifest: Path, recipe: str) -> None:
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    arguments = ("--calibration", manifest, "--recipe", tmp_path / "recipe.toml")
    done = stapes("quantize", checkpoint, "-o", tmp_path / "p", *arguments)
    complained(done, "recipe.toml")
    assert_empty(tmp_path, "recipe.toml")


def test_mode_and_recipe_exclude_each_other(tmp_path: Path, checkpoint: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    arguments = ("-o", tmp_path / "p", "--mode", "static8", "--recipe", recipe)
    complained(stapes("quantize", checkpoint, *arguments, "--calibration", recipe), "--mode")
    done = stapes("quantize", checkpoint, "-o", tmp_path / "p", "--mode", "static16")
    complained(done, "--calibration")
    arguments = ("-o", tmp_path / "p", "--mode", "static4", "--calibration", recipe)
    complained(stapes("quantize", checkpoint, *arguments), "static4", "static16")


@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("stereo", ("2 channels",)),
        ("rate", ("8000 Hz", "16000 Hz")),
        ("empty", ("is empty",)),
        ("text", ("not a WAV",)),
        ("missing", ("no such recording",)),
    ],
)
def test_wrong_recording(
    tmp_path: Path, package: Path, project: Path, name: str, fragments: tuple[str, ...]
) -> None:
    wav = tmp_path / f"{name}.wav"
    sounds = {
        "stereo": (np.zeros((400, 2), np.int16), 16000),
        "rate": (np.zeros(400, np.int16), 8000),
        "empty": (np.zeros(0, np.int16), 16000),
    }
    if name in sounds:
        soundfile.write(wav, *sounds[name], subtype="PCM_16")
    elif name == "text":
        wav.write_text("la la la", encoding="utf-8")
    complained(stapes("run", project, "--wav", wav), str(wav), *fragments)
    line = json.dumps({"audio": wav.name, "text": "on"})
    (tmp_path / "m.jsonl").write_text(line, encoding="utf-8")
    done = stapes("wer", package, "--data", tmp_path / "m.jsonl")
    complained(done, str(wav), *fragments)


def test_wrong_inputs_of_run(tmp_path: Path, project: Path) -> None:
    complained(stapes("run", tmp_path, "--wav", "a.wav"), "no stapes project", "stapes emit")
    complained(stapes("run", project), "speech model", "--wav FILE")
    complained(stapes("run", project, "--input", "a.bin"), "--wav FILE")
    succeeded(_emit(MICRO_SPEECH, tmp_path / "p"))
    complained(stapes("run", tmp_path / "p", "--wav", "a.wav"), "--input FILE")
    complained(stapes("run", tmp_path / "p", "--input", __file__), "have 1960")


def test_wrong_packages(tmp_path: Path, package: Path) -> None:
    complained(stapes("wer", tmp_path, "--data", "m.jsonl"), "package.json", "stapes quantize")
    complained(stapes("wer", tmp_path / "none", "--data", "m.jsonl"), "not a folder")
    complained(stapes("wer", package, "--data", tmp_path / "m.jsonl"), "no such manifest")
    (tmp_path / "m.jsonl").touch()
    complained(stapes("wer", package, "--data", tmp_path / "m.jsonl"), "manifest is empty")
    arguments = ("--data", tmp_path / "m.jsonl", "--engine", "magic")
    complained(stapes("wer", package, *arguments), "magic", "native")
    complained(_emit(tmp_path / "none.tflite", tmp_path / "p"), "none.tflite")
    complained(_emit(tmp_path, tmp_path / "p"), "package.json")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in package.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:-1])
    complained(_emit(broken, tmp_path / "p"), "broken")
    assert_empty(tmp_path, "m.jsonl", "broken")


@pytest.mark.parametrize("keep", [0, 3, 40, 5000])
def test_truncated_tflite(tmp_path: Path, keep: int) -> None:
    short = tmp_path / "short.tflite"
    short.write_bytes(MICRO_SPEECH.read_bytes()[:keep])
    complained(_emit(short, tmp_path / "p"))
    complained(stapes("size", short, *TARGET))
    assert_empty(tmp_path, "short.tflite")


def test_hostile_names_stay_out_of_the_command(tmp_path: Path) -> None:
    from dataclasses import replace

    from codegen.tflite.read import read
    from codegen.tflite.write import write

    (graph,) = read(MICRO_SPEECH.read_bytes())
    evil = ['*/ int main(void) { "', "\n#include </etc/passwd>\n", "x" * 10_000, "??/", "\0é"]
    tensors = [
        replace(tensor, name=f"{evil[i % len(evil)]}{i}") for i, tensor in enumerate(graph.tensors)
    ]
    hostile = tmp_path / 'a"b; rm -rf.tflite'
    hostile.write_bytes(write(replace(graph, name=evil[0], tensors=tuple(tensors))))
    succeeded(_emit(hostile, tmp_path / "p"))
    (tmp_path / "in.bin").write_bytes(bytes(1960))
    succeeded(stapes("run", tmp_path / "p", "--input", tmp_path / "in.bin"))


def test_existing_output_is_left_alone(tmp_path: Path, package: Path, checkpoint: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    for force in ((), ("--force",)):
        complained(_emit(MICRO_SPEECH, tmp_path / "mine", *force), "mine", "another")
        arguments = ("build", package, *TARGET, "-o", tmp_path / "mine")
        complained(stapes(*arguments, *force), "mine", "another")
    assert_empty(tmp_path / "mine", "thesis.txt")
    succeeded(_emit(MICRO_SPEECH, tmp_path / "p"))
    complained(_emit(MICRO_SPEECH, tmp_path / "p"), "--force")
    (tmp_path / "file").touch()
    complained(_emit(MICRO_SPEECH, tmp_path / "file"), "not a folder")
    complained(_emit(MICRO_SPEECH, tmp_path / "q", "--name", "int"), "--name")
    assert_empty(tmp_path, "mine", "p", "file")


@pytest.mark.slow
def test_existing_package_is_left_alone(tmp_path: Path, checkpoint: Path, manifest: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    arguments = ("--calibration", manifest, "--force")
    complained(stapes("quantize", checkpoint, "-o", tmp_path / "mine", *arguments), "mine")
    assert_empty(tmp_path / "mine", "thesis.txt")
    assert_empty(tmp_path, "mine")


def test_not_a_checkpoint(tmp_path: Path, manifest: Path) -> None:
    arguments = ("-o", tmp_path / "p", "--calibration", manifest)
    complained(stapes("quantize", tmp_path, *arguments), "config.json")
    (tmp_path / "config.json").write_text('{"family": "rnn"}', encoding="utf-8")
    complained(stapes("quantize", tmp_path, *arguments), "rnn", "ctc")
    assert_empty(tmp_path, "config.json")


def test_a_hub_out_of_reach(tmp_path: Path, manifest: Path) -> None:
    """Nothing listens at the discard port of this computer."""
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache")}
    arguments = ("-o", tmp_path / "p", "--calibration", manifest)
    expected = ("cannot be reached", "Connection refused", "model.safetensors", "give that folder")
    for source in ("ORG/tiny", "ORG/tiny@" + "a" * 40):
        done = stapes("quantize", source, *arguments, environment=environment, timeout_s=20)
        complained(done, "ORG/tiny", *expected)
    complained(stapes("quantize", "tiny", *arguments), "no such folder", "ORG/NAME@REVISION")
    build = ("build", "ORG/tiny", *TARGET, "-o", tmp_path / "p")
    complained(stapes(*build), "no such folder or file", "--calibration")
    assert not (tmp_path / "p").exists()


def test_windows_and_languages(
    tmp_path: Path, checkpoint: Path, package: Path, manifest: Path
) -> None:
    arguments = ("-o", tmp_path / "p", "--calibration", manifest)
    for option in (("--window", "2s"), ("--language", "en")):
        done = stapes("quantize", checkpoint, *arguments, *option)
        complained(done, "config.json fixes window and language", "leave out")
    for wrong in ("5", "-5s", "5e9s", "five"):
        done = stapes("quantize", checkpoint, *arguments, f"--window={wrong}")
        complained(done, "--window", wrong, "2.5s")
    done = stapes("build", package, *TARGET, "-o", tmp_path / "p", "--window", "2s")
    complained(done, "quantized already", "--window")
    assert_empty(tmp_path)


@pytest.mark.parametrize(
    ("target", "missing"),
    [("mps3-an547", "gcc-arm-none-eabi"), ("host", "gcc")],
)
def test_no_compiler(tmp_path: Path, target: str, missing: str) -> None:
    nothing = {"PATH": "/nonexistent"}
    succeeded(stapes("emit", MICRO_SPEECH, "--target", target, "-o", tmp_path / "p"))
    (tmp_path / "in.bin").write_bytes(bytes(1960))
    run = ("run", tmp_path / "p", "--input", tmp_path / "in.bin")
    complained(stapes(*run, environment=nothing), "apt-get install", missing)
    build = ("build", MICRO_SPEECH, "--target", target, "-o", tmp_path / "b")
    complained(stapes(*build, environment=nothing), "apt-get install", missing)
    assert_empty(tmp_path, "p", "in.bin")


def test_no_qemu(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in map(Path, os.environ["PATH"].split(":")):
        for tool in sorted(folder.glob("*")) if folder.is_dir() else ():
            if not tool.name.startswith("qemu") and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    succeeded(_emit(MICRO_SPEECH, tmp_path / "p"))
    (tmp_path / "in.bin").write_bytes(bytes(1960))
    arguments = ("run", tmp_path / "p", "--input", tmp_path / "in.bin")
    done = stapes(*arguments, environment={"PATH": str(tools)})
    complained(done, "qemu-system-arm", "apt-get install qemu-system-arm")


def test_no_torch(tmp_path: Path, checkpoint: Path, manifest: Path) -> None:
    """A module of that name that cannot be found stands for an install without the extra."""
    program = (
        "import sys; sys.modules['torch'] = None; from codegen.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("quantize", checkpoint, "-o", tmp_path / "p", "--calibration", manifest)
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    complained(done, "torch", "pip install")
    assert_empty(tmp_path)


def test_full_disk(tmp_path: Path, package: Path) -> None:
    """A limit on file sizes fails a write in its middle, as a full disk does."""
    done = stapes("emit", MICRO_SPEECH, *TARGET, "-o", tmp_path / "p", file_bytes=8000)
    complained(done, str(tmp_path / "p"), code=1)
    arguments = ("build", package, *TARGET, "-o", tmp_path / "b")
    complained(stapes(*arguments, file_bytes=20_000), code=1)
    assert_empty(tmp_path)


def test_full_disk_behind_standard_output() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "codegen", "targets"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "stapes: No space left on device\n"


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    complained(_emit(MICRO_SPEECH, Path("/proc/nowhere")), "/proc/nowhere", code=1)


def test_a_reader_that_goes_away_is_no_failure() -> None:
    command = f"{sys.executable} -m codegen targets | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("target")


def test_interrupting_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW, str(MICRO_SPEECH), str(tmp_path / "p")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "stapes: interrupted\n"
    assert_empty(tmp_path)


@pytest.mark.slow
def test_interrupting_quantize_leaves_what_was_there(
    tmp_path: Path, package: Path, checkpoint: Path, manifest: Path
) -> None:
    before = shutil.copytree(package, tmp_path / "p")
    expected = {path.name: path.read_bytes() for path in before.iterdir()}
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_QUANTIZE, str(checkpoint), str(manifest), str(before)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stapes: interrupted"
    assert {path.name: path.read_bytes() for path in before.iterdir()} == expected
    assert_empty(tmp_path, "p")


#: `stapes quantize --force` that stops before its last rename.
_SLOW_QUANTIZE = """
import pathlib, signal, sys, time
from codegen.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
rename = pathlib.Path.rename
def wait(self, target):
    if self.name == "new":
        print("here", flush=True)
        time.sleep(60)
    return rename(self, target)
pathlib.Path.rename = wait
source, manifest, output = sys.argv[1:]
arguments = ["--calibration", manifest, "-o", output, "--force", "--mode", "static16"]
sys.exit(main(["quantize", source, *arguments]))
"""

#: `stapes emit` that stops before its last rename.
_SLOW = """
import os, signal, sys, time
from codegen.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
def wait(*_):
    print("here", flush=True)
    time.sleep(60)
os.rename = wait
sys.exit(main(["emit", sys.argv[1], "--target", "host", "-o", sys.argv[2]]))
"""
