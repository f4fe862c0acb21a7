# SPDX-License-Identifier: Apache-2.0
"""From a network's output to text, by the rules that firmware/speech follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError


def ctc_greedy(
    logits: NDArray[Any], blank: int, vocabulary: Sequence[str], separator: str = " "
) -> str:
    """The text of logits (frames, classes): best class a frame, repeats merged, blanks dropped.

    Of equal logits the first class wins. Source: A. Graves et al., Connectionist Temporal
    Classification, ICML 2006, section 3.2 (best path decoding).
    """
    best = np.argmax(logits, axis=-1)
    changed = np.append(True, best[1:] != best[:-1])
    return separator.join(vocabulary[c] for c in best[changed[: len(best)]] if c != blank)


def pack_vocabulary(vocabulary: Sequence[str], blank: int) -> tuple[bytes, NDArray[np.uint16]]:
    """The C's words, one after another in UTF-8, and where each class's ends; blank has no text.

    Raises UserError when the words take more than 65535 bytes.
    """
    words = [b"" if c == blank else word.encode() for c, word in enumerate(vocabulary)]
    packed = b"".join(words)
    if len(packed) > 0xFFFF:
        raise UserError(
            f"vocabulary: the words take {len(packed)} bytes, at most 65535 are supported;"
            " use a smaller vocabulary"
        )
    return packed, np.cumsum([len(word) for word in words]).astype(np.uint16)
