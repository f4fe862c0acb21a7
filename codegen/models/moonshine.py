# SPDX-License-Identifier: Apache-2.0
"""Moonshine: a transformer encoder over raw PCM, a decoder with a KV cache, rotary positions.

    encoder   pcm (1, window / 64, 1, 64) -> encoded (frames, width)
    cross     encoded -> keys and values (heads, frames, head width) of each decoder layer
    decoder   embedding, cos, sin (1, ...), mask (1, 1, positions + 1), caches -> logits, new rows

Source: Jeffries et al. 2024, Moonshine; the layers as transformers' models/moonshine has them.
The window is not masked: silence behind a recording is attended to.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from codegen.errors import UserError
from codegen.frontend.raw_pcm import RawPcm
from codegen.models._graphs import (
    GUARD,
    INT16_SCOPES,
    SAMPLE_RATE_HZ,
    SILENCE,
    Sizes,
    adjacency,
    checked_window,
    gated,
    mixes,
    model_graphs,
    stages,
    state_buffers,
    streams,
)
from codegen.models._layers import layers, linear
from codegen.models._moonshine_stem import ROW_SAMPLES, stem
from codegen.models._rotary import reordered, tables
from codegen.models._source import Settings, Source, Weights
from codegen.models._speech_model import MASKED, SpeechModel

MODEL_TYPE = "moonshine"

DEFAULT_WINDOW_SAMPLES = 5 * SAMPLE_RATE_HZ
#: What the model was trained to say at most, by its authors.
TOKENS_A_SECOND = 6.5
#: Rows of PCM in the shortest window.
LEAST_ROWS = 32
#: Steps of the shortest recording: a word or two, the start and the end.
LEAST_TOKENS = 8
_EMBEDDING = "model.decoder.embed_tokens.weight"


def frames(samples: int) -> int:
    """How many frames the encoder gives for a window, a multiple of 64 samples.

    >>> frames(80000)
    207
    """
    rows = samples // ROW_SAMPLES - 1
    return ((rows - 7) // 3 + 1 - 3) // 2 + 1


def load_source(
    folder: Path,
    window_samples: int | None = None,
    language: str | None = None,
    heads_at_once: int | None = None,
) -> SpeechModel:
    """The checkpoint in `folder` at a window, 5 s unless given; UserError says what is wrong.

    `heads_at_once` bounds how many heads' scores the encoder holds at a time; all by default.
    """
    import torch

    torch.set_num_threads(1)
    source = Source(folder)
    shape = _Shape(source.config)
    window = checked_window(
        DEFAULT_WINDOW_SAMPLES if window_samples is None else window_samples,
        ROW_SAMPLES,
        LEAST_ROWS,
        _longest_window(shape),
        folder,
    )
    if language not in (None, "en"):
        raise UserError(f"{folder}: language {language!r:.40} was asked for; Moonshine has 'en'.")
    positions = tokens_of(window)
    layer_counts = shape.encoder_layers, shape.decoder_layers
    sizes = Sizes(shape.width, shape.heads, shape.decoder_layers, frames(window), positions)
    weights = source.weights()
    cos, sin = tables(max(sizes.frames, positions), shape.head_width, shape.pairs, shape.base)
    rotary = tuple(torch.from_numpy(table[: sizes.frames, :].copy()) for table in (cos, sin))
    at_once = heads_at_once or shape.heads
    encoder = _encoder(weights, shape, rotary, at_once)
    cross, decoder = _decoder(weights, shape)
    embedding = decoder.head.weight.detach().numpy()
    weights.done(_EMBEDDING)
    row_widths = {"embedding": shape.width} | dict.fromkeys(("cos", "sin"), shape.head_width // 2)
    rows = (1, window // ROW_SAMPLES, 1, ROW_SAMPLES)
    return SpeechModel(
        name=source.name,
        graphs=model_graphs((encoder, "pcm", rows), cross, (decoder, row_widths), sizes),
        phases=("encoder", "cross", "decoder"),
        front_end=RawPcm(SAMPLE_RATE_HZ, ROW_SAMPLES),
        decoding={
            "kind": "greedy",
            "start": [source.generation.token("decoder_start_token_id", shape.vocabulary)],
            "end": source.generation.token("eos_token_id", shape.vocabulary),
            "suppress": source.generation.token_list("suppress_tokens", shape.vocabulary),
            "begin_suppress": source.generation.token_list(
                "begin_suppress_tokens", shape.vocabulary
            ),
            "most_tokens": positions,
            "float_masked": MASKED,
            "tokens_per_10_s": round(10 * TOKENS_A_SECOND),
            "least_tokens": LEAST_TOKENS,
            **GUARD,
            "silence": SILENCE,
            "vocabulary": "latin-1",
        },
        vocabulary=tuple(t.decode("latin-1") for t in source.tokens(shape.vocabulary)),
        window_samples=window,
        sha256=source.sha256,
        state=state_buffers(sizes),
        tables={"embedding": embedding, "cos": cos[:positions], "sin": sin[:positions]},
        adjacency=adjacency(*layer_counts, gated=True),
        mixes=mixes(*layer_counts),
        gated=gated(shape.decoder_layers),
        streams=streams(*layer_counts),
        stages=stages(*layer_counts),
        int16_scopes=INT16_SCOPES,
    )


def tokens_of(window_samples: int) -> int:
    """The decoder's steps for a window: its tokens, the start and the end among them.

    >>> tokens_of(80000)
    35
    """
    return math.ceil(window_samples / SAMPLE_RATE_HZ * TOKENS_A_SECOND) + 2


class _Shape:
    """The sizes in config.json; raises UserError for what these graphs do not do."""

    def __init__(self, config: Settings) -> None:
        self.width = config.whole("hidden_size", 8, 4096)
        self.inner = config.whole("intermediate_size", 1, 1 << 15)
        self.vocabulary = config.whole("vocab_size", 2, 1 << 18)
        self.encoder_layers = config.whole("encoder_num_hidden_layers", 1, 64)
        self.decoder_layers = config.whole("decoder_num_hidden_layers", 1, 64)
        self.heads = config.whole("encoder_num_attention_heads", 1, 64)
        self.positions = config.whole("max_position_embeddings", 8, 1 << 13)
        for side in ("encoder", "decoder"):
            for part in ("attention", "key_value"):
                config.only(f"{side}_num_{part}_heads", self.heads, self.heads)
        config.only("encoder_hidden_act", "gelu", "gelu")
        config.only("decoder_hidden_act", "silu", "silu")
        config.only("attention_bias", False, False)
        config.only("tie_word_embeddings", True, True)
        self.head_width = self.width // self.heads
        if self.width % (2 * self.heads):
            raise config.fail(
                f"hidden_size {self.width} over {self.heads} heads gives no even width"
            )
        self.base, factor = _rotary_parameters(config)
        self.pairs = math.ceil(int(self.head_width * factor) / 2)


def _rotary_parameters(config: Settings) -> tuple[float, float]:
    """Base and share of a head that turns, where old and new configurations keep them."""
    table = config.values.get("rope_parameters") or {
        "rope_theta": config.values.get("rope_theta", 10000.0),
        "partial_rotary_factor": config.values.get("partial_rotary_factor", 0.9),
    }
    kind = table.get("rope_type", "default") if isinstance(table, dict) else None
    scaling = config.values.get("rope_scaling")
    if kind != "default" or scaling:
        raise config.fail(
            f"rope_type is {kind!r:.40}, rope_scaling {scaling!r:.80}; supported is"
            " 'default' without scaling"
        )
    base, factor = table.get("rope_theta", 10000.0), table.get("partial_rotary_factor", 0.9)
    for value, most in ((base, 1e9), (factor, 1.0)):
        if type(value) not in (int, float) or not 0 < value <= most:
            raise config.fail(f"rope_theta is {base!r:.40}, partial_rotary_factor {factor!r:.40}")
    return float(base), float(factor)


def _longest_window(shape: _Shape) -> int:
    """In samples: what the decoder's positions are enough for."""
    return int((shape.positions - 2) / TOKENS_A_SECOND * SAMPLE_RATE_HZ)


