# SPDX-License-Identifier: Apache-2.0
"""Runs the graphs of an encoder-decoder model as the runtime would, and makes tiny checkpoints."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.models import ModelGraph, SpeechModel

#: Takes a graph and its inputs, gives its outputs.
Engine = Callable[[ModelGraph, Sequence[np.ndarray]], Sequence[np.ndarray]]


def decibels(reference: Any, value: Any) -> float:
    """Signal to noise of `value`, ten times the logarithm of a ratio of powers."""
    reference, value = np.float64(reference), np.float64(value)
    assert reference.shape == value.shape
    noise = ((reference - value) ** 2).sum()
    return float(10 * np.log10((reference**2).sum() / max(noise, 1e-30)))


def torch_engine(graph: ModelGraph, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    import torch

    with torch.no_grad():
        outputs = graph.module(*(torch.from_numpy(np.array(value)) for value in inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [value.numpy() for value in outputs]


class Steps:
    """The decoder over one recording; each step gives the logits behind a token."""

    def __init__(self, model: SpeechModel, pcm: np.ndarray, engine: Engine = torch_engine):
        self.model, self.engine = model, engine
        encoder, cross, self.decoder = model.graphs
        window = np.zeros(model.window_samples, np.int16)
        window[: len(pcm)] = pcm
        rows = model.front_end.normalized(model.front_end.features(window))
        (self.encoded,) = engine(encoder, [rows.reshape(encoder.sample_inputs[0].shape)])
        crossed = engine(cross, [self.encoded])
        self.wires = dict(zip(cross.outputs, crossed, strict=True))
        self.state = {s.name: np.zeros(s.shape, np.float32) for s in model.state}
        self.position = 0

    def step(self, token: int) -> np.ndarray:
        places = self.model.state[0].shape[1]
        mask = np.full((1, 1, places + 1), self.model.decoding["float_masked"], np.float32)
        mask[..., : self.position] = 0
        mask[..., places] = 0
        rows = {
            name: table[[token if name == "embedding" else self.position]]
            for name, table in self.model.tables.items()
        }
        wires = {**rows, "mask": mask, **self.state, **self.wires}
        outputs = self.engine(self.decoder, [wires[name] for name in self.decoder.inputs])
        named = dict(zip(self.decoder.outputs, outputs, strict=True))
        for state in self.model.state:
            assert state.axis == 1
            self.state[state.name][:, self.position] = named[state.rows_from][:, 0]
        self.position += 1
        return np.asarray(named["logits"][0])

    def greedy(self) -> Iterator[int]:
        """The tokens of the transcript, without the start and the end."""
        rule = self.model.decoding
        for token in rule["start"]:
            logits = self.step(token)
        forbidden = [*rule["suppress"], *rule["begin_suppress"]]
        while self.position < rule["most_tokens"]:
            logits[forbidden] = -np.inf
            token = int(logits.argmax())
            if token == rule["end"]:
                return
            yield token
            logits, forbidden = self.step(token), rule["suppress"]


def text(model: SpeechModel, tokens: Sequence[int]) -> str:
    """The transcript of tokens."""
    pieces = (model.vocabulary[token].encode("latin-1") for token in tokens)
    return b"".join(pieces).decode("utf-8", "replace").strip()


def randomized(model: Any, seed: int = 0) -> Any:
    """Every parameter of a transformers model drawn anew, norms about 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim == 1:
                value.copy_(noise * 0.1 + ("norm" in name and name.endswith("weight")))
            else:
                value.copy_(noise * 0.5 / np.sqrt(value[0].numel()))
    return model.eval()


def noise(seed: int, samples: int) -> np.ndarray:
    """PCM (samples,) int16."""
    return np.random.default_rng(seed).normal(0, 3000, samples).astype(np.int16)


