# SPDX-License-Identifier: Apache-2.0
"""Writes the folders that transformers loads: settings, weights, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _ctranslate2, _ort

#: The vocabulary of Whisper's models that know more than English, at least.
MULTILINGUAL = 51865


def _save(folder: Path, model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Fill `model` with `weights` and write both; raises RuntimeError unless they agree."""
    import torch

    given = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    with torch.no_grad():
        result = model.load_state_dict(given, strict=False)
    tied = {"proj_out.weight", "model.decoder.embed_tokens.weight"}
    lacking = set(result.missing_keys)
    if result.unexpected_keys or not lacking < tied:
        raise RuntimeError(f"{folder.name}: lacks {lacking}, has {result.unexpected_keys} besides")
    model.save_pretrained(folder)


def moonshine(files: Mapping[str, bytes], folder: Path) -> None:
    """Write Moonshine tiny, the wheels' files by name, to `folder`."""
    from transformers import (
        GenerationConfig,
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        Wav2Vec2FeatureExtractor,
    )

    config = MoonshineConfig(
        max_position_embeddings=194,
        pad_head_dim_to_multiple_of=8,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.9,
        },
    )
    model = MoonshineForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2, max_length=194
    )
    weights = _ort.moonshine_weights(files["encoder_model.ort"], files["decoder_model_merged.ort"])
    _save(folder, model, weights)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(files["tokenizer.json"])


def _languages(numbers: Sequence[int], end: int) -> dict[str, Any]:
    """What generation_config.json says of languages, in the order of their tokens."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    if not numbers:
        return {}
    names = [f"<|{name}|>" for name in LANGUAGES]
    return {
        "lang_to_id": dict(zip(names, numbers, strict=False)),
        "task_to_id": {"transcribe": end + 102, "translate": end + 101},
    }


def whisper(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a Whisper, model.bin whole or in two parts, to `folder`."""
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    weights = _ctranslate2.whisper_weights(
        b"".join(files[name] for name in sorted(files) if name.startswith("model.bin"))
    )
    given = json.loads(files["config.json"])
    vocabulary, width = weights["model.decoder.embed_tokens.weight"].shape
    layers = {
        f"{side}_layers": sum(
            name.startswith(f"model.{side}.layers.") and name.endswith(".fc1.bias")
            for name in weights
        )
        for side in ("encoder", "decoder")
    }
    languages = given["lang_ids"] if vocabulary >= MULTILINGUAL else []
    end = 50257 if languages else 50256
    tokens = {
        "decoder_start_token_id": end + 1,
        "eos_token_id": end,
        "pad_token_id": end,
        "bos_token_id": end,
    }
    config = WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        num_mel_bins=weights["model.encoder.conv1.weight"].shape[1],
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=len(weights["model.encoder.embed_positions.weight"]),
        max_target_positions=len(weights["model.decoder.embed_positions.weight"]),
        **layers,
        **tokens,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **tokens,
        max_length=448,
        is_multilingual=bool(languages),
        **_languages(languages, end),
        suppress_tokens=given["suppress_ids"],
        begin_suppress_tokens=given["suppress_ids_begin"],
        no_timestamps_token_id=end + 106,
        prev_sot_token_id=end + 104,
        return_timestamps=False,
    )
    _save(folder, model, weights)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(files["tokenizer.json"])
    special = "<|endoftext|>"
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    settings = {"tokenizer_class": "WhisperTokenizer", "model_max_length": 448}
    text = json.dumps(settings | dict.fromkeys(names, special), indent=1)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
