# SPDX-License-Identifier: Apache-2.0
"""Texts made comparable."""

from __future__ import annotations

import sys

import pytest

from codegen.errors import UserError
from codegen.evaluate import normalize
from codegen.evaluate.normalize import ENGLISH, PLAIN
from codegen.evaluate.wer import count_errors

SAID, HEARD = "Mr. Smith isn't twenty-five!", "mister smith is not 25"


def test_english_writes_alike_what_sounds_alike() -> None:
    pytest.importorskip("transformers")
    assert ENGLISH.apply(SAID) == ENGLISH.apply(HEARD)
    assert count_errors(SAID, HEARD, ENGLISH).wer == 0
    assert count_errors(SAID, HEARD, PLAIN).wer > 0
    assert count_errors(SAID, HEARD) == count_errors(SAID, HEARD, PLAIN)


def test_without_transformers_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers.models.whisper.english_normalizer", None)
    normalize._english.cache_clear()
    with pytest.raises(UserError, match=r"stapes\[torch\]"):
        ENGLISH.apply("a")
