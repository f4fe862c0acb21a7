# SPDX-License-Identifier: Apache-2.0
"""What every model family hands over: graphs to export and how to get from PCM to text."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.errors import UserError
from codegen.package import read_json
from codegen.registry import plugins
from codegen.wiring import StateBuffer

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
#: Added to the scores of cache positions that hold nothing yet: e^-60 of an attended one.
MASKED = -60.0


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """One torch module with inputs of the static shapes to export it at.

    In models of several graphs `inputs` and `outputs` name what goes in and comes out, in order;
    equal names are wired together.
    """

    name: str
    phase: str
    module: torch.nn.Module
    sample_inputs: tuple[torch.Tensor, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stream:
    """Rows that layers add to and that only norms read; all parts as "graph/module/path".

    `writers` are the linear layers whose outputs are added up, with rows of `tables`; `norms` are
    all that read it. `start` is what begins it and is no linear layer; who reads the output of the
    norm `tied` has its weights in common with a table, and keeps them.
    """

    writers: tuple[str, ...]
    norms: tuple[str, ...]
    tables: tuple[str, ...] = ()
    start: str | None = None
    tied: str | None = None


@dataclass(frozen=True)
class Stage:
    """A module that is fed what the one of the stage before gives, all as "graph/module/path".

    `layers` are its linear layers in the order in which they run; those that read the same tensor
    are together.
    """

    module: str
    layers: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A checkpoint ready to export; `sha256` is of its weights and config together.

    `front_end` turns int16 PCM (samples,) into what the first graph takes, by features(pcm) and
    normalized(features); its spec is to_dict(). `tables` holds (entries, width) arrays whose rows
    the runtime hands to graphs as inputs of that name: "embedding" by token, all others by
    position. `adjacency` maps each norm to the linear layers that alone read its output, `mixes`
    each linear layer of values to the one that alone reads what attention makes of them, `gated`
    each whose outputs a gate multiplies to the one that alone reads the product, all as
    "graph/module/path"; `streams` are the residual ones. `stages` run one after another over a
    whole window, from the first graph's input on; the decoder's steps are none. A recipe's scopes
    are `int16_scopes`, of operators that int8 activations ruin, and `int8_scopes`, of those whose
    weights keep 8 bits.
    """

    name: str
    graphs: tuple[ModelGraph, ...]
    phases: tuple[str, ...]
    front_end: Any
    decoding: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    window_samples: int
    sha256: str
    state: tuple[StateBuffer, ...] = ()
    tables: Mapping[str, np.ndarray] = field(default_factory=dict)
    adjacency: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mixes: Mapping[str, str] = field(default_factory=dict)
    gated: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()
    stages: tuple[Stage, ...] = ()
    int16_scopes: tuple[str, ...] = ()
    int8_scopes: tuple[str, ...] = ()

    def module(self, path: str) -> Any:
        """The module called "graph/module/path"; raises KeyError or AttributeError for none."""
        name, _, inner = path.partition("/")
        graphs = {graph.name: graph.module for graph in self.graphs}
        return graphs[name].get_submodule(inner.replace("/", "."))

    def copied(self) -> SpeechModel:
        """The model with modules of its own: changing them leaves this one's as they are."""
        graphs = (replace(graph, module=copy.deepcopy(graph.module)) for graph in self.graphs)
        return replace(self, graphs=tuple(graphs))


def load_model(
    folder: Path, window_samples: int | None = None, language: str | None = None
) -> SpeechModel:
    """Load the checkpoint in `folder` by its config.json.

    The model may have a window somewhat longer than asked for: whole frames. Raises UserError for a
    folder without config.json, an unknown family, an install without torch, a window or a language
    that the model lacks, or what the family finds wrong.
    """
    if window_samples is not None or language is not None:
        return load_float_model(folder, window_samples, language)
    model: SpeechModel = _family(folder).load_source(folder)
    return model


def load_float_model(
    folder: Path, window_samples: int | None = None, language: str | None = None
) -> SpeechModel:
    """Load an encoder-decoder checkpoint, a transformers folder, as float graphs of a window.

    Raises UserError as `load_model` does, and for a window or a language that the model lacks.
    """
    family = _family(folder)
    if not hasattr(family, "MODEL_TYPE"):
        raise UserError(
            f"{folder} is a checkpoint of the family {_name(family)!r}, whose {CONFIG} fixes window"
            " and language; leave out --window and --language."
        )
    model: SpeechModel = family.load_source(folder, window_samples, language)
    return model


def _name(family: ModuleType) -> str:
    return family.__name__.rpartition(".")[2]


def _family(folder: Path) -> ModuleType:
    """The module of the family that config.json names, as "family" or as "model_type"."""
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is not a model: it has no {CONFIG}; give a folder with {CONFIG} and"
            " model.safetensors."
        )
    config = read_json(folder / CONFIG)
    families = plugins("codegen.models")
    table = config if isinstance(config, dict) else {}
    key = "model_type" if "model_type" in table and "family" not in table else "family"
    name = table.get(key)
    found = families.get(name) if isinstance(name, str) else None
    if found is None or hasattr(found, "MODEL_TYPE") != (key == "model_type"):
        raise UserError(
            f"{folder / CONFIG}: {key} is {name!r:.40}; supported are {', '.join(families)}."
        )
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            f"{folder} is a checkpoint, which needs torch to load, and torch is not installed;"
            " run pip install 'stapes[torch]'."
        )
    return found
