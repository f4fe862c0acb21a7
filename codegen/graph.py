# SPDX-License-Identifier: Apache-2.0
"""What a .tflite file says, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: numpy type of each tensor type; int4 and int2 are held unpacked, one value an int8.
NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "bool": np.bool_,
    "float32": np.float32,
    "int2": np.int8,
    "int4": np.int8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
}


@dataclass(frozen=True)
class Quantization:
    """Affine quantization: real = scale * (value - zero_point), per tensor, channel or block."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0
    block_size: int = 0

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization."""
        (scale,) = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        (zero_point,) = self.zero_points
        return zero_point


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor; `data` is None for activations and a read-only array of `shape` for constants."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None

    @property
    def elements(self) -> int:
        """The number of values."""
        product = 1
        for length in self.shape:
            product *= length
        return product

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor as the C holds it, one value an element."""
        return self.elements * np.dtype(NUMPY_TYPES[self.dtype]).itemsize


@dataclass(frozen=True)
class Operator:
    """One node: tensor indices in the file's order, -1 where an optional input is absent."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """One subgraph in the file's execution order."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
