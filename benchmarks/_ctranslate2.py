# SPDX-License-Identifier: Apache-2.0
"""Whisper's weights out of CTranslate2's model.bin, fp16 or fp32.

Source of the layout: ctranslate2/specs/model_spec.py, ModelSpec._serialize, binary version 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

_DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

Weights = dict[str, np.ndarray]


def whisper_weights(data: bytes) -> Weights:
    """Tensors by their names in transformers, float32; raises ValueError for a quantized model."""
    given = _variables(data)
    weights: Weights = {}
    for side in ("encoder", "decoder"):
        layer = 0
        while f"{side}/layer_{layer}/ffn/linear_0/weight" in given:
            source, path = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            weights.update(_layer(given, source, path, decoder=side == "decoder"))
            layer += 1
        weights.update(_norm(given, f"{side}/layer_norm", f"model.{side}.layer_norm"))
        positions = given[f"{side}/position_encodings/encodings"]
        weights[f"model.{side}.embed_positions.weight"] = positions
    for conv in ("conv1", "conv2"):
        weights.update(_linear(given, f"encoder/{conv}", f"model.encoder.{conv}"))
    weights["model.decoder.embed_tokens.weight"] = given["decoder/embeddings/weight"]
    for name, value in weights.items():
        if value.dtype not in (np.float16, np.float32):
            raise ValueError(f"{name} is quantized: {value.dtype}")
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _layer(
    given: Weights, source: str, path: str, *, decoder: bool
) -> Iterator[tuple[str, np.ndarray]]:
    qkv = ("q_proj", "k_proj", "v_proj")
    yield from _split(given, f"{source}/self_attention/linear_0", f"{path}.self_attn", qkv)
    yield from _linear(given, f"{source}/self_attention/linear_1", f"{path}.self_attn.out_proj")
    norm = f"{source}/self_attention/layer_norm"
    yield from _norm(given, norm, f"{path}.self_attn_layer_norm")
    if decoder:
        cross = f"{source}/attention"
        yield from _linear(given, f"{cross}/linear_0", f"{path}.encoder_attn.q_proj")
        yield from _split(given, f"{cross}/linear_1", f"{path}.encoder_attn", qkv[1:])
        yield from _linear(given, f"{cross}/linear_2", f"{path}.encoder_attn.out_proj")
        yield from _norm(given, f"{cross}/layer_norm", f"{path}.encoder_attn_layer_norm")
    yield from _linear(given, f"{source}/ffn/linear_0", f"{path}.fc1")
    yield from _linear(given, f"{source}/ffn/linear_1", f"{path}.fc2")
    yield from _norm(given, f"{source}/ffn/layer_norm", f"{path}.final_layer_norm")


def _linear(given: Weights, source: str, path: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{path}.weight", given[f"{source}/weight"]
    yield f"{path}.bias", given[f"{source}/bias"]


def _norm(given: Weights, source: str, path: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{path}.weight", given[f"{source}/gamma"]
    yield f"{path}.bias", given[f"{source}/beta"]


def _split(
    given: Weights, source: str, path: str, names: tuple[str, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    """Projections that CTranslate2 stacks into one; Whisper's keys have no bias."""
    weights = np.split(given[f"{source}/weight"], len(names))
    biases = np.split(given[f"{source}/bias"], len(names))
    for name, weight, bias in zip(names, weights, biases, strict=True):
        yield f"{path}.{name}.weight", weight
        if name != "k_proj":
            yield f"{path}.{name}.bias", bias
        elif bias.any():
            raise ValueError(f"{source}: the keys have a bias")


def _variables(data: bytes) -> Weights:
    offset = 0

    def take(form: str) -> int:
        nonlocal offset
        (value,) = struct.unpack_from(f"<{form}", data, offset)
        offset += struct.calcsize(form)
        return int(value)

    def text() -> str:
        nonlocal offset
        length = take("H")
        value = data[offset : offset + length]
        offset += length
        return value.rstrip(b"\0").decode()

    take("I"), text(), take("I")
    found = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(_DTYPES[take("B")])
        size = take("I")
        count = size // dtype.itemsize
        found[name] = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += size
    return found
