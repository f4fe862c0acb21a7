# SPDX-License-Identifier: Apache-2.0
"""A small word recogniser: depthwise-separable convolutions over log-mel frames, CTC on top.

The network sees time as the height of an image one pixel wide, so that every operator is a
CONV_2D or DEPTHWISE_CONV_2D that small runtimes already have:

    stem        convolution, 5 frames, stride 2, bands -> channels, ReLU
    down        depthwise 9 frames, stride 2, ReLU; 1x1 convolution, ReLU
    blocks      depthwise `kernel` frames, ReLU; 1x1 convolution; add the block's input; ReLU
    head        1x1 convolution to the vocabulary

Each convolution but the head's is followed by a batch normalisation that `folded` merges into it.
Every convolution pads kernel // 2 frames on either side; with 4n + 1 frames in, that equals the
SAME padding of .tflite at stride 2 too, so nothing has to be padded by an operator of its own.
n + 1 frames come out.

A checkpoint is a folder of model.safetensors, the state of `network` as trained, and config.json:

    family          "ctc"
    name            a plain name
    channels, blocks, kernel
    vocabulary      the words, one a class
    blank           the class that is CTC's blank
    separator       what stands between words
    front_end       the fields of LogMel, with "kind": "log_mel"
    window_samples  PCM samples of the network's window
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.errors import UserError
from codegen.frontend.log_mel import LogMel
from codegen.models._safetensors import load_tensors
from codegen.models._speech_model import CONFIG, ModelGraph, SpeechModel
from codegen.package import MAX_WINDOW_SAMPLES, PLAIN_NAME, check_vocabulary, read_json

if TYPE_CHECKING:
    import torch

STEM_KERNEL = 5
DOWN_KERNEL = 9
WEIGHTS = "model.safetensors"
MAX_WEIGHTS_BYTES = 1 << 28
_KEYS = (
    "family name channels blocks kernel vocabulary blank separator front_end window_samples"
).split()
_SIZES = {"channels": (1, 1024), "blocks": (1, 64), "kernel": (1, 63)}
#: Batch normalisation counts its batches; the count means nothing here.
_IGNORED = ".num_batches_tracked"


@dataclass(frozen=True)
class CtcConfig:
    """The sizes of a network; `vocabulary` counts the blank, which is index 0."""

    vocabulary: int
    channels: int = 128
    blocks: int = 7
    kernel: int = 11
    bands: int = 40


def output_frames(frames: int) -> int:
    """How many frames the network gives for `frames` in: ceil(ceil(frames / 2) / 2).

    >>> output_frames(301)
    76
    """
    return -(-frames // 4)


def network(config: CtcConfig) -> torch.nn.Module:
    """A network with fresh weights, for training and for loading a checkpoint.

    Takes normalised log-mel frames (batch, frames, 1, bands), any number of frames; gives logits
    (batch, output_frames(frames), 1, vocabulary), not yet log-softmaxed.
    """
    built: torch.nn.Module = _classes()["Network"](config)
    return built


def folded(trained: torch.nn.Module) -> torch.nn.Module:
    """A copy for inference: batch normalisation merged into the convolutions, in eval mode.

    Source: Jacob et al. 2018, section 3.2 (batch normalization folding).
    """
    import copy

    from torch.nn.utils.fusion import fuse_conv_bn_eval

    result = copy.deepcopy(trained).eval()
    for layer in result.modules():
        if isinstance(layer, _classes()["Normalised"]):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.norm)
            layer.norm = _classes()["Identity"]()
    return result


def load_source(folder: Path) -> SpeechModel:
    """The checkpoint in `folder`, folded; raises UserError naming the file and key at fault."""
    import torch

    torch.set_num_threads(1)
    config = _checked(read_json(folder / CONFIG), folder / CONFIG)
    front_end: LogMel = config["front_end"]
    sizes = {key: config[key] for key in _SIZES}
    shape = CtcConfig(len(config["vocabulary"]), bands=front_end.bands, **sizes)
    trained = network(shape)
    _fill(trained, load_tensors(folder / WEIGHTS, MAX_WEIGHTS_BYTES), folder / WEIGHTS)
    frames = front_end.frames(config["window_samples"])
    sample = torch.zeros(1, frames, 1, front_end.bands)
    digest = hashlib.sha256((folder / CONFIG).read_bytes())
    digest.update((folder / WEIGHTS).read_bytes())
    return SpeechModel(
        name=config["name"],
        graphs=(ModelGraph("network", "network", folded(trained), (sample,)),),
        phases=("network",),
        front_end=front_end,
        decoding={
            "kind": "ctc_greedy",
            "blank": config["blank"],
            "separator": config["separator"],
        },
        vocabulary=config["vocabulary"],
        window_samples=config["window_samples"],
        sha256=digest.hexdigest(),
    )


def save_source(
    folder: Path,
    trained: torch.nn.Module,
    config: CtcConfig,
    *,
    name: str,
    vocabulary: tuple[str, ...],
    blank: int,
    front_end: LogMel,
    window_samples: int,
) -> None:
    """Write what `load_source` reads; the same network gives the same bytes."""
    from safetensors.torch import save_file

    state = {k: v for k, v in trained.state_dict().items() if not k.endswith(_IGNORED)}
    written = {
        "family": "ctc",
        "name": name,
        **{key: getattr(config, key) for key in _SIZES},
        "vocabulary": list(vocabulary),
        "blank": blank,
        "separator": " ",
        "front_end": front_end.to_dict(),
        "window_samples": window_samples,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in state.items()}, folder / WEIGHTS)
    text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _checked(config: Any, path: Path) -> dict[str, Any]:
    """config.json's values, the front end and vocabulary as objects."""

    def fail(problem: str) -> UserError:
        return UserError(f"{path}: {problem}; correct the file.")

    if not isinstance(config, dict) or set(config) != set(_KEYS):
        found = ", ".join(f"{key!r:.40}" for key in config) if isinstance(config, dict) else "none"
        raise fail(f"the keys must be {', '.join(_KEYS)}; found {found}")
    checked = dict(config)
    checked["vocabulary"] = check_vocabulary(config["vocabulary"], str(path))
    limits = _SIZES | {
        "blank": (0, len(checked["vocabulary"]) - 1),
        "window_samples": (1, MAX_WINDOW_SAMPLES),
    }
    for key, (least, most) in limits.items():
        if type(config[key]) is not int or not least <= config[key] <= most:
            raise fail(f"{key} is {config[key]!r:.40}; whole numbers {least} to {most} are allowed")
    if config["kernel"] % 2 == 0:
        raise fail(f"kernel is {config['kernel']}; it must be odd")
    if not isinstance(config["name"], str) or not PLAIN_NAME.fullmatch(config["name"]):
        raise fail(f"name is {config['name']!r:.40}; letters, digits, '.', '_', '-' are allowed")
    if not isinstance(config["separator"], str) or len(config["separator"]) > 8:
        raise fail(f"separator is {config['separator']!r:.40}; at most 8 characters are allowed")
    if not isinstance(config["front_end"], dict) or config["front_end"].get("kind") != "log_mel":
        raise fail('front_end must be a table with "kind": "log_mel"')
    try:
        checked["front_end"] = LogMel.from_dict(config["front_end"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    frames = checked["front_end"].frames(config["window_samples"])
    if frames < 5 or frames % 4 != 1:
        raise fail(
            f"window_samples {config['window_samples']} gives {frames} frames; the network needs"
            f" 4 n + 1: for example {checked['front_end'].window_samples(frames // 4 * 4 + 5)}"
        )
    return checked


def _fill(trained: torch.nn.Module, tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Copy the checkpoint into the network; raises UserError unless they agree in every tensor."""
    import torch

    wanted = {k: v for k, v in trained.state_dict().items() if not k.endswith(_IGNORED)}
    given = {key: value for key, value in tensors.items() if not key.endswith(_IGNORED)}
    for what, keys in (
        ("lacks", sorted(set(wanted) - set(given))),
        ("has, beyond what the configured network holds,", sorted(set(given) - set(wanted))),
    ):
        if keys:
            raise UserError(
                f"{path} {what} {len(keys)} tensors, such as {keys[0]!r:.80}; check channels,"
                f" blocks and kernel in {CONFIG}."
            )
    for key, tensor in wanted.items():
        if tuple(tensor.shape) != given[key].shape:
            raise UserError(
                f"{path}: tensor {key!r} has shape {given[key].shape}; the configured network"
                f" needs {tuple(tensor.shape)}: check channels, kernel, vocabulary and front_end"
                f" in {CONFIG}."
            )
        if not np.isfinite(given[key]).all():
            raise UserError(f"{path}: tensor {key!r} holds values that are not finite; retrain.")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(given[key].astype(np.float32)))


@cache
def _classes() -> dict[str, Any]:
    """The torch modules, defined on first use so that importing this file needs no torch."""
    import torch
    from torch import nn

    class Normalised(nn.Module):  # type: ignore[misc]
        """A convolution along time and its batch normalisation."""

        def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int):
            super().__init__()
            self.convolution: nn.Module = nn.Conv2d(
                inputs,
                outputs,
                (kernel, 1),
                stride=(stride, 1),
                padding=(kernel // 2, 0),
                groups=groups,
                bias=False,
            )
            self.norm: nn.Module = nn.BatchNorm2d(outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.norm(self.convolution(x))
            return result

    class Separable(nn.Module):  # type: ignore[misc]
        """Depthwise along time, then pointwise; `residual` adds the input before the last ReLU."""

        def __init__(self, channels: int, kernel: int, stride: int, residual: bool):
            super().__init__()
            self.depthwise = Normalised(channels, channels, kernel, stride, channels)
            self.pointwise = Normalised(channels, channels, 1, 1, 1)
            self.residual = residual

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.pointwise(torch.relu(self.depthwise(x)))
            return torch.relu(y + x if self.residual else y)

    class Network(nn.Module):  # type: ignore[misc]
        """The whole network; takes and gives channel-last frames."""

        def __init__(self, config: CtcConfig):
            super().__init__()
            channels = config.channels
            self.stem = Normalised(config.bands, channels, STEM_KERNEL, 2, 1)
            self.down = Separable(channels, DOWN_KERNEL, 2, residual=False)
            self.blocks = nn.Sequential(
                *(
                    Separable(channels, config.kernel, 1, residual=True)
                    for _ in range(config.blocks)
                )
            )
            self.head = nn.Conv2d(channels, config.vocabulary, 1)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.stem(frames.permute(0, 3, 1, 2)))
            logits: torch.Tensor = self.head(self.blocks(self.down(x)))
            return logits.permute(0, 2, 3, 1)

    return {
        "Identity": nn.Identity,
        "Network": Network,
        "Normalised": Normalised,
    }
