# SPDX-License-Identifier: Apache-2.0
"""What every model family hands over: graphs to export and how to get from PCM to text."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.errors import UserError
from codegen.frontend.log_mel import LogMel
from codegen.package import read_json
from codegen.registry import plugins

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """One torch module with inputs of the static shapes to export it at."""

    name: str
    phase: str
    module: torch.nn.Module
    sample_inputs: tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A checkpoint ready to export; `sha256` is of its weights and config together."""

    name: str
    graphs: tuple[ModelGraph, ...]
    phases: tuple[str, ...]
    front_end: LogMel
    decoding: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    window_samples: int
    sha256: str


def load_model(folder: Path) -> SpeechModel:
    """Load the checkpoint in `folder` by the family that its config.json names.

    Raises UserError for a folder without config.json, an unknown family, an install without torch,
    or what the family finds wrong.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is not a model: it has no {CONFIG}; give a folder with {CONFIG} and"
            " model.safetensors."
        )
    config = read_json(folder / CONFIG)
    families = plugins("codegen.models")
    family = config.get("family") if isinstance(config, dict) else None
    if family not in families:
        raise UserError(
            f"{folder / CONFIG}: family is {family!r:.40}; supported are {', '.join(families)}."
        )
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            f"{folder} is a checkpoint, which needs torch to load, and torch is not installed;"
            " run pip install 'stapes[torch]'."
        )
    model: SpeechModel = families[family].load_source(folder)
    return model