def _norm(weights: Weights, name: str, width: int) -> Any:
    return layers()["Norm"](weights.take(f"{name}.weight", width), None)


def _attention(weights: Weights, path: str, shape: _Shape, *, turned: bool) -> dict[str, Any]:
    """The four projections, the query scaled, query and key reordered where they turn."""
    width = shape.width
    matrices = {p: weights.take(f"{path}.{p}_proj.weight", width, width) for p in "qkvo"}
    matrices["q"] = matrices["q"] * shape.head_width**-0.5
    if turned:
        for part in "qk":
            matrices[part] = reordered(matrices[part], shape.heads, shape.pairs)
    names = {"q": "query", "k": "key", "v": "value", "o": "out"}
    return {names[part]: linear(matrix) for part, matrix in matrices.items()}


def _encoder(weights: Weights, shape: _Shape, rotary: Any, at_once: int) -> Any:
    width, inner = shape.width, shape.inner
    found = []
    for n in range(shape.encoder_layers):
        path = f"model.encoder.layers.{n}"
        parts = _attention(weights, f"{path}.self_attn", shape, turned=True)
        up = linear(
            weights.take(f"{path}.mlp.fc1.weight", inner, width),
            weights.take(f"{path}.mlp.fc1.bias", inner),
        )
        found.append(
            layers()["EncoderLayer"](
                {
                    "attention_norm": _norm(weights, f"{path}.input_layernorm", width),
                    "attention": layers()["Attention"](parts, shape.heads, rotary, at_once),
                    "feed_norm": _norm(weights, f"{path}.post_attention_layernorm", width),
                    "feed": layers()["FeedForward"](up, _down(weights, path, shape)),
                }
            )
        )
    norm = _norm(weights, "model.encoder.layer_norm", width)
    return layers()["Encoder"](stem(weights, width), found, norm)


