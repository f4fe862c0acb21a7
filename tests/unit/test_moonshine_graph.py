# SPDX-License-Identifier: Apache-2.0
"""Moonshine's graphs beside transformers' model, on tiny random checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.models import load_float_model, load_model
from codegen.models import moonshine as family
from codegen.models._rotary import order
from tests.unit._encoder_decoder import (
    Steps,
    change_json,
    change_tensors,
    decibels,
    save_tiny_moonshine,
    torch_engine,
)

torch = pytest.importorskip("torch")

SECOND = 16000
EMBEDDING = "model.decoder.embed_tokens.weight"


def _pcm(samples: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 3000, samples)
    return values.clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("moonshine") / "tiny"
    return folder, save_tiny_moonshine(folder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_tiny_moonshine(tmp_path / "tiny")
    return tmp_path / "tiny"


def _their_encoded(model: Any, pcm: np.ndarray) -> Any:
    with torch.no_grad():
        return model.model.encoder(torch.from_numpy(pcm[None] / np.float32(32768)))


@pytest.mark.parametrize("samples", [2048, 2112, 2176, 16000, 5 * SECOND])
def test_the_encoder_equals_transformers(tiny: tuple[Path, Any], samples: int) -> None:
    folder, theirs = tiny
    pcm = _pcm(samples)
    model = load_float_model(folder, samples)
    encoded = Steps(model, pcm).encoded
    assert encoded.shape == (family.frames(samples), 16)
    assert decibels(_their_encoded(theirs, pcm).last_hidden_state[0], encoded) >= 100


@pytest.mark.parametrize("factor", [0.8, 1.0, 0.5])
def test_the_decoder_equals_transformers(tmp_path: Path, factor: float) -> None:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": factor}
    theirs = save_tiny_moonshine(tmp_path / "tiny", rope_parameters=rope)
    pcm = _pcm(5 * SECOND)
    steps = Steps(load_float_model(tmp_path / "tiny"), pcm)
    tokens = np.random.default_rng(1).integers(0, 24, 32)
    logits = [steps.step(int(token)) for token in tokens]
    with torch.no_grad():
        wanted = theirs(
            encoder_outputs=_their_encoded(theirs, pcm),
            decoder_input_ids=torch.from_numpy(tokens[None]),
        ).logits[0]
    assert decibels(wanted, np.stack(logits)) >= 100


@pytest.mark.parametrize("seed", range(4))
def test_the_same_greedy_tokens(tmp_path: Path, seed: int) -> None:
    theirs = save_tiny_moonshine(tmp_path / "tiny", seed)
    pcm = _pcm(3 * SECOND, seed)
    model = load_float_model(tmp_path / "tiny", 3 * SECOND)
    most = model.decoding["most_tokens"] - 1
    wave = torch.from_numpy(pcm[None] / np.float32(32768))
    wanted = theirs.generate(input_values=wave, max_new_tokens=most)[0].tolist()
    assert list(Steps(model, pcm).greedy()) == [t for t in wanted[1:] if t != 2]


def test_few_heads_at_a_time_change_nothing(tiny: tuple[Path, Any]) -> None:
    pcm = _pcm(SECOND)
    both = Steps(family.load_source(tiny[0], SECOND), pcm).encoded
    one = Steps(family.load_source(tiny[0], SECOND, heads_at_once=1), pcm).encoded
    assert decibels(both, one) >= 110


def test_old_configurations_keep_rotary_settings_outside(checkpoint: Path) -> None:
    pcm = _pcm(SECOND)
    before = Steps(load_float_model(checkpoint, SECOND), pcm).encoded
    change_json(
        checkpoint / "config.json",
        rope_parameters="DROP",
        rope_theta=10000.0,
        partial_rotary_factor=0.8,
    )
    assert (Steps(load_float_model(checkpoint, SECOND), pcm).encoded == before).all()


def test_wires_and_neighbours_exist(tiny: tuple[Path, Any]) -> None:
    model = load_float_model(tiny[0])
    given = {"pcm", "mask", *model.tables, *(state.name for state in model.state)}
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


def test_rotary_halves() -> None:
    assert order(6, 3) == [0, 2, 4, 1, 3, 5]
    assert order(36, 16)[15:20] == [30, 32, 33, 1, 3]
    assert sorted(order(36, 16)) == list(range(36))


def test_words_are_bytes(tiny: tuple[Path, Any]) -> None:
    words = load_float_model(tiny[0]).vocabulary
    assert words[:4] == ("", "", "", "\xc0")
    assert words[7] == " a"


def test_the_window_is_5_s_unless_given(tiny: tuple[Path, Any]) -> None:
    assert load_model(tiny[0]).window_samples == 80000


@pytest.mark.parametrize("window", [64 * SECOND, 152577, 1984, 0, -64])
def test_a_wrong_window(tiny: tuple[Path, Any], window: int) -> None:
    with pytest.raises(UserError, match=r"takes 0.128 to 9.536 s \(2048 to 152576 samples\)"):
        load_float_model(tiny[0], window)


def test_a_window_is_rounded_up_to_whole_rows(tiny: tuple[Path, Any]) -> None:
    assert load_model(tiny[0], 80001).window_samples == 80064
    assert load_model(tiny[0], 152576).window_samples == 152576
    assert load_model(tiny[0], 1985).window_samples == 2048


def test_another_language(tiny: tuple[Path, Any]) -> None:
    with pytest.raises(UserError, match="Moonshine has 'en'"):
        load_float_model(tiny[0], language="de")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "wav2vec2"}, "model_type is 'wav2vec2'; supported are ctc"),
        ({"model_type": "ctc"}, "model_type is 'ctc'"),
        ({"model_type": ["moonshine"]}, "model_type is"),
        ({"model_type": "whisper"}, "d_model is None"),
        ({"hidden_size": 18}, "gives no even width"),
        ({"hidden_size": 32}, "has shape"),
        ({"hidden_size": "DROP"}, "hidden_size is None; whole numbers"),
        ({"vocab_size": True}, "whole numbers"),
        ({"decoder_num_hidden_layers": 3}, "lacks the tensor 'model.decoder.layers.2"),
        ({"decoder_num_hidden_layers": 1}, "has 15 tensors that the model"),
        ({"decoder_num_key_value_heads": 1}, "decoder_num_key_value_heads is 1; supported is 2"),
        ({"encoder_hidden_act": "relu"}, "encoder_hidden_act is 'relu'; supported is 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type is 'yarn'"),
        ({"rope_parameters": {"rope_theta": -1}}, "rope_theta is -1"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
    ],
)
def test_a_wrong_config(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    change_json(checkpoint / "config.json", **values)
    with pytest.raises(UserError, match=message):
        load_float_model(checkpoint)


@pytest.mark.parametrize("name", ["generation_config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file(checkpoint: Path, name: str) -> None:
    (checkpoint / name).rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match=f"has no {name}.*other formats are not read"):
        load_float_model(checkpoint)


@pytest.mark.parametrize("value", [-1, 24, None, "2", [2]])
def test_a_wrong_end(checkpoint: Path, value: Any) -> None:
    change_json(checkpoint / "generation_config.json", eos_token_id=value)
    with pytest.raises(UserError, match=r"eos_token_id is .* whole numbers 0 to 23"):
        load_float_model(checkpoint)


def _poison(tensors: dict[str, np.ndarray]) -> None:
    tensors["model.encoder.conv1.weight"][0, 0, 5] = np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("model.encoder.conv2.bias"),
            "lacks the tensor 'model.encoder.conv2.bias'",
        ),
        (lambda t: t.update(x=np.zeros(3, np.float32)), "has 1 tensors .* such as 'x'"),
        (
            lambda t: t.update({EMBEDDING: t[EMBEDDING][:-1]}),
            r"\(23, 16\); by config.json .*24, 16",
        ),
        (lambda t: t.update({"proj_out.weight": t[EMBEDDING] + 1}), "only a head that is tied"),
        (_poison, "'model.encoder.conv1.weight' holds values that are not finite"),
    ],
)
def test_wrong_tensors(checkpoint: Path, change: Any, message: str) -> None:
    change_tensors(checkpoint / "model.safetensors", change)
    with pytest.raises(UserError, match=message):
        load_float_model(checkpoint)


def test_a_head_that_repeats_the_embedding(checkpoint: Path) -> None:
    change_tensors(
        checkpoint / "model.safetensors",
        lambda t: t.update({"proj_out.weight": t[EMBEDDING].copy()}),
    )
    assert load_float_model(checkpoint).tables["embedding"].shape == (24, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"type": "BPE", "vocab": {"a": 24}}}, "has token 24; the model's .* has 24"),
        ({"model": {"type": "BPE", "vocab": {"a": 5}}}, "lacks 20 tokens of the model's 24"),
        ({"model": {"type": "BPE", "vocab": {"a": -5}}}, "BPE"),
        ({"model": {"type": "Unigram", "vocab": {}}}, "model.type is 'Unigram'"),
        ({"model": {"type": "BPE", "vocab": {"a": 2}}}, "two tokens have the number 2"),
        ({"model": []}, "not a tokenizer.json"),
        ({"decoder": None}, "its decoder is"),
        ({"decoder": {"decoders": 5}}, "its decoder is"),
        ({"added_tokens": [{"id": 23, "content": "\ud800", "special": False}]}, "two tokens"),
        ({"decoder": {"type": "WordPiece"}}, "its decoder is .*WordPiece"),
        ({"decoder": {"type": "ByteLevel"}}, "which stands for no bytes"),
    ],
)
def test_a_wrong_tokenizer(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    change_json(checkpoint / "tokenizer.json", **values)
    with pytest.raises(UserError, match=message):
        load_float_model(checkpoint)


def test_a_token_that_is_no_unicode(checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    path.write_text(path.read_text().replace('"w9"', '"\\ud800"'))
    with pytest.raises(UserError, match=r"token 9 is .* stands for no bytes"):
        load_float_model(checkpoint)
