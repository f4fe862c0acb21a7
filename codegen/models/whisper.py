# SPDX-License-Identifier: Apache-2.0
"""Whisper: a transformer encoder over log-mel frames, a decoder with a KV cache.

    encoder   mel (1, 2 * frames, 1, bands) -> encoded (frames, width)
    cross     encoded -> keys and values (heads, frames, head width) of each decoder layer
    decoder   embedding, position (1, width), mask (1, 1, positions + 1), caches -> logits, new rows

Source: Radford et al. 2022, Whisper; the layers as transformers' models/whisper has them. A window
shorter than 30 s uses the first of the encoder's positions.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.errors import UserError
from codegen.frontend.whisper_mel import HOP_SAMPLES, WhisperMel
from codegen.models._graphs import (
    GUARD,
    INT16_SCOPES,
    SAMPLE_RATE_HZ,
    SILENCE,
    Sizes,
    adjacency,
    checked_window,
    mixes,
    model_graphs,
    stages,
    state_buffers,
    streams,
)
from codegen.models._layers import convolution, layers, linear
from codegen.models._source import Settings, Source, Weights
from codegen.models._speech_model import MASKED, SpeechModel
from codegen.models._wide import wide_layers

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "whisper"

#: Samples an encoder frame: the second convolution has stride 2.
FRAME_SAMPLES = 2 * HOP_SAMPLES
#: Half of the decoder's 448 positions are for what is said in 30 s; the rest is for a prompt.
TOKENS_A_SECOND = 224 / 30
#: Steps of the shortest recording: a word or two, the start and the end.
LEAST_TOKENS = 12
#: Start, language, task, no timestamps, end.
EXTRA_TOKENS = 5
_EMBEDDING = "model.decoder.embed_tokens.weight"


def load_source(
    folder: Path,
    window_samples: int | None = None,
    language: str | None = None,
    heads_at_once: int | None = None,
) -> SpeechModel:
    """The checkpoint in `folder` at a window, 30 s unless given; UserError says what is wrong.

    A multilingual model needs a `language`, such as "de". `heads_at_once` bounds how many heads'
    scores the encoder holds at a time; all by default.
    """
    import torch

    torch.set_num_threads(1)
    source = Source(folder)
    shape = _Shape(source.config)
    longest = shape.source_positions * FRAME_SAMPLES
    wanted = longest if window_samples is None else window_samples
    window = checked_window(wanted, FRAME_SAMPLES, 2, longest, folder)
    decoding = _decoding(source, shape, language)
    positions = min(tokens_of(window), shape.target_positions)
    frames = window // FRAME_SAMPLES
    layer_counts = shape.encoder_layers, shape.decoder_layers
    sizes = Sizes(shape.width, shape.heads, shape.decoder_layers, frames, positions)
    weights = source.weights()
    encoder = _encoder(weights, shape, frames, heads_at_once or shape.heads)
    cross, decoder = _decoder(weights, shape)
    learned = weights.take(
        "model.decoder.embed_positions.weight", shape.target_positions, shape.width
    )
    weights.done(_EMBEDDING)
    row_widths = dict.fromkeys(("embedding", "position"), shape.width)
    timestamps = source.generation.token("no_timestamps_token_id", shape.vocabulary) + 1
    tokens = source.tokens(shape.vocabulary, optional_from=timestamps)
    return SpeechModel(
        name=source.name,
        graphs=model_graphs(
            (encoder, "mel", (1, 2 * frames, 1, shape.bands)), cross, (decoder, row_widths), sizes
        ),
        phases=("encoder", "cross", "decoder"),
        front_end=WhisperMel(shape.bands),
        decoding=decoding | {"most_tokens": positions},
        vocabulary=tuple(token.decode("latin-1") for token in tokens),
        window_samples=window,
        sha256=source.sha256,
        state=state_buffers(sizes),
        tables={
            "embedding": decoder.head.weight.detach().numpy(),
            "position": learned[:positions].numpy(),
        },
        adjacency=adjacency(*layer_counts, gated=False),
        mixes=mixes(*layer_counts),
        streams=streams(*layer_counts, ("position",)),
        stages=stages(*layer_counts),
        int16_scopes=(*INT16_SCOPES, *(f"encoder/layers/{n}/feed.*" for n in shape.wide_layers)),
    )


def tokens_of(window_samples: int) -> int:
    """The decoder's steps for a window: its tokens, the forced start and the end among them.

    >>> tokens_of(160000)
    80
    """
    return math.ceil(window_samples / SAMPLE_RATE_HZ * TOKENS_A_SECOND) + EXTRA_TOKENS


class _Shape:
    """The sizes in config.json; raises UserError for what these graphs do not do."""

    def __init__(self, config: Settings) -> None:
        self.width = config.whole("d_model", 8, 4096)
        self.vocabulary = config.whole("vocab_size", 2, 1 << 18)
        self.bands = config.whole("num_mel_bins", 1, 128)
        self.source_positions = config.whole("max_source_positions", 1, 1 << 13)
        self.target_positions = config.whole("max_target_positions", 8, 1 << 13)
        self.encoder_layers = config.whole("encoder_layers", 1, 64)
        self.decoder_layers = config.whole("decoder_layers", 1, 64)
        self.inner = config.whole("encoder_ffn_dim", 1, 1 << 15)
        self.heads = config.whole("encoder_attention_heads", 1, 64)
        config.only("decoder_attention_heads", self.heads)
        config.only("decoder_ffn_dim", self.inner)
        config.only("activation_function", "gelu", "gelu")
        config.only("scale_embedding", False, False)
        config.only("tie_word_embeddings", True, True)
        self.head_width = self.width // self.heads
        self.wide_layers = range(self.encoder_layers // 2, self.encoder_layers)
        if self.width % self.heads:
            raise config.fail(f"d_model {self.width} does not divide into {self.heads} heads")


def _decoding(source: Source, shape: _Shape, language: str | None) -> dict[str, Any]:
    """The decoding rule: greedy, without timestamps, transcribing `language`."""
    given, size = source.generation, shape.vocabulary
    start = [given.token("decoder_start_token_id", size)]
    if given.values.get("is_multilingual"):
        start += [
            _named_token(source, "lang_to_id", language and f"<|{language}|>", size),
            _named_token(source, "task_to_id", "transcribe", size),
        ]
    elif language not in (None, "en"):
        raise UserError(
            f"{source.folder}: language {language!r:.40} was asked for; this model has only 'en'."
        )
    return {
        "kind": "greedy",
        "start": [*start, given.token("no_timestamps_token_id", size)],
        "end": given.token("eos_token_id", size),
        "suppress": given.token_list("suppress_tokens", size),
        "begin_suppress": given.token_list("begin_suppress_tokens", size),
        "float_masked": MASKED,
        "tokens_per_10_s": round(10 * TOKENS_A_SECOND),
        "least_tokens": LEAST_TOKENS,
        **GUARD,
        "silence": SILENCE,
        "vocabulary": "latin-1",
    }


def _named_token(source: Source, key: str, name: str | None, size: int) -> int:
    """A token of a table of generation_config.json; None where no language was given."""
    table = source.generation.values.get(key)
    number = table.get(name) if isinstance(table, dict) else None
    if type(number) is not int or not 0 <= number < size:
        known = ", ".join(str(k).strip("<|>") for k in table) if isinstance(table, dict) else "none"
        got = "no language was given" if name is None else f"{key} has no {name!r:.40}"
        raise UserError(
            f"{source.generation.path}: {got}; a multilingual model needs a"
            f" language: choose one of {known:.600} with --language."
        )
    return number


def _norm(weights: Weights, name: str, width: int, wide: bool = False) -> Any:
    norm = wide_layers()["WideNorm"] if wide else layers()["Norm"]
    return norm(weights.take(f"{name}.weight", width), weights.take(f"{name}.bias", width))


def _linear(weights: Weights, name: str, outputs: int, inputs: int) -> Any:
    return linear(
        weights.take(f"{name}.weight", outputs, inputs), weights.take(f"{name}.bias", outputs)
    )


def _attention(weights: Weights, path: str, shape: _Shape) -> dict[str, Any]:
    """The four projections, the query scaled; keys have no bias."""
    width, scale = shape.width, shape.head_width**-0.5
    query = weights.take(f"{path}.q_proj.weight", width, width) * scale
    return {
        "query": linear(query, weights.take(f"{path}.q_proj.bias", width) * scale),
        "key": linear(weights.take(f"{path}.k_proj.weight", width, width)),
        "value": _linear(weights, f"{path}.v_proj", width, width),
        "out": _linear(weights, f"{path}.out_proj", width, width),
    }


def _feed(weights: Weights, path: str, shape: _Shape, wide: bool = False) -> dict[str, Any]:
    up = _linear(weights, f"{path}.fc1", shape.inner, shape.width)
    down = _linear(weights, f"{path}.fc2", shape.width, shape.inner)
    feed = wide_layers()["WideFeedForward"] if wide else layers()["FeedForward"]
    return {
        "feed_norm": _norm(weights, f"{path}.final_layer_norm", shape.width, wide),
        "feed": feed(up, down),
    }


def _encoder(weights: Weights, shape: _Shape, frames: int, at_once: int) -> Any:
    width = shape.width
    found = []
    for n in range(shape.encoder_layers):
        path, wide = f"model.encoder.layers.{n}", n in shape.wide_layers
        parts = _attention(weights, f"{path}.self_attn", shape)
        parts = {
            "attention_norm": _norm(weights, f"{path}.self_attn_layer_norm", width, wide),
            "attention": layers()["Attention"](parts, shape.heads, None, at_once),
        }
        found.append(layers()["EncoderLayer"](parts | _feed(weights, path, shape, wide)))
    positions = weights.take("model.encoder.embed_positions.weight", shape.source_positions, width)
    stem = _stem_class()(
        *(
            weights.take(f"model.encoder.{conv}.{part}", *size)
            for conv, inputs in (("conv1", shape.bands), ("conv2", width))
            for part, size in (("weight", (width, inputs, 3)), ("bias", (width,)))
        ),
        positions[:frames].clone(),
    )
    norm = _norm(weights, "model.encoder.layer_norm", width, wide=True)
    return layers()["Encoder"](stem, found, norm)


def _decoder(weights: Weights, shape: _Shape) -> tuple[Any, Any]:
    """The cross graph and the decoder, which share no weights."""
    width = shape.width
    crosses, steps = [], []
    for n in range(shape.decoder_layers):
        path = f"model.decoder.layers.{n}"
        parts = _attention(weights, f"{path}.self_attn", shape)
        cross = _attention(weights, f"{path}.encoder_attn", shape)
        crosses.append(layers()["CrossLayer"](cross, shape.heads))
        found = {
            "attention_norm": _norm(weights, f"{path}.self_attn_layer_norm", width),
            "attention": layers()["StepAttention"](parts, shape.heads),
            "cross_norm": _norm(weights, f"{path}.encoder_attn_layer_norm", width),
            "cross": layers()["CrossAttention"](cross, shape.heads),
        }
        steps.append(layers()["DecoderLayer"](found | _feed(weights, path, shape)))
    head = linear(weights.take(_EMBEDDING, shape.vocabulary, width))
    norm = _norm(weights, "model.decoder.layer_norm", width)
    return layers()["Cross"](crosses), layers()["Decoder"](steps, norm, head, False)


@cache
def _stem_class() -> Any:
    import torch.nn.functional as F
    from torch import nn

    class Stem(nn.Module):  # type: ignore[misc]
        """Log-mel (1, 2 * frames, 1, bands) to (frames, width), positions added."""

        def __init__(
            self,
            first: torch.Tensor,
            first_bias: torch.Tensor,
            second: torch.Tensor,
            second_bias: torch.Tensor,
            positions: torch.Tensor,
        ):
            super().__init__()
            self.first = convolution(first, first_bias, padding=1)
            self.second = convolution(second, second_bias, stride=2, padding=1)
            self.register_buffer("positions", positions)

        def forward(self, mel: torch.Tensor) -> torch.Tensor:
            x = F.gelu(self.second(F.gelu(self.first(mel))))
            return x.reshape(x.shape[1], x.shape[3]) + self.positions

    return Stem
