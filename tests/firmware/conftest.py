# SPDX-License-Identifier: Apache-2.0
"""The speech runtime of firmware/, compiled for this machine with both sanitizers."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.data import data_folder
from codegen.emit.project import FLOAT_FLAGS
from codegen.evaluate.decode import ctc_greedy, pack_vocabulary
from codegen.frontend.log_mel import LogMel

HERE = Path(__file__).resolve().parent
FLAGS = "-std=c11 -O1 -g -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Werror".split()
FLAGS += FLOAT_FLAGS
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
STATUS = ("OK", "ARGUMENT", "ARENA_TOO_SMALL", "AUDIO_TOO_LONG", "TEXT_TOO_SMALL", "CANCELLED")


@dataclass(frozen=True)
class Runtime:
    """A compiled runtime around a front end and a network that copies features to logits."""

    program: Path
    front_end: LogMel
    frames: int
    dtype: str
    scale: float
    zero_point: int
    vocabulary: tuple[str, ...]

    def talk(self, *commands: tuple[str, int, int, bytes]) -> list[tuple[str, bytes]]:
        """Send (op, context, argument, data) commands; gives (status, payload) for each."""
        sent = b"".join(
            op.encode() + struct.pack("<BI", context, argument) + data
            for op, context, argument, data in commands
        )
        got = subprocess.run([self.program], input=sent, capture_output=True, check=False)
        assert got.returncode == 0, got.stderr.decode()
        replies, at = [], 0
        while at < len(got.stdout):
            status, size = struct.unpack_from("<II", got.stdout, at)
            replies.append((STATUS[status], got.stdout[at + 8 : at + 8 + size]))
            at += 8 + size
        assert len(replies) == len(commands)
        return replies

    def network_input(self, pcm: NDArray[np.int16]) -> NDArray[np.integer]:
        """What Python says the network's input must be, (frames, bands)."""
        features = np.zeros((self.frames, self.front_end.bands), np.int16)
        found = self.front_end.features(pcm)
        features[: len(found)] = found
        return self.front_end.quantized(features, self.scale, self.zero_point, self.dtype)

    def text(self, pcm: NDArray[np.int16]) -> str:
        """What Python says the transcript must be."""
        logits = self.network_input(pcm)[:, : len(self.vocabulary)]
        return ctc_greedy(logits, 0, self.vocabulary)


def _header(runtime: Runtime) -> str:
    front_end, tables = runtime.front_end, runtime.front_end.tables()
    packed, ends = pack_vocabulary(runtime.vocabulary, 0)
    rescale = front_end.rescale(runtime.scale, runtime.zero_point, runtime.dtype)
    names = {"log2": "log2_table"}
    lines = [
        f"typedef {runtime.dtype}_t value;",
        f"#define WINDOW_FRAMES {runtime.frames}",
        f"#define CLASSES {len(runtime.vocabulary)}",
        f"#define BANDS {front_end.bands}",
        f"#define FRAME {front_end.frame_samples}",
        f"#define HOP {front_end.hop_samples}",
        f'#define WORDS "{packed.decode()}"',
        f"#define RESCALE {{{rescale.offset}, {rescale.multiplier}, {rescale.shift}}}",
    ]
    for name, values in {**tables, "word_ends": ends}.items():
        body = ", ".join(str(v) for v in values)
        lines.append(f"static const {values.dtype}_t {names.get(name, name)}[] = {{{body}}};")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Runtime]:
    """Compiles a Runtime from keyword changes to the usual one."""

    def built(**changes: object) -> Runtime:
        folder = tmp_path_factory.mktemp("speech")
        usual = Runtime(
            program=folder / "speech",
            front_end=LogMel(mean=-7.5, std=4.5),
            frames=21,
            dtype="int8",
            scale=0.0243,
            zero_point=-11,
            vocabulary=("<blank>", "on", "off", "kitchen", "x", "five", "a longer word"),
        )
        runtime = replace(usual, **changes)  # type: ignore[arg-type]
        (folder / "tables.h").write_text(_header(runtime), encoding="utf-8")
        firmware = data_folder("firmware")
        sources = sorted([*firmware.glob("speech/*.c"), *firmware.glob("runtime/*.c")])
        command = ["gcc", *FLAGS, *SANITIZERS, f"-I{firmware / 'include'}", f"-I{folder}"]
        command += [str(HERE / "speech_harness.c"), *map(str, sources), "-o", str(runtime.program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return runtime

    return built


@pytest.fixture(scope="session", params=["int8", "int16"])
def runtime(request: pytest.FixtureRequest, build: Callable[..., Runtime]) -> Runtime:
    """The usual runtime with an int8 and with an int16 network."""
    scale = {"int8": 0.0243, "int16": 0.00011}[request.param]
    return build(dtype=request.param, scale=scale, zero_point=-11 if scale > 0.01 else 0)
