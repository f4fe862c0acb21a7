# SPDX-License-Identifier: Apache-2.0
"""Train the spoken-command recogniser: `python -m examples.commands_ctc.train`."""

from __future__ import annotations

import argparse
import copy
import json
import math
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import jiwer
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from codegen.evaluate.decode import ctc_greedy
from codegen.frontend.log_mel import LogMel
from codegen.models.ctc import CtcConfig, save_source
from codegen.models.ctc import network as ctc_network
from examples.commands_ctc import data
from examples.commands_ctc.augment import augment

FRONT_END = LogMel()
FRAMES = FRONT_END.frames(data.WINDOW_SAMPLES)
TRAINING_SEED = 1
UTTERANCES = 10000
EPOCHS = 28
FRAGMENTS = 0.5
#: Short kernels see a word and its neighbours, and cannot learn whole sentences by heart.
KERNEL = 7
_CLASSES = {word: index for index, word in enumerate(data.VOCABULARY)}


@dataclass(frozen=True)
class Corpus:
    """Features (utterances, FRAMES, bands) int16, silence after the end; frames spoken; texts."""

    features: NDArray[np.int16]
    lengths: NDArray[np.int64]
    texts: list[str]

    @property
    def labels(self) -> list[list[int]]:
        """Class indices of each text."""
        return [[_CLASSES[word] for word in text.split()] for text in self.texts]


def _features(utterance: data.Utterance) -> NDArray[np.int16]:
    return FRONT_END.features(data.render(utterance)[: data.WINDOW_SAMPLES])


def synthesize(utterances: list[data.Utterance], processes: int) -> Corpus:
    """Render and analyse utterances; each becomes what the device's network would see."""
    with multiprocessing.Pool(processes) as workers:
        found = workers.map(_features, utterances, chunksize=16)
    features = np.zeros((len(found), FRAMES, FRONT_END.bands), np.int16)
    for row, clip in zip(features, found, strict=True):
        row[: len(clip)] = clip
    lengths = np.array([len(clip) for clip in found], np.int64)
    return Corpus(features, lengths, [u.text for u in utterances])


def transcribe(network: torch.nn.Module, front_end: LogMel, corpus: Corpus) -> list[str]:
    """Greedy transcripts of a corpus."""
    network.eval()
    texts = []
    for first in range(0, len(corpus.texts), 32):
        inputs = front_end.normalized(corpus.features[first : first + 32])[:, :, None, :]
        with torch.no_grad():
            logits = network(torch.from_numpy(inputs)).numpy()
        logits = logits.reshape(len(inputs), -1, len(data.VOCABULARY))
        texts += [ctc_greedy(clip, 0, data.VOCABULARY) for clip in logits]
    return texts


def wer_percent(network: torch.nn.Module, front_end: LogMel, corpus: Corpus) -> float:
    """Word error rate of a corpus in percent."""
    return 100.0 * float(jiwer.wer(corpus.texts, transcribe(network, front_end, corpus)))


