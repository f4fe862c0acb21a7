# SPDX-License-Identifier: Apache-2.0
"""The three graphs of an encoder-decoder model, how they are wired, and who follows which norm.

Inputs and outputs are wired by name: "encoded" and "cross_key_0" of one graph are those of the
next. "self_key_0" is a state buffer: row n of it, along its axis 1, is what step n gave as
"new_key_0". The first inputs of the decoder are rows of tables, looked up by the runtime; "mask"
is 0 for the rows written so far and for the last place, which is the step's own, and `masked` for
the others.

The decoding rule is that of a package, as wiring.py has it, without `masked` and `attended`, which
are integers of a quantized mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.errors import UserError
from codegen.models._speech_model import ModelGraph, Stage, Stream
from codegen.wiring import StateBuffer

if TYPE_CHECKING:
    import torch


#: What every encoder-decoder hears.
SAMPLE_RATE_HZ = 16000
#: A passage of so many tokens is not said twice; docs/adr/0013-a-sentence-is-said-once.md says why.
GUARD = {"repeat_tokens": 8}
#: What static8 leaves at int16; docs/adr/0011-min-max-ranges-and-int16-by-scope.md says why.
INT16_SCOPES = (
    r"encoder/stem.*",
    r".*norm.*",
    # the residual stream, with the sum of embedding and position
    r"(encoder/layers|decoder)/(\d+(_\d+)?|.*\.Decoder|embed/.*)",
    # what is added to it
    r"(encoder/layers|decoder)/\d+/(feed/down|attention/out|cross/out)",
    # shares of hundreds of frames
    r".*/mix(_\d+)?",
    # logits
    r"decoder/output_0",
)
#: Mean square of PCM, -60 dB of full scale.
SILENCE = 1024


def checked_window(
    samples: int, frame_samples: int, least_frames: int, longest_samples: int, folder: Path
) -> int:
    """The next whole number of frames, in samples; raises UserError outside what the model has.

    >>> checked_window(80001, 64, 32, 320000, Path())
    80064
    """
    window = -(-samples // frame_samples) * frame_samples
    least, longest = least_frames * frame_samples, longest_samples // frame_samples * frame_samples
    if not least <= window <= longest:
        raise UserError(
            f"{folder}: a window of {samples / SAMPLE_RATE_HZ:g} s was asked for; this model takes"
            f" {least / SAMPLE_RATE_HZ:g} to {longest / SAMPLE_RATE_HZ:g} s ({least} to {longest}"
            " samples): choose a --window in that range."
        )
    return window


@dataclass(frozen=True)
class Sizes:
    """What the shapes of the graphs follow from."""

    width: int
    heads: int
    layers: int
    frames: int
    positions: int

    @property
    def head_width(self) -> int:
        """Values of one head."""
        return self.width // self.heads


def cross_names(layers: int) -> tuple[str, ...]:
    """What the cross graph gives."""
    return tuple(f"cross_{part}_{n}" for n in range(layers) for part in ("key", "value"))


def state_buffers(sizes: Sizes) -> tuple[StateBuffer, ...]:
    """The KV cache, a key and a value a layer."""
    shape = (sizes.heads, sizes.positions, sizes.head_width)
    return tuple(
        StateBuffer(f"self_{part}_{n}", shape, 1, f"new_{part}_{n}")
        for n in range(sizes.layers)
        for part in ("key", "value")
    )


def model_graphs(
    encoder: tuple[torch.nn.Module, str, tuple[int, ...]],
    cross: torch.nn.Module,
    decoder: tuple[torch.nn.Module, Mapping[str, int]],
    sizes: Sizes,
) -> tuple[ModelGraph, ...]:
    """encoder: module, input name and shape; decoder: module and the widths of its table rows."""
    import torch

    frames = (sizes.frames, sizes.width)
    cached = (sizes.heads, sizes.positions, sizes.head_width)
    crossed = (sizes.heads, sizes.frames, sizes.head_width)
    inputs = {name: (1, width) for name, width in decoder[1].items()}
    shapes: dict[str, tuple[int, ...]] = {**inputs, "mask": (1, 1, sizes.positions + 1)}
    for n in range(sizes.layers):
        shapes |= {f"self_{part}_{n}": cached for part in ("key", "value")}
        shapes |= {f"cross_{part}_{n}": crossed for part in ("key", "value")}
    rows = tuple(f"new_{part}_{n}" for n in range(sizes.layers) for part in ("key", "value"))
    return (
        ModelGraph(
            "encoder",
            "encoder",
            encoder[0].eval(),
            (torch.zeros(encoder[2]),),
            (encoder[1],),
            ("encoded",),
        ),
        ModelGraph(
            "cross",
            "cross",
            cross.eval(),
            (torch.zeros(frames),),
            ("encoded",),
            cross_names(sizes.layers),
        ),
        ModelGraph(
            "decoder",
            "decoder",
            decoder[0].eval(),
            tuple(torch.zeros(shape) for shape in shapes.values()),
            tuple(shapes),
            ("logits", *rows),
        ),
    )


def gated(decoder_layers: int) -> dict[str, str]:
    """Each linear layer whose outputs a gate multiplies, and the one that alone reads these."""
    feeds = (f"decoder/layers/{n}/feed" for n in range(decoder_layers))
    return {f"{at}/up": f"{at}/down" for at in feeds}


def adjacency(encoder_layers: int, decoder_layers: int, gated: bool) -> dict[str, tuple[str, ...]]:
    """Each norm by graph and module, and the linear layers that alone read its output."""
    feed = ("feed/up", "feed/gate") if gated else ("feed/up",)
    attention = tuple(f"attention/{part}" for part in ("query", "key", "value"))
    found: dict[str, tuple[str, ...]] = {}
    for n in range(encoder_layers):
        at = f"encoder/layers/{n}"
        found[f"{at}/attention_norm"] = tuple(f"{at}/{part}" for part in attention)
        found[f"{at}/feed_norm"] = (f"{at}/feed/up",)
    found["encoder/norm"] = tuple(
        f"cross/layers/{n}/{part}" for n in range(decoder_layers) for part in ("key", "value")
    )
    for n in range(decoder_layers):
        at = f"decoder/layers/{n}"
        found[f"{at}/attention_norm"] = tuple(f"{at}/{part}" for part in attention)
        found[f"{at}/cross_norm"] = (f"{at}/cross/query",)
        found[f"{at}/feed_norm"] = tuple(f"{at}/{part}" for part in feed)
    found["decoder/norm"] = ("decoder/head",)
    return found


def mixes(encoder_layers: int, decoder_layers: int) -> dict[str, str]:
    """Each linear layer of values, and the one that alone reads their mix, head by head."""
    found: dict[str, str] = {}
    for graph, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        for n in range(layers):
            at = f"{graph}/layers/{n}/attention"
            found[f"{at}/value"] = f"{at}/out"
    for n in range(decoder_layers):
        found[f"cross/layers/{n}/value"] = f"decoder/layers/{n}/cross/out"
    return found


def stages(encoder_layers: int, decoder_layers: int) -> tuple[Stage, ...]:
    """The encoder's stem, layers and norm, then the cross graph, whose layers all read that."""
    attention = ("attention/query", "attention/key", "attention/value")
    groups = (attention, ("attention/out",), ("feed/up",), ("feed/down",))
    found = [Stage("encoder/stem")]
    for n in range(encoder_layers):
        at = f"encoder/layers/{n}"
        found.append(Stage(at, tuple(tuple(f"{at}/{p}" for p in group) for group in groups)))
    crossed = tuple(
        f"cross/layers/{n}/{part}" for n in range(decoder_layers) for part in ("key", "value")
    )
    return (*found, Stage("encoder/norm"), Stage("cross", (crossed,)))


def streams(
    encoder_layers: int, decoder_layers: int, tables: tuple[str, ...] = ()
) -> tuple[Stream, Stream]:
    """The encoder's, begun by its stem, and the decoder's, by rows of words and of `tables`."""

    def parts(graph: str, layers: int, *names: str) -> tuple[str, ...]:
        return tuple(f"{graph}/layers/{n}/{name}" for n in range(layers) for name in names)

    encoder, decoder = ("encoder", encoder_layers), ("decoder", decoder_layers)
    return (
        Stream(
            parts(*encoder, "attention/out", "feed/down"),
            (*parts(*encoder, "attention_norm", "feed_norm"), "encoder/norm"),
            start="encoder/stem",
        ),
        Stream(
            parts(*decoder, "attention/out", "cross/out", "feed/down"),
            (*parts(*decoder, "attention_norm", "cross_norm", "feed_norm"), "decoder/norm"),
            tables,
            start="decoder/embed",
            tied="decoder/norm",
        ),
    )
