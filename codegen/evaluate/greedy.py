# SPDX-License-Identifier: Apache-2.0
"""From a recording to text by an encoder-decoder's graphs, by the rules that the C follows.

All figures come from the decoding rule in package.json, whose keys wiring.py lists.

1.  Gate: where the sum of the squares of the recording's n samples is less than silence * n, the
    text is empty and no graph runs. Both sides are integers of 64 bits. n = 0 is silence too.
2.  The encoder runs on the window, then the graph behind it; every state buffer is set to zero.
3.  Steps: the decoder is fed start[0], start[1], ..., then each token that was chosen. Step n, from
    0, looks up position n, and rows 0 .. n - 1 of the state and the last place of the mask are
    attended; afterwards its new rows are row n of the state.
4.  Bound: at most
        min(most_tokens, max(least_tokens,
                             ceil(n * tokens_per_10_s / (10 * sample rate)) + len(start) + 1))
    steps, counting those of the start. The token chosen by the last of these is still written.
5.  Choice: after the last token of the start, and after each token chosen, the greatest logit wins;
    of equal ones the first. Tokens in suppress are passed over always, those in begin_suppress for
    the first choice only, and so is a float logit that is not a number. The token `end` ends the
    text and is not written; so does a step of which all tokens are passed over.
6.  Repetition: let m(P) tokens in a row, up to the last one written, each equal the token P before
    it, P >= 1. When m(P) >= max(P, 2 * repeat_tokens - P), the text ends, and those m(P) are
    dropped: a passage of repeat_tokens tokens or more ends it when said a second time, a shorter
    one when it fills 2 * repeat_tokens. This is looked at after each token, the smallest P first.
    After the last step of rule 4, which cuts a passage short, m(P) >= repeat_tokens is enough.
    docs/adr/0013-a-sentence-is-said-once.md says why.
7.  The text is the tokens' bytes, joined; spaces in front and behind are dropped. In Python, bytes
    that are not UTF-8 become U+FFFD; the C gives the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Takes a token and the number of the step, gives the logits (words,).
Step = Callable[[int, int], NDArray[Any]]
#: Told the logits of each step behind the start, and the token chosen from them.
Observe = Callable[[NDArray[Any], int], None]


def unobserved(logits: NDArray[Any], token: int) -> None:
    """Observes nothing."""


def is_silent(pcm: NDArray[np.int16], silence: int) -> bool:
    """Rule 1.

    >>> is_silent(np.array([10, -10], np.int16), 101), is_silent(np.array([10, -10]), 100)
    (True, False)
    """
    wide = pcm.astype(np.int64)
    return len(pcm) == 0 or int(wide @ wide) < silence * len(pcm)


def most_steps(rule: Mapping[str, Any], samples: int, sample_rate_hz: int) -> int:
    """Rule 4: the steps that a recording of so many samples may take.

    >>> rule = {"most_tokens": 35, "least_tokens": 8, "tokens_per_10_s": 65, "start": [1]}
    >>> [most_steps(rule, samples, 16000) for samples in (100, 32000, 32001, 160000)]
    [8, 15, 16, 35]
    """
    by_length = (
        -(-samples * rule["tokens_per_10_s"] // (10 * sample_rate_hz)) + len(rule["start"]) + 1
    )
    return int(min(rule["most_tokens"], max(rule["least_tokens"], by_length)))


def choose(logits: NDArray[Any], passed_over: Collection[int]) -> int | None:
    """Rule 5: the first of the greatest logits (words,) that is not passed over; None if none is.

    >>> choose(np.array([5, 9, 9, 7]), [1]), choose(np.array([np.nan, 9, 9, -np.inf]), [])
    (2, 1)
    """
    order = logits.astype(np.float64)
    order[list(passed_over)] = np.nan
    left = np.flatnonzero(~np.isnan(order))
    return int(left[np.argmax(order[left])]) if left.size else None


def repeated(tokens: Sequence[int], repeat_tokens: int, last_step: bool = False) -> int:
    """Rule 6: how many tokens to take off the end where the text ends here, else 0.

    >>> repeated([7, 1, 2, 3, 1, 2, 3], 3), repeated([7, 1, 2, 1, 2], 3), repeated([1, 2] * 3, 3)
    (3, 0, 4)
    >>> [repeated([1, 2, 3, 4, 5, 6, 1, 2, 3], 3, last_step) for last_step in (False, True)]
    [0, 3]
    """
    for period in range(1, len(tokens)):
        start = len(tokens)
        while start > period and tokens[start - 1] == tokens[start - 1 - period]:
            start -= 1
        same = len(tokens) - start
        if same >= (repeat_tokens if last_step else max(period, 2 * repeat_tokens - period)):
            return same
    return 0


def greedy_tokens(
    rule: Mapping[str, Any], steps: int, step: Step, observe: Observe = unobserved
) -> tuple[int, ...]:
    """The tokens of the text, by rules 3, 5 and 6, within `steps` steps."""
    tokens: list[int] = []
    start = list(rule["start"])
    for number, token in enumerate(_fed(start, tokens)):
        if number == steps:
            break
        logits = step(token, number)
        if number < len(start) - 1:
            continue
        first = rule["begin_suppress"] if not tokens else ()
        greatest = choose(logits, {*rule["suppress"], *first})
        chosen = rule["end"] if greatest is None else greatest
        observe(logits, chosen)
        if chosen == rule["end"]:
            break
        tokens.append(chosen)
        surplus = repeated(tokens, rule["repeat_tokens"], number == steps - 1)
        if surplus:
            del tokens[-surplus:]
            break
    return tuple(tokens)


def _fed(start: Sequence[int], tokens: Sequence[int]) -> Iterator[int]:
    """What each step is fed, while `tokens` grows."""
    yield from start
    while True:
        yield tokens[-1]


def detokenized(tokens: Sequence[int], vocabulary: Sequence[str]) -> str:
    """Rule 7: each character of a word is a byte of UTF-8.

    >>> detokenized([0, 1, 0], [" ", "\\xc3\\xa4"])
    'ä'
    """
    joined = b"".join(vocabulary[token].encode("latin-1") for token in tokens)
    return joined.strip(b" ").decode("utf-8", "replace")
