# SPDX-License-Identifier: Apache-2.0
"""Long recordings are cut where they are quiet, and nothing of them is lost."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.evaluate.engines import Engine
from codegen.evaluate.split import InPieces, cut, joined

RATE = 1000
RUN = 300


@st.composite
def recordings(draw: st.DrawFn) -> NDArray[np.int16]:
    """Noise of a loudness that changes, full scale and silence among it."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    parts = draw(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 32768)), max_size=6))
    noise = [rng.integers(-level, max(level, 1), size) for size, level in parts]
    return np.concatenate([np.zeros(0, np.int64), *noise]).astype(np.int16)


@settings(deadline=None)
@given(recordings(), st.integers(1, 900), st.sampled_from((1, 10, RATE)))
def test_pieces_are_the_recording_and_fit(pcm: NDArray[np.int16], window: int, rate: int) -> None:
    pieces = cut(pcm, window, rate)
    assert np.array_equal(np.concatenate(pieces), pcm)
    assert all(len(piece) <= window for piece in pieces)
    assert all(len(piece) for piece in pieces) or len(pcm) == 0
    assert len(pieces) == 1 or len(pcm) > window
    assert all(3 * len(piece) >= window - 2 for piece in pieces[:-1])


@settings(deadline=None)
@given(recordings(), st.integers(450, 900))
def test_each_cut_is_the_quietest(pcm: NDArray[np.int16], window: int) -> None:
    """Every run of 300 ms in the last two thirds, one by one, in Python's integers."""
    for piece in cut(pcm, window, RATE)[:-1]:
        heard = pcm[:window].tolist()
        starts = range(window - -(-2 * window // 3), window - RUN + 1)
        energies = [sum(value * value for value in heard[at : at + RUN]) for at in starts]
        assert len(piece) == starts[energies.index(min(energies))] + RUN // 2
        pcm = pcm[len(piece) :]


@pytest.mark.parametrize("pause", [350, 400, 450])
def test_a_pause_is_found(pause: int) -> None:
    pcm = np.full(1100, 3000, np.int16)
    pcm[pause - RUN // 2 : pause + RUN // 2] = 0
    assert len(cut(pcm, 600, RATE)[0]) == pause


def test_full_scale_does_not_overflow() -> None:
    pcm = np.full(20 * 16000, -32768, np.int16)
    pcm[180_000:184_800] = 32767
    assert len(cut(pcm, 12 * 16000, 16000)[0]) == 182_400


def test_texts_have_one_space_between() -> None:
    assert joined(["turn on", "", "the light", ""]) == "turn on the light"
    assert joined(["", ""]) == ""


def make_lengths() -> Engine:
    return lambda pcm: str(len(pcm)) if pcm.any() else ""


def test_an_engine_hears_pieces_and_travels() -> None:
    pcm = np.ones(1500, np.int16)
    pcm[180:480] = 0
    make = pickle.loads(pickle.dumps(InPieces(make_lengths, 500, RATE)))
    assert make()(pcm) == "330 " + " ".join(str(len(p)) for p in cut(pcm, 500, RATE)[1:])
    assert make()(pcm[:500]) == "500"
    assert make()(np.zeros(900, np.int16)) == ""
