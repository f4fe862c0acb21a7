# SPDX-License-Identifier: Apache-2.0
"""Checkpoints by name: a local folder, or a model of the Hugging Face hub as ORG/NAME[@REVISION].

Of a hub's model only `FILES` are downloaded, after their sizes were looked at: no pickle, no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.errors import UserError
from codegen.models._source import CONFIG, GENERATION, MAX_WEIGHTS_BYTES, WEIGHTS
from codegen.models._tokenizer import TOKENIZER
from codegen.package import MAX_JSON_BYTES

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: What is downloaded, and the most bytes that each may have.
FILES = {
    CONFIG: MAX_JSON_BYTES,
    GENERATION: MAX_JSON_BYTES,
    TOKENIZER: MAX_JSON_BYTES,
    WEIGHTS: MAX_WEIGHTS_BYTES,
}
#: How long the hub may take to say what a model consists of.
TIMEOUT_S = 10.0
_PLAIN = "[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_ID = re.compile(rf"({_PLAIN}/({_PLAIN}))(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,127}}))?")
_LOCALLY = (
    f"or download its {', '.join(FILES)} elsewhere, put them into a folder, and give that folder"
)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, and where it came from when that is the hub.

    `name` is the model's without its owner, `revision` the commit that the files are of.
    """

    folder: Path
    hub_id: str | None = None
    name: str | None = None
    revision: str | None = None

    @property
    def origin(self) -> dict[str, str]:
        """What package.json says of it under `source`."""
        if self.hub_id is None:
            return {}
        return {"name": self.hub_id, "revision": str(self.revision)}


def find_checkpoint(source: str, notify: Callable[[str], None] = lambda _: None) -> Checkpoint:
    """The folder of that name, else the hub's model, downloaded unless it is cached already.

    `notify` is told before the hub is asked. Raises UserError for what is neither, and where the
    hub cannot be reached or lacks the model.
    """
    if Path(source).exists():
        return Checkpoint(Path(source))
    found = _HUB_ID.fullmatch(source)
    if found is None or ".." in source:
        raise UserError(
            f"{source}: there is no such folder, and this is no model of the hub; give a folder"
            f" with {CONFIG} and {WEIGHTS}, or ORG/NAME or ORG/NAME@REVISION, such as"
            " UsefulSensors/moonshine-tiny."
        )
    hub_id, name, revision = found.groups()
    notify(f"there is no folder {source} here; asking the Hugging Face hub for it")
    folder = _snapshot(hub_id, revision)
    return Checkpoint(folder, hub_id, name, folder.name)


def _snapshot(hub_id: str, revision: str | None) -> Path:
    """The folder of a commit's files in the cache of huggingface_hub; it is named as the commit."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi()
    try:
        info = api.model_info(hub_id, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        _check(hub_id, info)
        # asked by the same name again, so that the cache knows it when there is no connection
        return Path(api.snapshot_download(hub_id, revision=revision, allow_patterns=list(FILES)))
    except RevisionNotFoundError as error:
        raise UserError(
            f"{hub_id}@{revision}: the hub's model has no such branch, tag or commit; check"
            " the name behind the @."
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{hub_id}: there is no such folder, and the hub has no such model, or none that you"
            " may read; check the name, or give the folder of a checkpoint."
        ) from error
    except (HTTPError, OSError) as error:
        cached = _cached(api, hub_id, revision)
        if cached is not None:
            return cached
        raise UserError(
            f"{hub_id}: there is no such folder, and the Hugging Face hub cannot be reached"
            f" ({_reason(error)}); try again with a connection, {_LOCALLY}."
        ) from error


def _check(hub_id: str, info: Any) -> None:
    """Raise UserError for files that would not be read."""
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    if WEIGHTS not in sizes:
        raise UserError(
            f"{hub_id} has no {WEIGHTS} on the hub, and weights in other formats are not read;"
            " choose a revision that has it, or convert the model with save_pretrained."
        )
    for name, most in FILES.items():
        size = sizes.get(name) or 0
        if size > most:
            raise UserError(
                f"{hub_id}: {name} has {size:,} bytes on the hub, at most {most:,} are read;"
                " choose a smaller model."
            )


def _cached(api: HfApi, hub_id: str, revision: str | None) -> Path | None:
    """The snapshot that an earlier download left, without asking the hub."""
    try:
        folder = api.snapshot_download(
            hub_id, revision=revision, allow_patterns=list(FILES), local_files_only=True
        )
    except OSError:
        return None
    return Path(folder)


def _reason(error: Exception) -> str:
    """The first sentence of what went wrong."""
    sentence = re.split(r"\n|\. ", str(error).strip() or type(error).__name__)[0]
    return f"{sentence:.160}".rstrip(".:")
