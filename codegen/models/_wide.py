# SPDX-License-Identifier: Apache-2.0
"""Layers that say the same as those of `_layers.py`, where values are too wide for int16 as it is.

From the middle of its encoder on, Whisper gives some frames channels a hundred times larger than
the rest: in tiny the last layer does so, in base the last three. An int16 GELU is a table of chords
over all of its input's range, too coarse about 0 if that is wide; and the squares of such frames
leave those of the others none of their 16 bits, before they are summed to a variance.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from codegen.models._layers import linear

if TYPE_CHECKING:
    import torch


@cache
def wide_layers() -> dict[str, Any]:
    """The torch modules, defined on first use so that importing this file needs no torch."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class WideNorm(nn.Module):  # type: ignore[misc]
        """A norm whose sum of squares is a product of matrices: rounded once, after the sum."""

        def __init__(self, weight: torch.Tensor, bias: torch.Tensor, epsilon: float = 1e-5):
            super().__init__()
            width = weight.shape[0]
            self.unit = width**0.5
            self.weight = nn.Parameter(weight * self.unit, requires_grad=False)
            self.bias = nn.Parameter(bias, requires_grad=False)
            self.epsilon = epsilon * width

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            centred = x - x.mean(-1, keepdim=True)
            squares = (centred[:, None, :] @ centred[:, :, None]).reshape(-1, 1)
            y: torch.Tensor = centred * torch.rsqrt(squares + self.epsilon) * self.weight
            return y if self.bias is None else y + self.bias

    class WideFeedForward(nn.Module):  # type: ignore[misc]
        """down(gelu(x)), x from `up`, as gelu(clamp(x, -6, 6)) + max(x - 6, 0).

        The difference is below 1e-8. `up` gives x / 2 and `down` takes halves, since RELU6 clamps
        to 0 .. 6. That 3 is added apart keeps the converter from running `up` once more for RELU6.
        """

        def __init__(self, up: nn.Linear, down: nn.Linear):
            super().__init__()
            self.up = linear(up.weight * 0.5, up.bias * 0.5)
            self.down = linear(down.weight * 2.0, down.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = self.up(x)
            inner = F.relu6(halves + 3.0) - 3.0
            beyond = F.relu(halves - inner)
            result: torch.Tensor = self.down(F.gelu(inner * 2.0) * 0.5 + beyond)
            return result

    return {module.__name__: module for module in (WideNorm, WideFeedForward)}
