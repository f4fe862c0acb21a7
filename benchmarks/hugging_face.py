# SPDX-License-Identifier: Apache-2.0
"""transformers' own models as engines: float32, at their native windows, greedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.checkpoints import checkpoint
from codegen.evaluate.engines import Engine

SAMPLE_RATE_HZ = 16000
#: What Moonshine's authors bound its text by, and the fewest tokens that are allowed here.
TOKENS_A_SECOND, LEAST_TOKENS = 6.5, 8


def moonshine(folder: str, model: Any) -> Callable[[np.ndarray], Any]:
    """The recording unpadded, float (1, samples)."""
    import torch

    def tokens(pcm: np.ndarray) -> Any:
        values = torch.from_numpy(pcm / np.float32(32768))[None]
        most = max(LEAST_TOKENS, math.ceil(len(pcm) / SAMPLE_RATE_HZ * TOKENS_A_SECOND))
        heard = torch.ones(values.shape, dtype=torch.long)
        return model.generate(input_values=values, attention_mask=heard, max_new_tokens=most)

    return tokens


def whisper(folder: str, model: Any) -> Callable[[np.ndarray], Any]:
    """The log-mel of 30 s, silence behind the recording."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor.from_pretrained(folder)

    def tokens(pcm: np.ndarray) -> Any:
        heard = pcm / np.float32(32768)
        features = extractor(heard, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        return model.generate(features.input_features)

    return tokens


FAMILIES = {"moonshine": moonshine, "whisper": whisper}


@dataclass(frozen=True)
class HuggingFace:
    """Makes engines of a checkpoint of benchmarks/checkpoints.py."""

    name: str

    def __call__(self) -> Engine:
        """A new engine."""
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForSpeechSeq2Seq
        from transformers.utils import logging

        logging.set_verbosity_error()
        torch.set_num_threads(1)
        folder = str(checkpoint(self.name))
        model = AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
        tokens = FAMILIES[model.config.model_type](folder, model)
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")

        def engine(pcm: np.ndarray) -> str:
            with torch.no_grad():
                return str(tokenizer.decode(tokens(pcm)[0].tolist())).strip()

        return engine