def _batches(
    corpus: Corpus, front_end: LogMel, batch: int, epoch: int
) -> Iterator[tuple[torch.Tensor, list[int]]]:
    rng = np.random.default_rng((TRAINING_SEED, epoch))
    order = rng.permutation(len(corpus.texts))
    # Clips of like lengths share a batch, and a batch needs no longer window than its longest.
    pieces = [order[i : i + 4 * batch] for i in range(0, len(order), 4 * batch)]
    order = np.concatenate([piece[np.argsort(corpus.lengths[piece])] for piece in pieces])
    starts = rng.permutation(len(order) // batch) * batch
    for first in starts.tolist():
        chosen = order[first : first + batch]
        longest = int(corpus.lengths[chosen].max()) + int(rng.integers(4, 60))
        frames = min(FRAMES, longest // 4 * 4 + 1)
        octaves = corpus.features[chosen, :frames] / 512.0
        octaves = augment(octaves, corpus.lengths[chosen], rng)
        inputs = front_end.normalized(octaves * 512.0)[:, :, None, :]
        yield torch.from_numpy(inputs), chosen.tolist()


def _loss(logits: torch.Tensor, labels: list[list[int]]) -> torch.Tensor:
    log_probabilities = F.log_softmax(logits.reshape(len(labels), -1, len(_CLASSES)), -1)
    return F.ctc_loss(
        log_probabilities.transpose(0, 1),
        torch.tensor([label for row in labels for label in row]),
        torch.full((len(labels),), log_probabilities.shape[1]),
        torch.tensor([len(row) for row in labels]),
        zero_infinity=True,
    )


def train(
    network: torch.nn.Module,
    front_end: LogMel,
    corpus: Corpus,
    development: dict[str, Corpus],
    epochs: int,
    seconds: float = math.inf,
    batch: int = 32,
) -> torch.nn.Module:
    """Train by CTC and return the moving average of the weights."""
    labels = corpus.labels
    steps = epochs * (len(corpus.texts) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.12)
    average, step, start = copy.deepcopy(network), 0, time.monotonic()
    for epoch in range(epochs):
        network.train()
        total = 0.0
        for inputs, chosen in _batches(corpus, front_end, batch, epoch):
            loss = _loss(network(inputs), [labels[i] for i in chosen])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            total += float(loss.detach())
            keep = min(0.998, step / (step + 10))
            for mean, value in zip(
                average.state_dict().values(), network.state_dict().values(), strict=True
            ):
                if mean.is_floating_point():
                    mean.lerp_(value, 1.0 - keep)
        report = f"epoch {epoch + 1}/{epochs} loss {total * batch / len(labels):.3f}"
        report += f" {time.monotonic() - start:.0f} s"
        if epoch % 4 == 3 or epoch == epochs - 1:
            for name, held_out in development.items():
                report += f" {name} {wer_percent(average, front_end, held_out):.2f} %"
        print(report, flush=True)
    return average


def normalization(corpus: Corpus) -> LogMel:
    """The front end with the mean and deviation of ln(energy) over what was spoken."""
    spoken = [clip[:n] for clip, n in zip(corpus.features, corpus.lengths, strict=True)]
    energies = FRONT_END.log_energy(np.concatenate(spoken))
    return replace(
        FRONT_END, mean=round(float(energies.mean()), 3), std=round(float(energies.std()), 3)
    )


def main() -> None:
    """Synthesize, train, measure and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "checkpoint")
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--processes", type=int, default=2, help="for synthesis; training uses one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(TRAINING_SEED)

    print(f"Synthesizing {arguments.utterances} utterances", flush=True)
    drawn = data.draw(
        "training",
        data.TRAINING_VOICES,
        arguments.utterances,
        TRAINING_SEED,
        vary=True,
        fragments=FRAGMENTS,
    )
    corpus = synthesize(drawn, arguments.processes)
    held_out = {
        name: synthesize(utterances, arguments.processes)
        for name, utterances in data.splits().items()
        if name != "calibration"
    }
    front_end = normalization(corpus)
    config = CtcConfig(len(data.VOCABULARY), kernel=KERNEL, bands=front_end.bands)
    development = {"development": held_out["development"]}
    trained = train(ctc_network(config), front_end, corpus, development, arguments.epochs)
    save_source(
        arguments.output,
        trained,
        config,
        name="commands_ctc",
        vocabulary=tuple(data.VOCABULARY),
        blank=0,
        front_end=front_end,
        window_samples=data.WINDOW_SAMPLES,
    )
    figures = {name: round(wer_percent(trained, front_end, c), 2) for name, c in held_out.items()}
    for name, figure in figures.items():
        print(f"{name}: WER {figure} %")
    record = {
        "utterances": arguments.utterances,
        "epochs": arguments.epochs,
        "seed": TRAINING_SEED,
        "parameters": sum(p.numel() for p in trained.parameters()),
        "wer_percent": figures,
    }
    text = json.dumps(record, indent=1) + "\n"
    (arguments.output / "training.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
