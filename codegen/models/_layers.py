# SPDX-License-Identifier: Apache-2.0
"""Transformer layers of static shapes, written so that each becomes few .tflite operators.

x is (positions, width) everywhere, without a batch. What differs from the usual form:

- LayerNorm's variance is the mean of c * c, since some runtimes lack SQUARED_DIFFERENCE in int16;
- queries come scaled: 1 / sqrt(head width) lies in the weights of `query`;
- rotary positions turn the first half of a head against the second, and all of it: values that
  the model leaves alone have the cosine 1 and the sine 0 (see `_rotary.py`);
- a decoder takes one position, and its caches as inputs; the new rows are outputs.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.nn.Linear:
    """A linear layer of these tensors, (outputs, inputs) and (outputs,)."""
    from torch import nn

    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def convolution(
    weight: torch.Tensor, bias: torch.Tensor | None = None, stride: int = 1, padding: int = 0
) -> torch.nn.Module:
    """A convolution over (1, positions, 1, inputs); the weight is (outputs, inputs, taps)."""
    from torch import nn

    outputs, inputs, taps = weight.shape
    layer = nn.Conv2d(inputs, outputs, (taps, 1), (stride, 1), (padding, 0), bias=bias is not None)
    layer.weight = nn.Parameter(weight[..., None], requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    made: torch.nn.Module = layers()["ChannelLast"](layer)
    return made


@cache
def layers() -> dict[str, Any]:
    """The torch modules, defined on first use so that importing this file needs no torch."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class ChannelLast(nn.Module):  # type: ignore[misc]
        """A convolution that takes and gives (1, positions, 1, channels)."""

        def __init__(self, convolution: nn.Conv2d):
            super().__init__()
            self.convolution = convolution

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.convolution(x.permute(0, 3, 1, 2))
            return y.permute(0, 2, 3, 1)

    class Norm(nn.Module):  # type: ignore[misc]
        """Layer normalization. Source: Ba, Kiros and Hinton 2016, equation 4."""

        #: The weight of a norm that scales nothing.
        unit = 1.0

        def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float = 1e-5):
            super().__init__()
            self.weight = nn.Parameter(weight, requires_grad=False)
            self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
            self.epsilon = epsilon

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            centred = x - x.mean(-1, keepdim=True)
            variance = (centred * centred).mean(-1, keepdim=True)
            y: torch.Tensor = centred * torch.rsqrt(variance + self.epsilon) * self.weight
            return y if self.bias is None else y + self.bias

    def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        first, second = x[..., :half], x[..., half:]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    class Mix(nn.Module):  # type: ignore[misc]
        """Values mixed by how much they are attended to; a module, so that scopes can name it."""

        def forward(self, scores: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return torch.softmax(scores, -1) @ values

    def attended(
        mix: nn.Module,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: Any = None,
    ) -> torch.Tensor:
        """(heads, rows, width) of queries over (heads, positions, width)."""
        scores = queries @ keys.transpose(1, 2)
        if mask is not None:
            scores = scores + mask
        result: torch.Tensor = mix(scores, values)
        return result

    class Attention(nn.Module):  # type: ignore[misc]
        """Self-attention over all positions; `heads_at_once` bounds the scores held in memory."""

        def __init__(
            self, parts: dict[str, nn.Module], heads: int, rotary: Any, heads_at_once: int
        ):
            super().__init__()
            self.query, self.key = parts["query"], parts["key"]
            self.value, self.out = parts["value"], parts["out"]
            self.heads, self.heads_at_once, self.mix = heads, heads_at_once, Mix()
            self.rotary = rotary is not None
            if rotary is not None:
                self.register_buffer("cos", rotary[0])
                self.register_buffer("sin", rotary[1])

        def split(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(x.shape[0], self.heads, -1).transpose(0, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = (self.split(part(x)) for part in (self.query, self.key, self.value))
            if self.rotary:
                q, k = (rotated(y, self.cos, self.sin) for y in (q, k))
            step = self.heads_at_once
            starts = range(0, self.heads, step)
            parts = [attended(self.mix, *(y[i : i + step] for y in (q, k, v))) for i in starts]
            y = parts[0] if len(parts) == 1 else torch.cat(parts, 0)
            result: torch.Tensor = self.out(y.transpose(0, 1).reshape(x.shape[0], -1))
            return result

    class StepAttention(nn.Module):  # type: ignore[misc]
        """Self-attention of one new position over a cache and itself."""

        def __init__(self, parts: dict[str, nn.Module], heads: int):
            super().__init__()
            self.query, self.key = parts["query"], parts["key"]
            self.value, self.out = parts["value"], parts["out"]
            self.heads, self.mix = heads, Mix()

        def forward(
            self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: Any, rotary: Any
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            q, k, v = (
                part(x).view(self.heads, 1, -1) for part in (self.query, self.key, self.value)
            )
            if rotary is not None:
                q, k = rotated(q, *rotary), rotated(k, *rotary)
            y = attended(self.mix, q, torch.cat([keys, k], 1), torch.cat([values, v], 1), mask)
            return self.out(y.reshape(1, -1)), k, v

    class CrossAttention(nn.Module):  # type: ignore[misc]
        """Attention of one position over the encoder's keys and values."""

        def __init__(self, parts: dict[str, nn.Module], heads: int):
            super().__init__()
            self.query, self.out = parts["query"], parts["out"]
            self.heads, self.mix = heads, Mix()

        def forward(
            self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
        ) -> torch.Tensor:
            y = attended(self.mix, self.query(x).view(self.heads, 1, -1), keys, values)
            result: torch.Tensor = self.out(y.reshape(1, -1))
            return result

    class FeedForward(nn.Module):  # type: ignore[misc]
        """down(gelu(up(x)))"""

        def __init__(self, up: nn.Module, down: nn.Module):
            super().__init__()
            self.up, self.down = up, down

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.down(F.gelu(self.up(x)))
            return result

    class GatedFeedForward(nn.Module):  # type: ignore[misc]
        """down(silu(gate(x)) * up(x)). Source: Shazeer 2020, equation 6, with biases."""

        def __init__(self, up: nn.Module, gate: nn.Module, down: nn.Module):
            super().__init__()
            self.up, self.gate, self.down = up, gate, down

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gate = self.gate(x)
            result: torch.Tensor = self.down(gate * torch.sigmoid(gate) * self.up(x))
            return result

    class EncoderLayer(nn.Module):  # type: ignore[misc]
        """Attention and feed-forward, each after a norm and beside a residual."""

        def __init__(self, parts: dict[str, nn.Module]):
            super().__init__()
            self.attention_norm, self.attention = parts["attention_norm"], parts["attention"]
            self.feed_norm, self.feed = parts["feed_norm"], parts["feed"]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.attention(self.attention_norm(x))
            return x + self.feed(self.feed_norm(x))

    class Encoder(nn.Module):  # type: ignore[misc]
        """Stem, layers and a norm: the front end's rows to (frames, width)."""

        def __init__(self, stem: nn.Module, layers: list[nn.Module], norm: nn.Module):
            super().__init__()
            self.stem, self.layers, self.norm = stem, nn.Sequential(*layers), norm

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.norm(self.layers(self.stem(rows)))
            return result

    class CrossLayer(nn.Module):  # type: ignore[misc]
        """One decoder layer's keys and values (heads, frames, width) of the encoder's output."""

        def __init__(self, parts: dict[str, nn.Module], heads: int):
            super().__init__()
            self.key, self.value = parts["key"], parts["value"]
            self.heads = heads

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(
                part(x).view(x.shape[0], self.heads, -1).transpose(0, 1)
                for part in (self.key, self.value)
            )

    class Cross(nn.Module):  # type: ignore[misc]
        """Keys and values of every decoder layer, in order."""

        def __init__(self, layers: list[nn.Module]):
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(y for layer in self.layers for y in layer(x))

    class DecoderLayer(nn.Module):  # type: ignore[misc]
        """Self-attention, cross-attention and feed-forward of one position."""

        def __init__(self, parts: dict[str, nn.Module]):
            super().__init__()
            self.attention_norm, self.attention = parts["attention_norm"], parts["attention"]
            self.cross_norm, self.cross = parts["cross_norm"], parts["cross"]
            self.feed_norm, self.feed = parts["feed_norm"], parts["feed"]

        def forward(
            self, x: torch.Tensor, state: Any, mask: torch.Tensor, rotary: Any
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            keys, values, cross_keys, cross_values = state
            y, k, v = self.attention(self.attention_norm(x), keys, values, mask, rotary)
            x = x + y
            x = x + self.cross(self.cross_norm(x), cross_keys, cross_values)
            return x + self.feed(self.feed_norm(x)), k, v

    class Decoder(nn.Module):  # type: ignore[misc]
        """One step: logits (1, vocabulary), then a new key and value of every layer."""

        def __init__(self, layers: list[nn.Module], norm: nn.Module, head: nn.Module, rotary: bool):
            super().__init__()
            self.layers = nn.ModuleList(layers)
            self.norm, self.head, self.rotary = norm, head, rotary
            # a place for what is done to the words' rows
            self.embed = nn.Identity()

        def forward(self, embedding: torch.Tensor, *inputs: torch.Tensor) -> Any:
            x = self.embed(embedding)
            if self.rotary:
                rotary, (mask, *state) = inputs[:2], inputs[2:]
            else:
                x, rotary, (mask, *state) = x + inputs[0], None, inputs[1:]
            rows = []
            for number, layer in enumerate(self.layers):
                x, k, v = layer(x, state[4 * number : 4 * number + 4], mask, rotary)
                rows += [k, v]
            return (self.head(self.norm(x)), *rows)

    defined: tuple[type, ...] = (ChannelLast, Norm, Attention, StepAttention, CrossAttention)
    defined += (FeedForward, GatedFeedForward, EncoderLayer, Encoder, CrossLayer, Cross)
    defined += (DecoderLayer, Decoder)
    return {module.__name__: module for module in defined}
