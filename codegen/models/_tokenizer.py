# SPDX-License-Identifier: Apache-2.0
"""The bytes that each token stands for, out of a transformers tokenizer.json.

Source: the format of https://github.com/huggingface/tokenizers; byte-level tokens are written in
the alphabet of openai/gpt-2's encoder.py, bytes_to_unicode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from codegen.errors import UserError
from codegen.package import MAX_WORDS, read_json

TOKENIZER = "tokenizer.json"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"


def read_tokens(path: Path, size: int, optional_from: int | None = None) -> tuple[bytes, ...]:
    """The text of `size` tokens in UTF-8, in order of their numbers; special ones have none.

    A text is its tokens' bytes joined, without the space in front. Tokens from `optional_from` on
    may be missing. Raises UserError where the file is none of a byte-pair tokenizer, or does not
    match a vocabulary of `size`.
    """
    value = read_json(path)
    words, special = _words(value, path)
    text = _text_rule(value, path)
    beyond = [number for number in words if number >= size]
    if beyond:
        raise UserError(
            f"{path} has token {max(beyond)}; the model's vocabulary has {size}, numbered from 0:"
            " take the tokenizer that belongs to the checkpoint."
        )
    needed = size if optional_from is None else min(optional_from, size)
    lacking = [number for number in range(needed) if number not in words]
    if lacking:
        raise UserError(
            f"{path} lacks {len(lacking)} tokens of the model's {size}, such as {lacking[0]}: take"
            " the tokenizer that belongs to the checkpoint."
        )
    tokens = []
    for number in range(size):
        silent = number in special or number not in words
        try:
            tokens.append(b"" if silent else text(words[number]))
        except (KeyError, UnicodeEncodeError) as error:
            raise UserError(
                f"{path}: token {number} is {words[number]!r:.40}, which stands for no bytes;"
                " download the file again."
            ) from error
    return tuple(tokens)


def _words(value: Any, path: Path) -> tuple[dict[int, str], set[int]]:
    """Tokens by number, and which of them are special."""
    try:
        kind, vocabulary = value["model"]["type"], value["model"]["vocab"]
        added = value.get("added_tokens") or []
        pairs = [(number, word) for word, number in vocabulary.items()]
        pairs += [(entry["id"], entry["content"]) for entry in added]
        special = {entry["id"] for entry in added if entry["special"]}
        sound = all(type(n) is int and 0 <= n < MAX_WORDS and type(w) is str for n, w in pairs)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a tokenizer.json; download it again.") from error
    if kind != "BPE" or not sound:
        raise UserError(
            f"{path}: model.type is {kind!r:.40} with {len(pairs)} tokens; supported is 'BPE' with"
            f" numbers below {MAX_WORDS}: take the tokenizer that belongs to the checkpoint."
        )
    words: dict[int, str] = {}
    for number, word in pairs:
        if words.setdefault(number, word) != word:
            raise UserError(f"{path}: two tokens have the number {number}; download it again.")
    return words, special


def _text_rule(value: Mapping[str, Any], path: Path) -> Callable[[str], bytes]:
    """How a token's name becomes bytes, by the file's decoder."""
    decoder = value.get("decoder")
    steps = decoder.get("decoders", [decoder]) if isinstance(decoder, dict) else []
    steps = steps if isinstance(steps, list) else []
    kinds = [step.get("type") for step in steps if isinstance(step, dict)]
    if kinds == ["ByteLevel"]:
        alphabet = byte_alphabet()
        return lambda word: bytes(alphabet[letter] for letter in word)
    if "ByteFallback" in kinds:
        return _with_fallback
    raise UserError(
        f"{path}: its decoder is {kinds!r:.80}; supported are 'ByteLevel' and one with"
        " 'ByteFallback': take the tokenizer that belongs to the checkpoint."
    )


def _with_fallback(word: str) -> bytes:
    byte = _BYTE.fullmatch(word)
    return bytes([int(byte[1], 16)]) if byte else word.replace(_SPACE, " ").encode()


def byte_alphabet() -> dict[str, int]:
    """The byte that each letter of a byte-level token stands for.

    >>> byte_alphabet()["\u0120"]
    32
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + place): byte for place, byte in enumerate(others)}
