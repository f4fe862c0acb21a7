# SPDX-License-Identifier: Apache-2.0
"""A transformers folder: config.json, generation_config.json, model.safetensors, tokenizer.json.

Nothing in it is executed: pickles and code are not read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.errors import UserError
from codegen.models._safetensors import load_tensors
from codegen.models._tokenizer import TOKENIZER, read_tokens
from codegen.package import read_json

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
MAX_WEIGHTS_BYTES = 1 << 30
_HEAD = "proj_out.weight"


@dataclass(frozen=True)
class Source:
    """The folder of a checkpoint and what its JSON files say."""

    folder: Path

    def __post_init__(self) -> None:
        """Raise UserError for a folder that lacks a file."""
        for name in (CONFIG, GENERATION, WEIGHTS, TOKENIZER):
            if not (self.folder / name).is_file():
                raise UserError(
                    f"{self.folder} has no {name}; a transformers folder needs {CONFIG},"
                    f" {GENERATION}, {WEIGHTS} and {TOKENIZER}: save the model with"
                    " save_pretrained (weights in other formats are not read)."
                )

    @property
    def name(self) -> str:
        """The folder's name as a plain name."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.folder.absolute().name).lstrip("-._")
        return name[:100] or "model"

    @property
    def sha256(self) -> str:
        """Of the four files together."""
        digest = hashlib.sha256()
        for name in (CONFIG, GENERATION, TOKENIZER, WEIGHTS):
            data = (self.folder / name).read_bytes()
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    @cached_property
    def config(self) -> Settings:
        """config.json."""
        return Settings(self.folder / CONFIG)

    @cached_property
    def generation(self) -> Settings:
        """generation_config.json."""
        return Settings(self.folder / GENERATION)

    def weights(self) -> Weights:
        """Every tensor of the checkpoint, to be taken one by one."""
        path = self.folder / WEIGHTS
        return Weights(path, dict(load_tensors(path, MAX_WEIGHTS_BYTES)))

    def tokens(self, size: int, optional_from: int | None = None) -> tuple[bytes, ...]:
        """Each token's bytes, as `read_tokens` gives them."""
        return read_tokens(self.folder / TOKENIZER, size, optional_from)


class Settings:
    """One JSON table of a checkpoint, read value by value; every complaint names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        values = read_json(path)
        if not isinstance(values, dict):
            raise UserError(f"{path} is not a table; download it again.")
        self.values: Mapping[str, Any] = values

    def fail(self, problem: str) -> UserError:
        """The error to raise about this file."""
        return UserError(f"{self.path}: {problem}; take a checkpoint that this family supports.")

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number of a range."""
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int or not least <= value <= most:
            raise self.fail(f"{key} is {value!r:.40}; whole numbers {least} to {most} are allowed")
        return value

    def only(self, key: str, allowed: Any, default: Any = None) -> None:
        """Raise UserError unless the value is the one that is supported."""
        value = self.values.get(key, default)
        if value != allowed:
            raise self.fail(f"{key} is {value!r:.40}; supported is {allowed!r}")

    def token(self, key: str, size: int) -> int:
        """The number of a token, of `size`."""
        return self.whole(key, 0, size - 1)

    def token_list(self, key: str, size: int) -> list[int]:
        """Numbers of tokens, sorted; none where the key is missing."""
        value = self.values.get(key)
        value = [] if value is None else value
        if not isinstance(value, list) or not all(
            type(item) is int and 0 <= item < size for item in value
        ):
            raise self.fail(f"{key} is {value!r:.40}; token numbers below {size} are allowed")
        return sorted(set(value))


@dataclass
class Weights:
    """The tensors of a model.safetensors; what is left at the end was not expected."""

    path: Path
    tensors: dict[str, np.ndarray]
    taken: set[str] = field(default_factory=set)

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A float32 copy of one tensor; raises UserError where it is missing, of another shape, or
        holds values that are not finite.
        """
        import torch

        if name not in self.tensors:
            raise UserError(
                f"{self.path} lacks the tensor {name!r} of shape {shape}; the sizes in {CONFIG} do"
                " not belong to these weights, or the download is incomplete."
            )
        value = self.tensors[name]
        if value.shape != shape:
            raise UserError(
                f"{self.path}: tensor {name!r} has shape {value.shape}; by {CONFIG} it must be"
                f" {shape}: take the two files from the same checkpoint."
            )
        if not np.isfinite(value).all():
            raise UserError(
                f"{self.path}: tensor {name!r} holds values that are not finite; download it again."
            )
        self.taken.add(name)
        return torch.from_numpy(value.astype(np.float32))

    def has(self, name: str) -> bool:
        """Whether the checkpoint has that tensor."""
        return name in self.tensors

    def done(self, embedding: str, ignored: Iterable[str] = ()) -> None:
        """Raise UserError for tensors that nothing took, and for a head that is not `embedding`."""
        head = self.tensors.get(_HEAD)
        if head is not None and not np.array_equal(head, self.tensors[embedding]):
            raise UserError(
                f"{self.path}: {_HEAD!r} differs from {embedding!r}; only a head that is tied to"
                " the embedding is supported."
            )
        left = sorted(set(self.tensors) - self.taken - {_HEAD} - set(ignored))
        if left:
            raise UserError(
                f"{self.path} has {len(left)} tensors that the model of {CONFIG} has no place for,"
                f" such as {left[0]!r:.80}: take the two files from the same checkpoint."
            )