def save_recordings(folder: Path, count: int) -> None:
    """Noise of 1, 2 ... `count` seconds in `folder`, and m.jsonl, their manifest."""
    lines = []
    for seed in range(count):
        with wave.open(str(folder / f"{seed}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(noise(seed, 16000 * (seed + 1)).tobytes())
        lines.append(json.dumps({"audio": f"{seed}.wav", "text": "Mr. Smith isn't here."}))
    (folder / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")


@contextmanager
def exported_once() -> Iterator[None]:
    """Graphs of one name and shape are exported the first time only: all of one checkpoint."""
    from codegen.tflite.convert import convert

    known: dict[Any, bytes] = {}

    def remembered(module: Any, samples: Any, name: str) -> bytes:
        key = name, *(sample.shape for sample in samples)
        if key not in known:
            known[key] = convert(module, samples, name)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codegen.tflite.convert.convert", remembered)
        yield


def save_tiny_moonshine(folder: Path, seed: int = 0, **changes: Any) -> Any:
    """A Moonshine of 16 channels in `folder`; gives transformers' model."""
    from transformers import (
        GenerationConfig,
        MoonshineConfig,
        MoonshineForConditionalGeneration,
    )

    settings: dict[str, Any] = {
        "vocab_size": 24,
        "hidden_size": 16,
        "intermediate_size": 32,
        "encoder_num_hidden_layers": 2,
        "decoder_num_hidden_layers": 2,
        "encoder_num_attention_heads": 2,
        "decoder_num_attention_heads": 2,
        "max_position_embeddings": 64,
        "pad_head_dim_to_multiple_of": 8,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.8,
        },
    }
    model = randomized(
        MoonshineForConditionalGeneration(MoonshineConfig(**settings | changes)), seed
    )
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2
    )
    model.save_pretrained(folder)
    words = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(0xC0, 0xC4)), "\u2581a"]
    words += [f"w{n}" for n in range(len(words), settings["vocab_size"])]
    decoders = [{"type": "Replace"}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    save_tokenizer(folder, words, {"type": "Sequence", "decoders": decoders}, special=(0, 1, 2))
    return model


def save_tiny_whisper(folder: Path, seed: int = 0, **changes: Any) -> Any:
    """A Whisper of 16 channels in `folder`; gives transformers' model."""
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    tokens = {"decoder_start_token_id": 16, "eos_token_id": 15, "pad_token_id": 15}
    settings: dict[str, Any] = {
        "vocab_size": 24,
        "d_model": 16,
        "num_mel_bins": 8,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_source_positions": 250,
        "max_target_positions": 64,
        **tokens,
    }
    model = randomized(WhisperForConditionalGeneration(WhisperConfig(**settings | changes)), seed)
    model.generation_config = GenerationConfig(
        **tokens,
        is_multilingual=False,
        suppress_tokens=[3, 1, 16],
        begin_suppress_tokens=[5, 15],
        no_timestamps_token_id=17,
        prev_sot_token_id=18,
        return_timestamps=False,
        max_length=64,
    )
    model.save_pretrained(folder)
    words = [chr(97 + n) for n in range(14)] + ["\u0120b", "<end>", "<start>", "<notimestamps>"]
    save_tokenizer(folder, words, {"type": "ByteLevel"}, special=(15, 16, 17))
    return model


def save_tokenizer(
    folder: Path, words: Sequence[str], decoder: Mapping[str, Any], special: Sequence[int]
) -> None:
    vocabulary = {word: number for number, word in enumerate(words) if number not in special}
    added = [{"id": n, "content": words[n], "special": True} for n in special]
    value = {
        "added_tokens": added,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        "decoder": decoder,
    }
    (folder / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")


def change_json(path: Path, **values: Any) -> None:
    """Set keys of a JSON table; "DROP" takes one out."""
    table = json.loads(path.read_text(encoding="utf-8"))
    table.update(values)
    kept = {key: value for key, value in table.items() if value != "DROP"}
    path.write_text(json.dumps(kept), encoding="utf-8")


def change_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    """Rewrite a model.safetensors as `change` leaves it."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
