# SPDX-License-Identifier: Apache-2.0
"""How texts are made comparable before words are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from codegen.errors import UserError


@dataclass(frozen=True)
class Normalizer:
    """A rule and its name for reports."""

    name: str
    apply: Callable[[str], str]


def plain(text: str) -> str:
    """Text as it is compared.

    >>> plain("  Turn the  Lights ON ")
    'turn the lights on'
    """
    return " ".join(text.lower().split())


def english(text: str) -> str:
    """Whisper's rules for English: punctuation, contractions, numbers and titles written alike."""
    return str(_english()(text))


@cache
def _english() -> Callable[[str], str]:
    try:
        from transformers.models.whisper.english_normalizer import EnglishTextNormalizer
    except ImportError as error:
        raise UserError(
            f"WER of this model needs transformers' EnglishTextNormalizer ({error}); run"
            " pip install 'stapes[torch]'."
        ) from error
    normalizer: Callable[[str], str] = EnglishTextNormalizer({})
    return normalizer


PLAIN = Normalizer("lower case, runs of white space as one space", plain)
ENGLISH = Normalizer("transformers' EnglishTextNormalizer without its spelling list", english)
