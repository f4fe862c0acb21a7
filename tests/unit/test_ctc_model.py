# SPDX-License-Identifier: Apache-2.0
"""The CTC family: shapes, folding, checkpoints and what is wrong with bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.frontend.log_mel import LogMel
from codegen.models import load_model
from codegen.models.ctc import CtcConfig, folded, network, output_frames, save_source

torch = pytest.importorskip("torch")

CONFIG = CtcConfig(vocabulary=5, channels=8, blocks=2, kernel=5)
WORDS = ("<blank>", "on", "off", "light", "größer")


def _trained(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = network(CONFIG)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.8, 1.2)
    return net


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "commands"
    _save(folder)
    return folder


def _save(folder: Path) -> None:
    front_end = LogMel(mean=-5.0, std=2.0)
    save_source(
        folder,
        _trained(),
        CONFIG,
        name="commands",
        vocabulary=WORDS,
        blank=0,
        front_end=front_end,
        window_samples=front_end.window_samples(41),
    )


@pytest.mark.parametrize("frames", [5, 40, 41, 42, 43, 97])
def test_any_number_of_frames(frames: int) -> None:
    with torch.no_grad():
        logits = _trained().eval()(torch.randn(2, frames, 1, 40))
    assert tuple(logits.shape) == (2, output_frames(frames), 1, 5)


def test_the_usual_size_is_about_180_thousand() -> None:
    count = sum(p.numel() for p in network(CtcConfig(vocabulary=40)).parameters())
    assert 150_000 < count < 200_000


def test_folding_changes_nothing_but_the_layers() -> None:
    net = _trained()
    frames = torch.randn(1, 41, 1, 40)
    with torch.no_grad():
        expected, got = net.eval()(frames), folded(net)(frames)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(net).modules())
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_checkpoint_comes_back(checkpoint: Path) -> None:
    model = load_model(checkpoint)
    (graph,) = model.graphs
    assert model.vocabulary == WORDS
    assert model.front_end == LogMel(mean=-5.0, std=2.0)
    assert tuple(graph.sample_inputs[0].shape) == (1, 41, 1, 40)
    frames = torch.randn(1, 41, 1, 40)
    with torch.no_grad():
        expected = _trained().eval()(frames)
        np.testing.assert_allclose(graph.module(frames), expected, atol=1e-5)


def test_the_same_network_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(tmp_path / name)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert load_model(tmp_path / "a").sha256 == load_model(tmp_path / "b").sha256


def _change(checkpoint: Path, **values: Any) -> None:
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    config.update(values)
    path.write_text(json.dumps({k: v for k, v in config.items() if v != "DROP"}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "rnn"}, "family is 'rnn'; supported are ctc"),
        ({"channels": 16}, "check channels"),
        ({"channels": -1}, "whole numbers 1 to 1024"),
        ({"channels": True}, "whole numbers 1 to 1024"),
        ({"blocks": 3}, "lacks 10 tensors"),
        ({"blocks": 1}, "beyond what the configured network holds"),
        ({"blocks": 10**9}, "whole numbers 1 to 64"),
        ({"kernel": 4}, "must be odd"),
        ({"kernel": 7}, "shape"),
        ({"vocabulary": ["a"] * 6}, "shape"),
        ({"vocabulary": "abc"}, "list"),
        ({"vocabulary": [1, 2]}, "word 0"),
        ({"blank": 5}, "0 to 4"),
        ({"extra": 1}, "keys must be"),
        ({"name": "../../x"}, "name is"),
        ({"name": "DROP"}, "keys must be"),
        ({"separator": "x" * 9}, "at most 8"),
        ({"window_samples": 16000}, r"4 n \+ 1"),
        ({"window_samples": 1}, r"4 n \+ 1"),
        ({"front_end": {"kind": "mfcc"}}, "log_mel"),
        ({"front_end": {"kind": "log_mel", "volume": 11}}, "volume"),
    ],
)
def test_a_wrong_config_is_named(checkpoint: Path, values: dict[str, Any], message: str) -> None:
    _change(checkpoint, **values)
    with pytest.raises(UserError, match=message):
        load_model(checkpoint)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass"), '{"family": NaN}'],
)
def test_a_config_that_is_none(checkpoint: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (checkpoint / "config.json").write_bytes(data)
    with pytest.raises(UserError, match=r"config\.json"):
        load_model(checkpoint)


def test_missing_files(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json"):
        load_model(tmp_path)
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is not a file"):
        load_model(checkpoint)


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dtype", "F64", "supported are F32"),
        ("dtype", ["F32"], "supported are F32"),
        ("shape", [5, 8, 1, 2], "does not lie where it says"),
        ("shape", [-5, 8, 1, 1], "malformed shape"),
        ("shape", [2**39, 2**39], "does not lie where it says"),
        ("shape", "wide", "malformed shape"),
        ("data_offsets", [0, 2**60], "malformed"),
        ("data_offsets", [8, 4], "does not lie where it says"),
        ("data_offsets", [10**7, 10**7 + 160], "does not lie where it says"),
    ],
)
def test_a_wrong_tensor_is_named(checkpoint: Path, field: str, value: Any, message: str) -> None:
    path = checkpoint / "model.safetensors"
    header, body = _header(path.read_bytes())
    header["head.weight"][field] = value
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    with pytest.raises(UserError, match=message) as caught:
        load_model(checkpoint)
    assert "head.weight" in str(caught.value)


def test_values_that_are_not_finite(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    header, body = _header(path.read_bytes())
    begin, _ = header["head.weight"]["data_offsets"]
    body = body[:begin] + np.float32("nan").tobytes() + body[begin + 4 :]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    with pytest.raises(UserError, match=r"'head\.weight' holds values that are not finite"):
        load_model(checkpoint)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 3000])
def test_a_truncated_checkpoint(checkpoint: Path, kept: int) -> None:
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="truncated or damaged"):
        load_model(checkpoint)
