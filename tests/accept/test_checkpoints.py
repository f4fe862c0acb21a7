# SPDX-License-Identifier: Apache-2.0
"""Published Moonshine and Whisper checkpoints: our graphs beside transformers' models."""

from __future__ import annotations

import json
import subprocess
import wave
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.agreement import agreement
from benchmarks.checkpoints import checkpoint
from benchmarks.speech import CALIBRATION, calibration, normalised, write_set
from benchmarks.subjects import package_case
from codegen import pipeline
from codegen.emit.project import emit
from codegen.measure import recognizer
from codegen.models import ModelGraph, SpeechModel, load_float_model
from codegen.package import load_package
from codegen.target import load_target
from codegen.tflite.convert import convert
from codegen.tflite.read import read
from codegen.toolchain.project import build, run
from tests.e2e._stapes import stapes, succeeded
from tests.unit._encoder_decoder import Steps, decibels, text

torch = pytest.importorskip("torch")

SECOND = 16000
SENTENCES = (
    "The kettle boiled over while nobody was watching.",
    "Forty ships left the harbor before sunrise.",
    "Please put the blue notebook back on the shelf.",
    "She plays the violin on Thursday evenings.",
)
VOICES = ("slt", "rms", "awb")
MOONSHINE, WHISPER = "moonshine-tiny", "whisper-tiny.en"
MULTILINGUAL = "whisper-base"
#: What a command may take on a machine that has other work.
LONG_S = 1200


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Every sentence by every voice, int16 at 16 kHz."""
    folder = tmp_path_factory.mktemp("speech")
    found = []
    for voice in VOICES:
        for number, sentence in enumerate(SENTENCES):
            path = folder / f"{voice}{number}.wav"
            command = ["flite", "-voice", voice, "-t", sentence, "-o", str(path)]
            subprocess.run(command, check=True)
            with wave.open(str(path)) as file:
                assert (file.getframerate(), file.getnchannels()) == (SECOND, 1)
                found.append(np.frombuffer(file.readframes(5 * SECOND), "<i2"))
    return found


def test_no_sentence_of_these_calibrates() -> None:
    assert not {normalised(s) for s in SENTENCES} & {normalised(s) for s in CALIBRATION}


@pytest.fixture(scope="module")
def moonshine() -> Any:
    from transformers import MoonshineForConditionalGeneration

    torch.set_num_threads(1)
    return MoonshineForConditionalGeneration.from_pretrained(checkpoint(MOONSHINE)).eval()


def _whisper(seconds: int, name: str = WHISPER) -> Any:
    """transformers' model of a window, with the first of its encoder's positions."""
    from transformers import WhisperForConditionalGeneration

    torch.set_num_threads(1)
    model = WhisperForConditionalGeneration.from_pretrained(checkpoint(name)).eval()
    encoder, positions = model.model.encoder, seconds * 50
    weight = encoder.embed_positions.weight[:positions].detach().clone()
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(weight)
    model.config.max_source_positions = encoder.config.max_source_positions = positions
    encoder.max_source_positions = positions
    return model


def _window(pcm: np.ndarray, samples: int) -> np.ndarray:
    window = np.zeros(samples, np.float32)
    window[: len(pcm)] = pcm / np.float32(32768)
    return window


def _moonshine_input(pcm: np.ndarray, model: SpeechModel) -> Any:
    return torch.from_numpy(_window(pcm, model.window_samples)[None])


def _whisper_input(pcm: np.ndarray, model: SpeechModel) -> Any:
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor.from_pretrained(checkpoint(WHISPER))
    heard = _window(pcm, model.window_samples)
    settings = {"sampling_rate": SECOND, "return_tensors": "pt", "padding": "do_not_pad"}
    return extractor(heard, **settings).input_features


def _whisper_rows(pcm: np.ndarray, model: SpeechModel) -> Any:
    """The integer front end's features: the graphs' own deviation is what is looked at."""
    spec = model.front_end
    return torch.from_numpy(spec.normalized(spec.rows(pcm, model.window_samples)).T[None].copy())


def _check_graphs(
    model: SpeechModel, theirs: Any, pcm: np.ndarray, given: Callable[..., Any]
) -> None:
    steps = Steps(model, pcm)
    values = given(pcm, model)
    tokens = [*model.decoding["start"], *theirs.generate(values, max_new_tokens=32)[0].tolist()]
    tokens = (tokens * 32)[:32]
    with torch.no_grad():
        encoded = theirs.model.encoder(values)
        logits = theirs(encoder_outputs=encoded, decoder_input_ids=torch.tensor([tokens])).logits
    ours = np.stack([steps.step(token) for token in tokens])
    quality = decibels(encoded.last_hidden_state[0], steps.encoded), decibels(logits[0], ours)
    print(f"{model.name}, {model.window_samples} samples: encoder, decoder {quality} dB")
    assert min(quality) >= 100


def test_moonshine_equals_transformers(moonshine: Any, recordings: list[np.ndarray]) -> None:
    model = load_float_model(checkpoint(MOONSHINE))
    for pcm in recordings[::5]:
        _check_graphs(model, moonshine, pcm, _moonshine_input)


@pytest.mark.parametrize("seconds", [5, 10, 30])
def test_whisper_equals_transformers(seconds: int, recordings: list[np.ndarray]) -> None:
    model = load_float_model(checkpoint(WHISPER), seconds * SECOND)
    _check_graphs(model, _whisper(seconds), recordings[0], _whisper_rows)


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_multilingual_whisper(language: str, recordings: list[np.ndarray]) -> None:
    model = load_float_model(checkpoint(MULTILINGUAL), language=language)
    theirs = _whisper(30, MULTILINGUAL)
    values = _whisper_input(recordings[0], model)
    wanted = theirs.generate(values, language=language, task="transcribe", max_new_tokens=60)
    tokens = list(Steps(model, recordings[0]).greedy())
    assert text(model, tokens) == _their_text(MULTILINGUAL, wanted[0].tolist()) != ""


def _their_text(name: str, tokens: Sequence[int]) -> str:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint(name) / "tokenizer.json"))
    return str(tokenizer.decode(tokens)).strip()


def test_moonshine_writes_the_same(moonshine: Any, recordings: list[np.ndarray]) -> None:
    model = load_float_model(checkpoint(MOONSHINE))
    most = model.decoding["most_tokens"] - 1
    for pcm in recordings:
        theirs = moonshine.generate(_moonshine_input(pcm, model), max_new_tokens=most)
        wanted = _their_text(MOONSHINE, theirs[0].tolist())
        assert text(model, list(Steps(model, pcm).greedy())) == wanted != ""


@pytest.mark.parametrize(("seconds", "every"), [(10, 3), (30, 5)])
def test_whisper_writes_the_same(seconds: int, every: int, recordings: list[np.ndarray]) -> None:
    model, whisper = load_float_model(checkpoint(WHISPER), seconds * SECOND), _whisper(seconds)
    most = model.decoding["most_tokens"] - len(model.decoding["start"])
    for pcm in recordings[::every]:
        theirs = whisper.generate(_whisper_input(pcm, model), max_new_tokens=most)
        wanted = _their_text(WHISPER, theirs[0].tolist())
        assert text(model, list(Steps(model, pcm).greedy())) == wanted != ""


@pytest.mark.parametrize("name", [MOONSHINE, WHISPER])
def test_every_token_is_written_as_by_tokenizers(name: str) -> None:
    from tokenizers import Tokenizer

    model = load_float_model(checkpoint(name), 5 * SECOND)
    tokenizer = Tokenizer.from_file(str(checkpoint(name) / "tokenizer.json"))
    # between letters, since the space in front of a text is dropped
    letter = max(n for n, word in enumerate(model.vocabulary) if word == "x")
    different = [
        number
        for number in range(tokenizer.get_vocab_size())
        if text(model, [letter, number, letter]) != tokenizer.decode([letter, number, letter])
    ]
    assert different == []


@pytest.mark.parametrize("name", [MOONSHINE, WHISPER])
def test_the_export_computes_the_same(name: str, recordings: list[np.ndarray]) -> None:
    from codegen.evaluate.interpreter import Interpreter

    model = load_float_model(checkpoint(name), 5 * SECOND)
    running: dict[str, Interpreter] = {}
    for graph in model.graphs:
        data = convert(graph.module, graph.sample_inputs, graph.name)
        (network,) = read(data)
        kinds = Counter(operator.kind for operator in network.operators)
        print(name, graph.name, len(network.operators), len(data), sorted(kinds.items()))
        assert not {"CUSTOM", "STABLEHLO_COMPOSITE", "SQUARED_DIFFERENCE"} & set(kinds)
        running[graph.name] = Interpreter(data)

    def engine(graph: ModelGraph, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return running[graph.name].run([np.asarray(value, np.float32) for value in inputs])

    pcm = recordings[0]
    ours, exported = Steps(model, pcm), Steps(model, pcm, engine)
    assert decibels(ours.encoded, exported.encoded) >= 90
    for token in [*model.decoding["start"], 383, 35, 354]:
        assert decibels(ours.step(token), exported.step(token)) >= 90


def test_whisper_in_integers_on_the_m55_board(recordings: list[np.ndarray], tmp_path: Path) -> None:
    package, heard = tmp_path / "package", calibration(tmp_path / "calibration")
    options = ("--mode", "static16", "--window", "10s", "--calibration", str(heard))
    succeeded(stapes("quantize", checkpoint(WHISPER), "-o", package, *options, timeout_s=LONG_S))
    loaded = load_package(package)
    target = load_target("mps3-an547-ddr")
    compiled = pipeline.compile_model(pipeline.packaged_model(loaded), target)
    emit(pipeline.emit_inputs(compiled), tmp_path / "c")
    pcm = recordings[0]
    (record,) = run(tmp_path / "c", [pcm.tobytes()], firmware=build(tmp_path / "c"))
    assert (record.text, record.outputs) == recognizer(loaded, "reference").traced()(pcm)
    assert record.text == recognizer(loaded, "reference", floats=True)()(pcm) != ""


def test_moonshine_in_integers_hears_what_the_floats_hear(
    recordings: list[np.ndarray], tmp_path: Path
) -> None:
    package, heard = str(tmp_path / "package"), calibration(tmp_path / "calibration")
    options = ("--mode", "static16", "--calibration", str(heard))
    done = stapes("quantize", str(checkpoint(MOONSHINE)), "-o", package, *options, timeout_s=LONG_S)
    assert done.returncode == 0, done.stderr
    texts = [sentence for _ in VOICES for sentence in SENTENCES]
    manifest = write_set(tmp_path / "said", zip(texts, recordings, strict=True))
    done = stapes("wer", package, "--data", str(manifest), "--json", timeout_s=LONG_S)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(report["baseline"]["wer"], report["score"]["wer"], report["difference"])
    assert report["baseline"]["wer"] <= 25
    # of 93 words; the bound is for a corpus, this is a check that nothing broke
    assert abs(report["difference"]["points"]) <= 6
    case = package_case(load_package(tmp_path / "package"), recordings[:3])
    assert all(case.texts)
    for target in ("host", "mps3-an547"):
        assert agreement(case, target, "bin").complete
