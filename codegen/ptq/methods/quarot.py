# SPDX-License-Identifier: Apache-2.0
"""QuaRot: the residual streams and the heads' values turned, so that no channel stands out.

1. Put a matrix of its own, at first the identity, behind what begins a stream, a GELU or the rows
   of words, and one in front of the head, which keeps the weights that it has in common with the
   embedding. These matrices keep 8 bits.
2. Fold each norm's weight and bias into the linear layers that alone read it.
3. A stream's rows x become x R, with R orthogonal and R 1 = 1. A norm without weight and bias then
   gives norm(x) R, since R leaves both the mean that it takes off and the length that it divides by
   as they are. R is C^T P C: C is the orthonormal cosine transform, whose first row is constant,
   and P a permutation, with signs, of all rows but the first.
4. What writes the stream gives R^T y instead: weights and biases of linear layers, rows of tables.
5. What reads it behind a norm has W R instead of W.
6. A head's values v become v S, S another such matrix, and the layer that reads their mix has W S.

Left as they are: queries and keys, since rotary positions stand between them and their product, and
what follows a GELU or a gate, which the paper turns at run time.
Source: S. Ashkboos et al., QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, NeurIPS 2024
(arXiv 2404.00456), section 4, stage 1. There the norms are RMSNorm and the matrices Hadamard's,
which do not keep 1, and which not every width has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.models import SpeechModel, Stream
from codegen.ptq.observe import Observations

if TYPE_CHECKING:
    import torch

    from codegen.ptq.recipe import Recipe

NEEDS_OBSERVATIONS = False
#: Of the permutations and signs.
_SEED = 240400456

_Doubles = NDArray[np.float64]


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with its streams and its heads' values turned; `observed` is not looked at."""
    made = model.copied()
    for stream in made.streams:
        made = _bounded(made, stream)
    for norm in (norm for stream in made.streams for norm in stream.norms):
        _fold(made.module(norm), [made.module(reader) for reader in made.adjacency[norm]])
    rng = np.random.default_rng(_SEED)
    for values, reader in made.mixes.items():
        heads = made.module(reader.rpartition("/")[0]).heads
        writer = made.module(values)
        turn = keeping_ones(len(writer.weight) // heads, rng)
        every = np.kron(np.eye(heads), turn).astype(np.float64)
        _turn_outputs(writer, every)
        _turn_inputs(made.module(reader), every)
    tables = dict(made.tables)
    for stream in made.streams:
        turn = keeping_ones(len(made.module(stream.norms[0]).weight), rng)
        for path in stream.writers:
            _turn_outputs(made.module(path), turn)
        for norm in stream.norms:
            for path in made.adjacency[norm]:
                _turn_inputs(made.module(path), turn)
        turned = {name: tables[name].astype(np.float64) @ turn for name in stream.tables}
        tables |= {name: rows.astype(np.float32) for name, rows in turned.items()}
    return replace(made, tables=tables)


def keeping_ones(width: int, rng: np.random.Generator) -> _Doubles:
    """A random orthogonal matrix (width, width) that maps a vector of ones to itself.

    >>> turn = keeping_ones(5, np.random.default_rng(0))
    >>> np.allclose(turn @ turn.T, np.eye(5)), np.allclose(turn.sum(axis=1), 1)
    (True, True)
    """
    rows = np.arange(width)
    cosines = np.sqrt(2 / width) * np.cos(np.pi / width * np.outer(rows, rows + 0.5))
    cosines[0] = np.sqrt(1 / width)
    moved = cosines[np.append(0, 1 + rng.permutation(width - 1))]
    moved[1:] *= rng.choice([-1.0, 1.0], (width - 1, 1))
    result: _Doubles = cosines.T @ moved
    return result


def _bounded(model: SpeechModel, stream: Stream) -> SpeechModel:
    """The model with an identity behind the stream's start and one in front of what is tied."""
    width = len(model.module(stream.norms[0]).weight)
    adjacency, writers, norms = dict(model.adjacency), stream.writers, stream.norms
    added = [f"{path}/1" for path in (stream.start, stream.tied) if path is not None]
    if stream.start is not None:
        _append(model, stream.start, width)
        writers = (*writers, f"{stream.start}/1")
    if stream.tied is not None:
        _append(model, stream.tied, width)
        norm = f"{stream.tied}/0"
        norms = tuple(norm if each == stream.tied else each for each in norms)
        adjacency[norm] = (f"{stream.tied}/1",)
        del adjacency[stream.tied]
    bounded = replace(stream, writers=writers, norms=norms, start=None, tied=None)
    return replace(
        model,
        adjacency=adjacency,
        streams=tuple(bounded if each is stream else each for each in model.streams),
        int8_scopes=(*model.int8_scopes, *added),
    )


def _append(model: SpeechModel, path: str, width: int) -> None:
    """Put a linear layer that changes nothing behind a module: "path" becomes "path/0"."""
    import torch

    from codegen.models import linear

    parent, _, name = path.rpartition("/")
    both = torch.nn.Sequential(model.module(path), linear(torch.eye(width)))
    setattr(model.module(parent), name, both)


def _fold(norm: Any, readers: list[Any]) -> None:
    """Move the norm's weight and bias into the linear layers that alone read it."""
    weight = _doubles(norm.weight) / norm.unit
    for layer in readers:
        if norm.bias is not None:
            bias = _doubles(layer.weight) @ _doubles(norm.bias)
            layer.bias = _parameter(bias if layer.bias is None else bias + _doubles(layer.bias))
        layer.weight = _parameter(_doubles(layer.weight) * weight)
    norm.weight, norm.bias = _parameter(np.full(len(weight), norm.unit)), None


def _turn_inputs(layer: Any, turn: _Doubles) -> None:
    layer.weight = _parameter(_doubles(layer.weight) @ turn)


def _turn_outputs(layer: Any, turn: _Doubles) -> None:
    layer.weight = _parameter(turn.T @ _doubles(layer.weight))
    if layer.bias is not None:
        layer.bias = _parameter(turn.T @ _doubles(layer.bias))


def _doubles(values: torch.Tensor) -> _Doubles:
    result: _Doubles = values.detach().double().numpy()
    return result


def _parameter(values: _Doubles) -> torch.nn.Parameter:
    import torch

    return torch.nn.Parameter(torch.from_numpy(values.astype(np.float32)), requires_grad=False)
