# SPDX-License-Identifier: Apache-2.0
"""Moonshine's three convolutions over raw PCM, with the norm between them folded away."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from codegen.models._layers import convolution
from codegen.models._source import Weights

if TYPE_CHECKING:
    import torch

#: Samples a row: the stride of the first convolution, which has 127 taps, so two rows an output.
ROW_SAMPLES = 64
TAPS = 127
#: The norm's variance is summed in so many parts, to hold one part's squares at a time.
CHUNKS = 8


def stem(weights: Weights, width: int) -> torch.nn.Module:
    """PCM rows (1, rows, 1, 64) to (frames, width)."""
    built: torch.nn.Module = _stem_class()(_stem_weights(weights, width))
    return built


def _stem_weights(weights: Weights, width: int) -> dict[str, torch.Tensor]:
    """The tensors of the three convolutions and of the norm between them."""
    shapes = {
        "conv1.weight": (width, 1, TAPS),
        "groupnorm.weight": (width,),
        "groupnorm.bias": (width,),
        "conv2.weight": (2 * width, width, 7),
        "conv2.bias": (2 * width,),
        "conv3.weight": (width, 2 * width, 3),
        "conv3.bias": (width,),
    }
    return {name: weights.take(f"model.encoder.{name}", *s) for name, s in shapes.items()}


@cache
def _stem_class() -> Any:
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Stem(nn.Module):  # type: ignore[misc]
        """PCM rows (1, rows, 1, 64) to (frames, width).

        GroupNorm with one group, y = gamma (x - m) r + beta, is not computed: the convolution
        behind it, W * y + b, equals (W gamma * x - m k) r + (W beta + b), where k is the sum of
        W gamma over taps and inputs. So no normalised copy of its large input is held.
        """

        def __init__(self, given: dict[str, torch.Tensor], epsilon: float = 1e-5):
            super().__init__()
            # a tap more, zero: 128 taps at stride 64 are two rows of 64
            first = F.pad(given["conv1.weight"], (0, 1))
            first = first.view(-1, 2, ROW_SAMPLES).transpose(1, 2).contiguous()
            gamma, beta = given["groupnorm.weight"], given["groupnorm.bias"]
            scaled = given["conv2.weight"] * gamma[None, :, None]
            shift = (given["conv2.weight"] * beta[None, :, None]).sum((1, 2)) + given["conv2.bias"]
            self.first = convolution(first)
            self.second = convolution(scaled, stride=3)
            self.third = convolution(given["conv3.weight"], given["conv3.bias"], stride=2)
            self.register_buffer("sums", scaled.sum((1, 2)))
            self.register_buffer("shift", shift)
            self.epsilon = epsilon

        def forward(self, pcm: torch.Tensor) -> torch.Tensor:
            x = torch.tanh(self.first(pcm))
            mean = x.mean(-1, keepdim=True).mean(1, keepdim=True)
            rows = x.shape[1]
            step = math.ceil(rows / CHUNKS)
            parts = []
            for start in range(0, rows, step):
                centred = x[:, start : start + step] - mean
                part = (centred * centred).mean(-1, keepdim=True).mean(1, keepdim=True)
                parts.append(part * (centred.shape[1] / rows))
            scale = torch.rsqrt(sum(parts[1:], parts[0]) + self.epsilon)
            x = F.gelu((self.second(x) - mean * self.sums) * scale + self.shift)
            x = F.gelu(self.third(x))
            return x.reshape(x.shape[1], x.shape[3])

    return Stem
