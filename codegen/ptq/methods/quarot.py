# SPDX-License-Identifier: Apache-2.0
"""QuaRot: the residual streams and the heads' values turned, so that no channel stands out.

1. A head's values v become v S, with S orthogonal, and the layer that reads their mix has W S.
2. Put a matrix of its own, at first the identity, behind what begins a stream, a GELU or the rows
   of words, and one in front of the head, which keeps the weights that it has in common with the
   embedding. These matrices keep 8 bits.
3. Fold the weights and biases of the stream's norms into the linear layers that alone read them.
4. A stream's rows x become x R, with R orthogonal and R 1 = 1. A norm without weight and bias then
   gives norm(x) R, since R leaves both the mean that it takes off and the length that it divides by
   as they are. R, and S, is C^T P C: C is the orthonormal cosine transform, whose first row is
   constant, and P a permutation, with signs, of all rows but the first.
5. What writes the stream gives R^T y instead: weights and biases of linear layers, rows of tables.
   What reads it behind a norm has W R instead of W.
6. Keep step 1 of an attention, and steps 2 to 5 of a stream, where these layers err less in sum,
   rounded by the recipe's own method, relative to their outputs, on rows that this did not see.

Left as they are: queries and keys, since rotary positions stand between them and their product, and
what follows a GELU or a gate, which the paper turns at run time.
Source: S. Ashkboos et al., QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, NeurIPS 2024
(arXiv 2404.00456), section 4, stage 1. There the norms are RMSNorm and the matrices Hadamard's,
which do not keep 1, and which not every width has; and all is turned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.models import SpeechModel, Stream
from codegen.ptq.methods import _equivalent

if TYPE_CHECKING:
    import torch

    from codegen.ptq.observe import Observations, Observed
    from codegen.ptq.recipe import Recipe

#: Of the permutations and signs.
_SEED = 240400456

_Doubles = NDArray[np.float64]


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with streams and heads' values turned where their layers err less for it."""
    observed = {path: _equivalent.held_out(seen) for path, seen in observed.items()}
    inputs = {path: _Inputs(seen.rows, seen.moments) for path, seen in observed.items()}
    state, rng = _State(model.copied(), inputs), np.random.default_rng(_SEED)
    judge = _Judge(model, observed, recipe)
    for values, reader in model.mixes.items():
        heads = model.module(reader.rpartition("/")[0]).heads
        turn = keeping_ones(len(model.module(values).weight) // heads, rng)
        every = np.kron(np.eye(heads), turn).astype(np.float64)
        state = judge.better(state, _with_values(state, values, reader, every), (values, reader))
    for stream in model.streams:
        turn = keeping_ones(len(model.module(stream.norms[0]).weight), rng)
        readers = [path for n in stream.norms if n != stream.tied for path in model.adjacency[n]]
        layers = (*stream.writers, *readers)
        state = judge.better(state, _with_stream(state, stream, turn, observed), layers)
    return state.model


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Rows (n, in) that a layer is fed, and moments (in, in) of all of them."""

    rows: NDArray[np.float32]
    moments: _Doubles

    def turned(self, turn: _Doubles) -> _Inputs:
        """The rows times a matrix."""
        return _Inputs((self.rows @ turn).astype(np.float32), turn.T @ self.moments @ turn)


@dataclass(frozen=True, eq=False)
class _State:
    """A model on the way, and what its layers are fed."""

    model: SpeechModel
    inputs: Mapping[str, _Inputs]


@dataclass(frozen=True, eq=False)
class _Judge:
    """Compares states of a model, as it was when it was observed, by a recipe's rounding."""

    model: SpeechModel
    observed: Observations
    recipe: Recipe

    def better(self, one: _State, other: _State, layers: Sequence[str]) -> _State:
        """The one in which layers err less in sum; the first of equals."""
        before, after = (sum(self.error(each, path) for path in layers) for each in (one, other))
        return other if after < before else one

    def error(self, state: _State, path: str) -> float:
        """A layer's squared error, relative to its outputs."""
        seen, weight = state.inputs[path], state.model.module(path).weight.numpy()
        rule, method = self.recipe.for_linear(path), self.recipe.method
        wrong = _equivalent.squared_error(weight, seen.rows, seen.moments, rule, method)
        first = self.model.module(path).weight.numpy()
        return wrong / _equivalent.power(first, self.observed[path].rows)


def _with_values(state: _State, values: str, reader: str, turn: _Doubles) -> _State:
    """A copy in which the heads' values are turned, by a matrix for all heads."""
    model, inputs = state.model.copied(), dict(state.inputs)
    _turn_outputs(model.module(values), turn)
    _turn_inputs(model.module(reader), turn)
    inputs[reader] = inputs[reader].turned(turn)
    return _State(model, inputs)


def _with_stream(state: _State, stream: Stream, turn: _Doubles, observed: Observations) -> _State:
    """A copy in which a stream is turned."""
    model, inputs = state.model.copied(), dict(state.inputs)
    model, stream = _bounded(model, stream)
    for norm in stream.norms:
        module, readers = model.module(norm), model.adjacency[norm]
        for path in set(readers) & set(observed):
            inputs[path] = _unscaled(observed[path], module).turned(turn)
        _fold(module, [model.module(path) for path in readers])
        for path in readers:
            _turn_inputs(model.module(path), turn)
    for path in stream.writers:
        _turn_outputs(model.module(path), turn)
    turned = {name: model.tables[name].astype(np.float64) @ turn for name in stream.tables}
    tables = {name: rows.astype(np.float32) for name, rows in turned.items()}
    return _State(replace(model, tables={**model.tables, **tables}), inputs)


def _unscaled(seen: Observed, norm: Any) -> _Inputs:
    """What readers are fed once the norm has neither weight nor bias; 0 where its weight is 0."""
    weight = _doubles(norm.weight) / norm.unit
    bias = np.zeros(len(weight)) if norm.bias is None else _doubles(norm.bias)
    scales = np.where(weight == 0, np.inf, weight).astype(np.float32)
    change = _equivalent.Change(scales, bias.astype(np.float32))
    rows = (seen.rows - change.shifts) / change.scales
    return _Inputs(rows, _equivalent.changed_moments(seen, change))


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


def _bounded(model: SpeechModel, stream: Stream) -> tuple[SpeechModel, Stream]:
    """Put an identity behind the stream's start and one in front of what is tied."""
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
    streams = tuple(bounded if each is stream else each for each in model.streams)
    scopes = (*model.int8_scopes, *added)
    return replace(model, adjacency=adjacency, streams=streams, int8_scopes=scopes), bounded


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
