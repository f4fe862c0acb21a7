# SPDX-License-Identifier: Apache-2.0
"""A small word recogniser: depthwise-separable convolutions over log-mel frames, CTC on top.

The network sees time as the height of an image one pixel wide, so that every operator is a
CONV_2D or DEPTHWISE_CONV_2D that small runtimes already have:

    stem        convolution, 5 frames, stride 2, bands -> channels, ReLU
    down        depthwise 9 frames, stride 2, ReLU; 1x1 convolution, ReLU
    blocks      depthwise `kernel` frames, ReLU; 1x1 convolution; add the block's input; ReLU
    head        1x1 convolution to the vocabulary

Each convolution but the head's is followed by a batch normalisation that `folded` merges into it.
Every convolution pads kernel // 2 frames on either side; with 4n + 1 frames in, that equals the
SAME padding of .tflite at stride 2 too, so nothing has to be padded by an operator of its own.
n + 1 frames come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

STEM_KERNEL = 5
DOWN_KERNEL = 9


@dataclass(frozen=True)
class CtcConfig:
    """The sizes of a network; `vocabulary` counts the blank, which is index 0."""

    vocabulary: int
    channels: int = 128
    blocks: int = 7
    kernel: int = 11
    bands: int = 40


def output_frames(frames: int) -> int:
    """How many frames the network gives for `frames` in: ceil(ceil(frames / 2) / 2).

    >>> output_frames(301)
    76
    """
    return -(-frames // 4)


def network(config: CtcConfig) -> torch.nn.Module:
    """A network with fresh weights, for training and for loading a checkpoint.

    Takes normalised log-mel frames (batch, frames, 1, bands), any number of frames; gives logits
    (batch, output_frames(frames), 1, vocabulary), not yet log-softmaxed.
    """
    built: torch.nn.Module = _classes()["Network"](config)
    return built


def folded(trained: torch.nn.Module) -> torch.nn.Module:
    """A copy for inference: batch normalisation merged into the convolutions, in eval mode.

    Source: Jacob et al. 2018, section 3.2 (batch normalization folding).
    """
    import copy

    from torch.nn.utils.fusion import fuse_conv_bn_eval

    result = copy.deepcopy(trained).eval()
    for layer in result.modules():
        if isinstance(layer, _classes()["Normalised"]):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.norm)
            layer.norm = _classes()["Identity"]()
    return result


@cache
def _classes() -> dict[str, Any]:
    """The torch modules, defined on first use so that importing this file needs no torch."""
    import torch
    from torch import nn

    class Normalised(nn.Module):  # type: ignore[misc]
        """A convolution along time and its batch normalisation."""

        def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int):
            super().__init__()
            self.convolution: nn.Module = nn.Conv2d(
                inputs,
                outputs,
                (kernel, 1),
                stride=(stride, 1),
                padding=(kernel // 2, 0),
                groups=groups,
                bias=False,
            )
            self.norm: nn.Module = nn.BatchNorm2d(outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.norm(self.convolution(x))
            return result

    class Separable(nn.Module):  # type: ignore[misc]
        """Depthwise along time, then pointwise; `residual` adds the input before the last ReLU."""

        def __init__(self, channels: int, kernel: int, stride: int, residual: bool):
            super().__init__()
            self.depthwise = Normalised(channels, channels, kernel, stride, channels)
            self.pointwise = Normalised(channels, channels, 1, 1, 1)
            self.residual = residual

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.pointwise(torch.relu(self.depthwise(x)))
            return torch.relu(y + x if self.residual else y)

    class Network(nn.Module):  # type: ignore[misc]
        """The whole network; takes and gives channel-last frames."""

        def __init__(self, config: CtcConfig):
            super().__init__()
            channels = config.channels
            self.stem = Normalised(config.bands, channels, STEM_KERNEL, 2, 1)
            self.down = Separable(channels, DOWN_KERNEL, 2, residual=False)
            self.blocks = nn.Sequential(
                *(
                    Separable(channels, config.kernel, 1, residual=True)
                    for _ in range(config.blocks)
                )
            )
            self.head = nn.Conv2d(channels, config.vocabulary, 1)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.stem(frames.permute(0, 3, 1, 2)))
            logits: torch.Tensor = self.head(self.blocks(self.down(x)))
            return logits.permute(0, 2, 3, 1)

    return {
        "Identity": nn.Identity,
        "Network": Network,
        "Normalised": Normalised,
    }
