# SPDX-License-Identifier: Apache-2.0
"""Whisper's front end in C equals Python's bit for bit, whatever the blocks, in its bounds."""

from __future__ import annotations

import itertools
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.data import data_folder
from codegen.frontend.whisper_mel import WhisperMel
from tests.firmware.conftest import FLAGS, HERE, SANITIZERS
from tests.firmware.test_speech import signals

FRAMES = 14
SAMPLES = 160 * FRAMES
END = struct.pack("<I", 0xFFFFFFFF)


@dataclass(frozen=True)
class Compiled:
    """The front end as a program."""

    program: Path
    front_end: WhisperMel
    dtype: str

    def hear(
        self, *recordings: Sequence[NDArray[np.int16]]
    ) -> list[tuple[int, int, int, NDArray[np.generic]]]:
        """Status, samples, energy and the network's input for recordings in blocks."""
        sent = b""
        for blocks in recordings:
            for pcm in blocks:
                sent += struct.pack("<I", len(pcm)) + pcm.astype("<i2").tobytes()
            sent += END
        done = subprocess.run([self.program], input=sent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        size = 16 + FRAMES * self.front_end.bands * np.dtype(self.dtype).itemsize
        assert len(done.stdout) == size * len(recordings)
        replies = (done.stdout[n : n + size] for n in range(0, len(done.stdout), size))
        return [
            (*struct.unpack_from("<IiQ", r), np.frombuffer(r[16:], self.dtype)) for r in replies
        ]

    def wanted(self, pcm: NDArray[np.int16]) -> NDArray[np.generic]:
        """What Python says."""
        rows = self.front_end.rows(pcm, SAMPLES)
        return np.asarray(self.front_end.quantized(rows, self.dtype).reshape(-1))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Compiled]:
    made: dict[tuple[int, str], Compiled] = {}

    def build(bands: int, dtype: str) -> Compiled:
        if (bands, dtype) in made:
            return made[bands, dtype]
        folder = tmp_path_factory.mktemp("whisper_mel")
        front_end = WhisperMel(bands).fitted(*{"int8": (3.3 / 255, -12)}.get(dtype, (5.3e-5, 0)))
        written = front_end.runtime(SAMPLES, dtype)
        rescale = ", ".join(f".{name} = {value}" for name, value in written.rescale.items())
        c_type = "float" if dtype == "float32" else f"{dtype}_t"
        lines = [
            f"typedef {c_type} value;",
            f"#define FRAMES {FRAMES}",
            f"#define BANDS {bands}",
            f"#define CONVERT {written.convert}",
            f"#define RESCALE {{{rescale}}}",
        ]
        for name, values in written.tables.items():
            body = ", ".join(map(str, values))
            name = {"log2": "log2_table"}.get(name, name)
            lines.append(f"static const {values.dtype}_t {name}[] = {{{body}}};")
        (folder / "tables.h").write_text("\n".join(lines) + "\n", encoding="utf-8")
        firmware = data_folder("firmware")
        sources = [str(firmware / "speech" / name) for name in written.sources]
        command = ["gcc", *FLAGS, *SANITIZERS, f"-I{firmware / 'include'}", f"-I{folder}"]
        command += [str(HERE / "whisper_mel_harness.c"), *sources, "-o", str(folder / "mel")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return made.setdefault((bands, dtype), Compiled(folder / "mel", front_end, dtype))

    return build


Build = Callable[[int, str], Compiled]


@pytest.mark.parametrize(
    ("bands", "dtype"), [(80, "int16"), (80, "int8"), (128, "int16"), (80, "float32")]
)
def test_the_networks_input_is_bit_equal(compiled: Build, bands: int, dtype: str) -> None:
    made = compiled(bands, dtype)
    recordings = list(signals(SAMPLES).values())
    recordings += [pcm[:count] for pcm in recordings for count in (1, 199, 200, 201, 777, 2201)]
    for pcm, reply in zip(recordings, made.hear(*([pcm] for pcm in recordings)), strict=True):
        assert reply[:2] == (0, len(pcm))
        np.testing.assert_array_equal(reply[3], made.wanted(pcm))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(
        st.sampled_from([0, 1, 2, 40, 159, 160, 161, 199, 200, 201, 359, 360, 400, 401, 1000]),
        max_size=12,
    ),
)
def test_block_sizes_change_nothing(compiled: Build, seed: int, sizes: list[int]) -> None:
    made = compiled(80, "int16")
    pcm = np.random.default_rng(seed).integers(-32768, 32768, sum(sizes), dtype=np.int16)[:SAMPLES]
    ends = np.minimum(np.cumsum([0, *sizes]), len(pcm))
    ((status, samples, energy, values),) = made.hear(
        [pcm[a:b] for a, b in itertools.pairwise(ends)]
    )
    assert (status, samples) == (0, len(pcm))
    assert len(pcm) == 0 or energy == int(pcm.astype(np.int64) @ pcm.astype(np.int64))
    np.testing.assert_array_equal(values, made.wanted(pcm))


def test_a_sample_past_the_window_is_too_long(compiled: Build) -> None:
    made = compiled(80, "int16")
    pcm = signals(SAMPLES)["noise"]
    over, whole = made.hear([pcm, pcm[:1]], [pcm[:99], pcm[99:]])
    assert over[0] == 3
    assert whole[0] == 0
    np.testing.assert_array_equal(whole[3], made.wanted(pcm))