def _down(weights: Weights, path: str, shape: _Shape) -> Any:
    return linear(
        weights.take(f"{path}.mlp.fc2.weight", shape.width, shape.inner),
        weights.take(f"{path}.mlp.fc2.bias", shape.width),
    )


def _decoder(weights: Weights, shape: _Shape) -> tuple[Any, Any]:
    """The cross graph and the decoder, which share no weights."""
    width, inner = shape.width, shape.inner
    crosses, steps = [], []
    for n in range(shape.decoder_layers):
        path = f"model.decoder.layers.{n}"
        parts = _attention(weights, f"{path}.self_attn", shape, turned=True)
        cross = _attention(weights, f"{path}.encoder_attn", shape, turned=False)
        up, gate = weights.take(f"{path}.mlp.fc1.weight", 2 * inner, width).split(inner)
        up_bias, gate_bias = weights.take(f"{path}.mlp.fc1.bias", 2 * inner).split(inner)
        feed = (linear(up, up_bias), linear(gate, gate_bias), _down(weights, path, shape))
        crosses.append(layers()["CrossLayer"](cross, shape.heads))
        steps.append(
            layers()["DecoderLayer"](
                {
                    "attention_norm": _norm(weights, f"{path}.input_layernorm", width),
                    "attention": layers()["StepAttention"](parts, shape.heads),
                    "cross_norm": _norm(weights, f"{path}.post_attention_layernorm", width),
                    "cross": layers()["CrossAttention"](cross, shape.heads),
                    "feed_norm": _norm(weights, f"{path}.final_layernorm", width),
                    "feed": layers()["GatedFeedForward"](*feed),
                }
            )
        )
    head = linear(weights.take(_EMBEDDING, shape.vocabulary, width))
    norm = _norm(weights, "model.decoder.norm", width)
    return layers()["Cross"](crosses), layers()["Decoder"](steps, norm, head, True)
