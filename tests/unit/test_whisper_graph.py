# SPDX-License-Identifier: Apache-2.0
"""Whisper's graphs and features beside transformers', on tiny random checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.evaluate.greedy import detokenized
from codegen.frontend.whisper_mel import WhisperMel
from codegen.models import load_float_model, load_model
from codegen.models import whisper as family
from codegen.models._layers import layers, linear
from codegen.models._tokenizer import byte_alphabet
from codegen.models._wide import wide_layers
from codegen.wiring import GREEDY_KEYS
from tests.unit._encoder_decoder import (
    Steps,
    change_json,
    change_tensors,
    decibels,
    save_tiny_whisper,
    torch_engine,
)

torch = pytest.importorskip("torch")

SECOND = 16000
LONGEST = 5 * SECOND


def _pcm(samples: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 3000, samples)
    return values.clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("whisper") / "tiny"
    return folder, save_tiny_whisper(folder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_tiny_whisper(tmp_path / "tiny")
    return tmp_path / "tiny"


def _cut(theirs: Any, positions: int) -> Any:
    """Their encoder for a shorter window: the first positions only."""
    encoder = theirs.model.encoder
    weight = encoder.embed_positions.weight[:positions].detach().clone()
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(weight)
    theirs.config.max_source_positions = encoder.config.max_source_positions = positions
    encoder.max_source_positions = positions
    return theirs


def _mel(pcm: np.ndarray) -> Any:
    front_end = WhisperMel(8)
    return torch.from_numpy(front_end.normalized(front_end.features(pcm)).T[None].copy())


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("samples", [640, 16000, 48000])
def test_features_equal_transformers(bands: int, samples: int) -> None:
    from transformers import WhisperFeatureExtractor

    pcm = _pcm(samples)
    pcm[samples // 2 :] //= 1000
    theirs = WhisperFeatureExtractor(feature_size=bands)
    wave = pcm / np.float32(32768)
    wanted = theirs(wave, sampling_rate=SECOND, return_tensors="np", padding="do_not_pad")
    front_end = WhisperMel(bands)
    ours = front_end.normalized(front_end.features(pcm))
    assert ours.shape == (samples // 160, bands)
    assert np.abs(ours - wanted.input_features[0].T).max() < 1e-3
    logs = front_end.reference(pcm)
    floats = (np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0
    assert np.abs(floats - wanted.input_features[0].T).max() < 2e-4


@pytest.mark.parametrize("samples", [640, SECOND, LONGEST])
def test_the_encoder_equals_transformers(tmp_path: Path, samples: int) -> None:
    theirs = _cut(save_tiny_whisper(tmp_path / "tiny"), samples // 320)
    pcm = _pcm(samples)
    encoded = Steps(load_float_model(tmp_path / "tiny", samples), pcm).encoded
    with torch.no_grad():
        wanted = theirs.model.encoder(_mel(pcm)).last_hidden_state[0]
    assert decibels(wanted, encoded) >= 100


def test_the_decoder_equals_transformers(tiny: tuple[Path, Any]) -> None:
    folder, theirs = tiny
    pcm = _pcm(LONGEST)
    steps = Steps(load_float_model(folder), pcm)
    tokens = np.random.default_rng(1).integers(0, 24, 32)
    logits = [steps.step(int(token)) for token in tokens]
    with torch.no_grad():
        ids = torch.from_numpy(tokens[None])
        wanted = theirs(input_features=_mel(pcm), decoder_input_ids=ids).logits[0]
    assert decibels(wanted, np.stack(logits)) >= 100


@pytest.mark.parametrize("seed", range(4))
def test_the_same_greedy_tokens(tmp_path: Path, seed: int) -> None:
    theirs = save_tiny_whisper(tmp_path / "tiny", seed)
    pcm = _pcm(LONGEST, seed)
    model = load_float_model(tmp_path / "tiny")
    assert model.decoding["start"] == [16, 17]
    most = model.decoding["most_tokens"] - 2
    wanted = theirs.generate(_mel(pcm), max_new_tokens=most)[0].tolist()
    assert list(Steps(model, pcm).greedy()) == [token for token in wanted if token != 15]


def test_wide_layers_compute_the_same() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Any:
        return torch.randn(shape, generator=generator)

    up, down = linear(drawn(32, 16), drawn(32)), linear(drawn(16, 32), drawn(16))
    norm = drawn(16), drawn(16)
    for loudness in (0.01, 1.0, 50.0):
        x = drawn(200, 16) * loudness
        for name, parts in (("FeedForward", (up, down)), ("Norm", norm)):
            plain, wide = layers()[name](*parts), wide_layers()[f"Wide{name}"](*parts)
            assert decibels(plain(x).detach(), wide(x).detach()) >= 110


def test_few_heads_at_a_time_change_nothing(tiny: tuple[Path, Any]) -> None:
    pcm = _pcm(SECOND)
    both = Steps(family.load_source(tiny[0], SECOND), pcm).encoded
    one = Steps(family.load_source(tiny[0], SECOND, heads_at_once=1), pcm).encoded
    assert decibels(both, one) >= 110


def test_wires_and_neighbours_exist(tiny: tuple[Path, Any]) -> None:
    model = load_float_model(tiny[0])
    given = {"mel", "mask", *model.tables, *(state.name for state in model.state)}
    for graph in model.graphs:
        assert set(graph.inputs) <= given
        outputs = torch_engine(graph, [value.numpy() for value in graph.sample_inputs])
        assert len(outputs) == len(graph.outputs)
        given |= set(graph.outputs)
    assert {state.rows_from for state in model.state} <= given
    modules = {graph.name: dict(graph.module.named_modules()) for graph in model.graphs}
    for norm, linears in model.adjacency.items():
        for path in (norm, *linears):
            graph_name, _, place = path.partition("/")
            assert modules[graph_name][place.replace("/", ".")].weight.shape[-1] == 16


def test_words_are_bytes_and_timestamps_have_none(tiny: tuple[Path, Any]) -> None:
    words = load_float_model(tiny[0]).vocabulary
    assert words[13:] == ("n", " b", *[""] * 9)


def test_letters_fall_apart_between_byte_level_tokens(checkpoint: Path) -> None:
    """The two bytes of a letter outside ASCII, each a token of its own."""
    alphabet = {byte: letter for letter, byte in byte_alphabet().items()}
    first, second = (alphabet[byte] for byte in "ß".encode())
    path = checkpoint / "tokenizer.json"
    written = path.read_text(encoding="utf-8")
    written = written.replace('"c"', f'"{first}"').replace('"d"', f'"{second}"')
    path.write_text(written, encoding="utf-8")
    words = load_float_model(checkpoint).vocabulary
    assert detokenized([14, 2, 3, 4], words) == "bße"
    assert detokenized([14, 2, 4], words) == "b\ufffde"


def _multilingual(folder: Path) -> None:
    change_json(
        folder / "generation_config.json",
        is_multilingual=True,
        lang_to_id={"<|en|>": 10, "<|de|>": 11},
        task_to_id={"transcribe": 12, "translate": 13},
    )


def test_the_language_is_part_of_the_start(checkpoint: Path) -> None:
    _multilingual(checkpoint)
    assert load_float_model(checkpoint, language="de").decoding["start"] == [16, 11, 12, 17]


@pytest.mark.parametrize("language", [None, "xx"])
def test_a_multilingual_model_wants_a_language(checkpoint: Path, language: str | None) -> None:
    _multilingual(checkpoint)
    with pytest.raises(UserError, match="needs a language: choose one of en, de"):
        load_float_model(checkpoint, language=language)


def test_an_english_model_has_no_other_language(tiny: tuple[Path, Any]) -> None:
    with pytest.raises(UserError, match="only 'en'"):
        load_float_model(tiny[0], language="de")


def test_a_model_to_quantize_takes_a_window_and_a_language(checkpoint: Path) -> None:
    _multilingual(checkpoint)
    model = load_model(checkpoint, SECOND, "de")
    assert model.window_samples == SECOND
    assert model.decoding["start"] == [16, 11, 12, 17]
    assert set(GREEDY_KEYS) - set(model.decoding) == {"masked", "attended"}
    assert model.decoding["most_tokens"] == 13


@pytest.mark.parametrize("window", [LONGEST + 1, 30 * SECOND, 320, -320])
def test_a_wrong_window(tiny: tuple[Path, Any], window: int) -> None:
    with pytest.raises(UserError, match=r"takes 0.04 to 5 s \(640 to 80000 samples\)"):
        load_float_model(tiny[0], window)


def test_a_window_is_rounded_up_to_whole_frames(tiny: tuple[Path, Any]) -> None:
    assert load_float_model(tiny[0], 1000).window_samples == 1280


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "moonshine"}, "hidden_size is None"),
        ({"d_model": 32}, "has shape"),
        ({"d_model": 17}, "does not divide into 2 heads"),
        ({"num_mel_bins": 80}, "conv1.weight' has shape"),
        ({"encoder_layers": 1}, "has 15 tensors that the model"),
        ({"decoder_layers": 3}, "lacks the tensor 'model.decoder.layers.2"),
        ({"decoder_attention_heads": 4}, "decoder_attention_heads is 4; supported is 2"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"scale_embedding": True}, "scale_embedding is True"),
        ({"max_source_positions": 1500}, "embed_positions.weight' has shape"),
    ],
)
def test_a_wrong_config(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    change_json(checkpoint / "config.json", **values)
    with pytest.raises(UserError, match=message):
        load_float_model(checkpoint)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"suppress_tokens": [24]}, "suppress_tokens is .* below 24"),
        ({"begin_suppress_tokens": "all"}, "begin_suppress_tokens is 'all'"),
        ({"no_timestamps_token_id": "DROP"}, "no_timestamps_token_id is None"),
    ],
)
def test_a_wrong_decoding_rule(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    change_json(checkpoint / "generation_config.json", **values)
    with pytest.raises(UserError, match=message):
        load_float_model(checkpoint)


def test_an_extra_tensor(checkpoint: Path) -> None:
    change_tensors(checkpoint / "model.safetensors", lambda t: t.update(x=np.zeros(3, np.float32)))
    with pytest.raises(UserError, match=r"has 1 tensors .* such as 'x'"):
        load_float_model(checkpoint)
