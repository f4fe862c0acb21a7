# SPDX-License-Identifier: Apache-2.0
"""Fresh variations of log-mel features for each epoch, cheaper than synthesizing speech again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _warp(octaves: NDArray[np.float64], length: int, rng: np.random.Generator) -> None:
    """Another pace, start and vocal tract: resample time by 0.85 .. 1.18 and bands by 12 %.

    Source: N. Jaitly, G. Hinton, Vocal tract length perturbation, ICML workshop 2013.
    """
    frames, bands = octaves.shape
    pace = max(rng.uniform(0.85, 1.18), length / frames)  # keep what was said in the window
    spoken = int(length / pace)
    shift = int(rng.integers(0, min(frames - spoken, 40) + 1))
    tract, tilt = rng.uniform(0.88, 1.13), rng.uniform(-1.0, 1.0)
    time = np.clip((np.arange(frames) - shift) * pace, 0, frames - 1)
    band = np.clip(np.arange(bands) * tract + tilt, 0, bands - 1)
    row, column = time.astype(int), band.astype(int)
    part = (band - column)[None, :]
    mixed = octaves[:, column] * (1 - part) + octaves[:, np.minimum(column + 1, bands - 1)] * part
    part = (time - row)[:, None]
    mixed = mixed[row] * (1 - part) + mixed[np.minimum(row + 1, frames - 1)] * part
    mixed[:shift] = 0
    mixed[shift + spoken :] = 0
    octaves[:] = mixed


def augment(
    octaves: NDArray[np.float64], lengths: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """log2(energy / floor) (utterances, frames, bands), varied: warp, level, noise, masks.

    Source of the masks: D. Park et al., SpecAugment, Interspeech 2019, section 2.
    """
    count, frames, bands = octaves.shape
    for clip, length in zip(octaves, lengths, strict=True):
        if rng.random() < 0.8:
            _warp(clip, int(length), rng)
    octaves += (octaves > 0) * rng.normal(0.0, 0.7, (count, 1, 1))
    # A microphone's or a voice's colour: a smooth curve over the bands.
    ramp = np.linspace(-1.0, 1.0, bands)
    knots = np.linspace(-1.0, 1.0, 8)
    curves = [np.interp(ramp, knots, row) for row in rng.normal(0.0, 0.8, (count, 8))]
    octaves += (octaves > 0) * np.stack(curves)[:, None, :]
    energy = np.exp2(np.maximum(octaves, 0.0)) - 1.0
    # Energies of speech and noise add up but for their cross terms.
    loud = np.quantile(octaves.max(axis=2), 0.9, axis=1)
    noise_level = np.exp2(loud - rng.uniform(4.0, 14.0, count)) * (rng.random(count) < 0.4)
    slope = np.exp2(ramp * rng.uniform(-3.0, 2.0, (count, 1)))[:, None, :]
    noise = rng.standard_gamma(2.0, (count, frames, bands)) * 0.5
    energy += noise * slope * noise_level[:, None, None]
    octaves = np.log2(energy + 1.0)
    for clip, length in zip(octaves, lengths, strict=True):
        middle = clip.mean()
        for _ in range(2):
            band, time = int(rng.integers(0, bands)), int(rng.integers(0, max(1, length)))
            clip[:, band : band + int(rng.integers(0, 5))] = middle
            clip[time : time + int(rng.integers(0, 8))] = middle
    return octaves
