# SPDX-License-Identifier: Apache-2.0
"""stapes_bind takes the right file of weights and refuses every other, reading no byte past it."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from codegen.data import data_folder
from codegen.emit.weights import ALIGNMENT_BYTES, HEADER_BYTES, weights_file
from tests.firmware.conftest import FLAGS, HERE, SANITIZERS

OK, UNBOUND, ALIGNMENT, MAGIC, VERSION, MODEL, LENGTH, CHECKSUM = 0, 6, 7, 8, 9, 10, 11, 12
LAYOUT = bytes(range(1, 17))
PAYLOAD = np.random.default_rng(5).integers(0, 256, 301, np.uint8).tobytes()
FILE = weights_file(PAYLOAD, LAYOUT, "c3" * 32)

#: Status of a file in which a byte of the header is another: (first byte, status).
FIELDS = ((0, MAGIC), (4, VERSION), (8, LENGTH), (12, CHECKSUM), (16, MODEL), (32, CHECKSUM))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bind") / "bind"
    firmware = data_folder("firmware")
    sources = [firmware / "runtime" / f"{name}.c" for name in ("bind", "crc32", "model")]
    command = ["gcc", *FLAGS, *SANITIZERS, f"-I{firmware / 'include'}"]
    command += [str(HERE / "bind_harness.c"), *map(str, sources), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def _bound(program: Path, files: Sequence[bytes], off: int = 0) -> list[tuple[int, int, int]]:
    """(stapes_bind, stapes_check, CRC-32) of each file, `off` bytes behind an aligned address."""
    sent = b"".join(
        LAYOUT + struct.pack("<III", len(PAYLOAD), off, len(file)) + file for file in files
    )
    got = subprocess.run([program], input=sent, capture_output=True, check=False)
    assert got.returncode == 0, got.stderr.decode()
    replies = list(struct.iter_unpack("<III", got.stdout))
    assert len(replies) == len(files)
    return [(int(a), int(b), int(c)) for a, b, c in replies]


def _statuses(program: Path, files: Sequence[bytes], off: int = 0) -> list[int]:
    replies = _bound(program, files, off)
    assert all(check == (OK if status == OK else UNBOUND) for status, check, _ in replies)
    return [status for status, _, _ in replies]


def test_the_right_file_is_taken(program: Path) -> None:
    """Whatever comes behind it, and also where another model's name stands in it."""
    renamed = weights_file(PAYLOAD, LAYOUT, "00" * 32)
    assert _statuses(program, [FILE, FILE + b"\xff" * 99, renamed]) == [OK] * 3
    assert _statuses(program, [FILE], ALIGNMENT_BYTES) == [OK]


def test_each_byte_of_the_header_counts(program: Path) -> None:
    changed, wanted = [], []
    for at in range(HEADER_BYTES):
        status = max((first, status) for first, status in FIELDS if first <= at)[1]
        for flipped in (0x01, 0x80, 0xFF):
            changed.append(FILE[:at] + bytes([FILE[at] ^ flipped]) + FILE[at + 1 :])
            wanted.append(status)
    assert _statuses(program, changed) == wanted


def test_each_byte_of_the_arrays_counts(program: Path) -> None:
    places = range(HEADER_BYTES, len(FILE))
    changed = [FILE[:at] + bytes([FILE[at] ^ 0x10]) + FILE[at + 1 :] for at in places]
    assert set(_statuses(program, changed)) == {CHECKSUM}


def test_a_file_cut_short_is_refused_wherever_it_ends(program: Path) -> None:
    cut = [FILE[:length] for length in range(len(FILE))]
    assert set(_statuses(program, cut)) == {LENGTH}


def test_another_length_is_refused_even_with_its_checksum(program: Path) -> None:
    others = [PAYLOAD[:-1], PAYLOAD + b"\0", b""]
    assert _statuses(program, [weights_file(each, LAYOUT, "c3" * 32) for each in others]) == (
        [LENGTH] * 3
    )
    huge = FILE[:8] + struct.pack("<I", 0xFFFFFFFF) + FILE[12:]
    assert _statuses(program, [huge]) == [LENGTH]


@pytest.mark.parametrize("off", [1, 4, 8, 15])
def test_a_misaligned_file_is_refused(program: Path, off: int) -> None:
    assert _statuses(program, [FILE, b"", FILE[:70]], off) == [ALIGNMENT] * 3


def test_noise_is_refused(program: Path) -> None:
    rng = np.random.default_rng(9)
    noise = [rng.integers(0, 256, n, np.uint8).tobytes() for n in range(HEADER_BYTES, 400, 7)]
    assert set(_statuses(program, noise)) == {MAGIC}


def test_the_checksum_is_zlibs(program: Path) -> None:
    rng = np.random.default_rng(3)
    files = [rng.integers(0, 256, n, np.uint8).tobytes() for n in (0, 1, 2, 3, 64, 1000, 4099)]
    assert [crc for _, _, crc in _bound(program, files)] == [zlib.crc32(each) for each in files]
