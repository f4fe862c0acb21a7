# SPDX-License-Identifier: Apache-2.0
"""QuaRot: the residual stream and the heads' values turned, so that no channel stands out.

1. Fold each norm's weight and bias into the linear layers that alone read it.
2. A stream's rows x become x R, R orthogonal with R 1 = 1. A norm without weight and bias then
   gives norm(x) R: it takes the mean off, which R leaves alone, and divides by a length that R
   leaves alone. R is C^T P C: C is the orthonormal cosine transform, whose first row is constant,
   and P a permutation with signs, of all rows but that.
3. What writes the stream gives R^T y: weights and bias of linear layers, and rows of tables. What
   gives its first rows, a GELU or an embedding, is followed by a matrix R^T.
4. What reads the stream behind a norm takes W R. The head keeps the weights that it has in common
   with the embedding: a matrix in front of it turns back, and has the norm's weight and bias.
5. A head's values become v S, S another such matrix, and the layer that reads their mix, W S.

Queries and keys are left as they are, since rotary positions stand between them and their product;
so is what follows a GELU or gate, which the paper turns at run time.
Source: S. Ashkboos et al., QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, NeurIPS 2024
(arXiv 2404.00456), section 4, stage 1. It has RMSNorm and Hadamard matrices: those do not keep 1,
and not every width has one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.models import SpeechModel, Stream
from codegen.models._layers import linear

if TYPE_CHECKING:
    import torch

NEEDS_OBSERVATIONS = False
_SEED = 2404

_Doubles = NDArray[np.float64]


def transform(model: SpeechModel, observed: Any = None) -> SpeechModel:
    """The model with its residual streams and its heads' values turned."""
    turned = replace(model, graphs=tuple(replace(g, module=copy.deepcopy(g.module)) for g in model.graphs))
    rng = np.random.default_rng(_SEED)
    for norm, readers in model.adjacency.items():
        if norm not in [s.tied for s in model.streams]:
            _fold(_Modules(turned), norm, readers)
    for values, out in model.mixes.items():
        _turn_heads(_Modules(turned), values, out, rng)
    for stream in model.streams:
        turned = _turn(turned, stream, rng)
    return turned


def keeping_ones(width: int, rng: np.random.Generator) -> _Doubles:
    """A random orthogonal matrix (width, width) that maps the vector of ones to itself."""
    steps = np.arange(width)
    cosines = np.cos(np.pi / width * np.outer(steps, steps + 0.5)) * np.sqrt(2 / width)
    cosines[0] = np.sqrt(1 / width)
    signs = rng.choice([-1.0, 1.0], width - 1)
    moved = cosines.copy()
    moved[1:] = signs[:, None] * cosines[1 + rng.permutation(width - 1)]
    return cosines.T @ moved


class _Modules:
    def __init__(self, model: SpeechModel):
        self.modules = {graph.name: graph.module for graph in model.graphs}

    def __getitem__(self, path: str) -> Any:
        name, _, place = path.partition("/")
        return self.modules[name].get_submodule(place.replace("/", "."))

    def __setitem__(self, path: str, module: Any) -> None:
        parent, _, name = path.rpartition("/")
        setattr(self[parent], name, module)


def _parameter(values):
    import torch

    return torch.nn.Parameter(torch.from_numpy(values.astype(np.float32)), requires_grad=False)


def _d(t):
    return t.detach().double().numpy()


def _fold(modules, norm, readers):
    part = modules[norm]
    weight = _d(part.weight) / part.unit
    for reader in readers:
        layer = modules[reader]
        if part.bias is not None:
            bias = _d(layer.weight) @ _d(part.bias)
            layer.bias = _parameter(bias + (0 if layer.bias is None else _d(layer.bias)))
        layer.weight = _parameter(_d(layer.weight) * weight)
    part.weight = _parameter(np.full(len(weight), part.unit))
    part.bias = None


def _turn_heads(modules, values, out, rng):
    value, layer = modules[values], modules[out]
    heads = modules[out.rpartition("/")[0]].heads
    width = len(value.weight) // heads
    S = np.kron(np.eye(heads), keeping_ones(width, rng))
    value.weight = _parameter(S.T @ _d(value.weight))
    if value.bias is not None:
        value.bias = _parameter(S.T @ _d(value.bias))
    layer.weight = _parameter(_d(layer.weight) @ S)


def _turn(model, stream, rng):
    import torch

    modules = _Modules(model)
    (width,) = modules[stream.norms[0]].weight.shape
    R = keeping_ones(width, rng)
    for writer in stream.writers:
        layer = modules[writer]
        layer.weight = _parameter(R.T @ _d(layer.weight))
        if layer.bias is not None:
            layer.bias = _parameter(R.T @ _d(layer.bias))
    for norm in stream.norms:
        if norm == stream.tied:
            part = modules[norm]
            back = linear(_parameter((_d(part.weight) / part.unit)[:, None] * R), None if part.bias is None else part.bias)
            part.weight = _parameter(np.full(width, part.unit))
            part.bias = None
            modules[norm] = torch.nn.Sequential(part, back)
            continue
        for reader in model.adjacency[norm]:
            layer = modules[reader]
            layer.weight = _parameter(_d(layer.weight) @ R)
    modules[stream.start] = torch.nn.Sequential(modules[stream.start], linear(_parameter(R.T)))
    tables = {name: np.asarray(t @ R if name in stream.tables else t, np.float32) for name, t in model.tables.items()}
    return replace(model, tables=tables)
