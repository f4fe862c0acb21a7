# SPDX-License-Identifier: Apache-2.0
"""Checkpoints by name: a folder wins, the hub is asked for four files, and may be out of reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codegen import pipeline
from codegen.errors import UserError
from codegen.models import Checkpoint, find_checkpoint
from tests.unit._encoder_decoder import save_tiny_moonshine

pytest.importorskip("torch")
hub = pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
SIZES: dict[str, int | None] = dict.fromkeys(sorted(FILES), 100)
#: Takes what the hub lists, gives the arguments of each download.
Fake = Callable[[dict[str, int | None]], list[dict[str, Any]]]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A model's files in a cache, beside what is never read."""
    folder = tmp_path / "models--ORG--tiny" / "snapshots" / COMMIT
    save_tiny_moonshine(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    refs = tmp_path / "models--ORG--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT, encoding="utf-8")
    return folder


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, snapshot: Path) -> Fake:
    """Stands for the hub's list of files and for the download function."""

    def install(sizes: dict[str, int | None]) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def model_info(_: Any, hub_id: str, **options: Any) -> Any:
            assert hub_id == "ORG/tiny"
            assert options["files_metadata"]
            assert options["timeout"] <= 10
            listed = [SimpleNamespace(rfilename=name, size=size) for name, size in sizes.items()]
            return SimpleNamespace(siblings=listed)

        def snapshot_download(_: Any, hub_id: str, **options: Any) -> str:
            asked.append({"hub_id": hub_id, **options})
            return str(snapshot)

        monkeypatch.setattr(hub.HfApi, "model_info", model_info)
        monkeypatch.setattr(hub.HfApi, "snapshot_download", snapshot_download)
        return asked

    return install


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("revision", [None, "main", "refs/pr/1", COMMIT])
def test_only_four_files_are_downloaded(fake: Fake, snapshot: Path, revision: str | None) -> None:
    asked = fake(SIZES | {"pytorch_model.bin": 1 << 40, "modeling_tiny.py": 9})
    source = "ORG/tiny" if revision is None else f"ORG/tiny@{revision}"
    assert find_checkpoint(source) == Checkpoint(snapshot, "ORG/tiny", "tiny", COMMIT)
    (options,) = asked
    assert set(options.pop("allow_patterns")) == FILES
    assert options == {"hub_id": "ORG/tiny", "revision": revision}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"model.safetensors": (1 << 30) + 1}, "model.safetensors has 1,073,741,825 bytes"),
        ({"tokenizer.json": 1 << 40}, "tokenizer.json has .* at most 16,777,216 are read"),
        ({"model.safetensors": "DROP"}, "has no model.safetensors on the hub, and weights in"),
    ],
)
def test_sizes_are_looked_at_before_the_download(
    fake: Fake, sizes: dict[str, Any], message: str
) -> None:
    asked = fake({name: size for name, size in (SIZES | sizes).items() if size != "DROP"})
    with pytest.raises(UserError, match=f"ORG/tiny.*{message}"):
        find_checkpoint("ORG/tiny")
    assert asked == []


def test_a_folder_of_that_name_wins(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake(SIZES)
    (tmp_path / "ORG" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("ORG/tiny") == Checkpoint(Path("ORG/tiny"))
    assert asked == []


@pytest.mark.parametrize(
    "source", ["tiny", "a b/c", "ORG/../tiny", "ORG/tiny@", "a/b/c", "\n", "/x/y"]
)
def test_neither_a_folder_nor_a_name_of_the_hub(fake: Fake, source: str) -> None:
    asked = fake(SIZES)
    with pytest.raises(UserError, match=r"no such folder, and .* a folder .* ORG/NAME@REVISION"):
        find_checkpoint(source)
    assert asked == []


@pytest.mark.parametrize("source", ["ORG/tiny", "ORG/tiny@main", f"ORG/tiny@{COMMIT}"])
@pytest.mark.usefixtures("offline")
def test_what_is_cached_needs_no_hub(snapshot: Path, source: str) -> None:
    assert find_checkpoint(source) == Checkpoint(snapshot, "ORG/tiny", "tiny", COMMIT)


@pytest.mark.usefixtures("offline")
def test_what_is_not_cached_offline() -> None:
    with pytest.raises(UserError, match=r"cannot be reached \(.*offline.*give that folder"):
        find_checkpoint("ORG/other")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RevisionNotFoundError", "ORG/tiny@v2: .* no such branch, tag or commit"),
        ("RepositoryNotFoundError", "ORG/tiny: there is no such folder, and the hub has no such"),
    ],
)
def test_what_the_hub_does_not_have(
    monkeypatch: pytest.MonkeyPatch, error: str, message: str
) -> None:
    kind = getattr(hub.errors, error)

    def model_info(*_: Any, **__: Any) -> Any:
        raise kind.__new__(kind)

    monkeypatch.setattr(hub.HfApi, "model_info", model_info)
    with pytest.raises(UserError, match=message):
        find_checkpoint("ORG/tiny@v2")


def test_the_package_says_where_its_checkpoint_came_from(
    fake: Fake,
) -> None:
    fake(SIZES)
    told: list[str] = []
    model, origin = pipeline.load_checkpoint("ORG/tiny@main", 80001, "en", told.append)
    assert model.name == "tiny"
    assert origin == {"name": "ORG/tiny", "revision": COMMIT}
    assert model.window_samples == 80064
    assert "asking the Hugging Face hub" in told[0]
    assert "rounded up to 5.004 s" in told[1]
