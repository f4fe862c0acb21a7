# SPDX-License-Identifier: Apache-2.0
"""Rotary positions with the interleaving folded into the weights.

Source: Su et al. 2021 (RoFormer), equation 34. There neighbours turn against each other; here the
first half of a head turns against the second, so that two slices replace a strided shuffle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def order(head_width: int, pairs: int) -> list[int]:
    """Which value of a head comes where; values beyond the `pairs` are split over both halves.

    >>> order(8, 3)
    [0, 2, 4, 6, 1, 3, 5, 7]
    """
    rest = list(range(2 * pairs, head_width))
    middle = len(rest) // 2
    return [*range(0, 2 * pairs, 2), *rest[:middle], *range(1, 2 * pairs, 2), *rest[middle:]]


def reordered(rows: torch.Tensor, heads: int, pairs: int) -> torch.Tensor:
    """A query's or key's weight (heads * width, inputs), the rows of each head in `order`."""
    by_head = rows.view(heads, rows.shape[0] // heads, -1)
    moved: torch.Tensor = by_head[:, order(by_head.shape[1], pairs)].reshape(rows.shape)
    return moved


def tables(
    positions: int, head_width: int, pairs: int, base: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines (positions, head_width / 2), 1 and 0 for values that do not turn."""
    # transformers computes the frequencies and angles in float32; rounding as it does matters
    exponents = np.arange(0, 2 * pairs, 2, dtype=np.float32) / np.float32(2 * pairs)
    frequencies = (np.float32(1.0) / np.float32(base) ** exponents).astype(np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies[None, :]
    cos = np.ones((positions, head_width // 2), np.float32)
    sin = np.zeros((positions, head_width // 2), np.float32)
    cos[:, :pairs], sin[:, :pairs] = np.cos(angles), np.sin(angles)
    return cos, sin
