# SPDX-License-Identifier: Apache-2.0
"""The C decoding loop equals Python's token for token, on graphs that hash all they are given.

They are of int16 or of float; a token's row may be int8 and have a scale.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.data import data_folder
from codegen.evaluate.greedy import detokenized, greedy_tokens, is_silent, most_steps, repeated
from codegen.frontend.raw_pcm import RawPcm
from codegen.graph import Quantization, Tensor
from codegen.row_scales import RowScales, row_scales
from tests.firmware.conftest import FLAGS, HERE, SANITIZERS, STATUS

WINDOW, POSITIONS, WIDTH, BLOCKS, ENTRY, RATE = 640, 24, 3, 2, 5, 16000
WORDS = ("", " a", "b", " ", "\xc3", "\xa9", "  c ", "d", " longer", "e")
FRONT_END = RawPcm(RATE, 64, 20000, (5 << 15) + (1 << 14), 15)
INTEGERS = (
    "end most_tokens least_tokens tokens_per_10_s repeat_tokens silence masked attended"
).split()
RULE: dict[str, Any] = {
    "start": [1],
    "end": 0,
    "suppress": [],
    "begin_suppress": [],
    "most_tokens": POSITIONS,
    "least_tokens": 9,
    "tokens_per_10_s": 8000,
    "repeat_tokens": 24,
    "silence": 50,
    "masked": -300,
    "attended": 12,
    "float_masked": -60.125,
}
#: What is asked of the rules; LEVELS is how many values a logit has: few make ties and repetition.
#: A float logit of 1 is written as no number.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "plain": ({}, 60000),
    "ties": ({}, 2),
    "long start": ({"start": [1, 5, 2, 9]}, 60000),
    "suppressed": ({"suppress": [0, 3, 4, 6], "begin_suppress": [1, 2]}, 60000),
    "never ends": ({"suppress": [0]}, 60000),
    "repeats": ({"suppress": [0], "repeat_tokens": 2}, 3),
    "repeats passages": ({"suppress": [0, *range(3, 10)], "repeat_tokens": 4}, 60000),
    "rows with scales": ({}, 60000),
    "one step": ({"most_tokens": 1, "suppress": [0]}, 60000),
    "floats": ({}, 60000),
    "floats, ties": ({}, 3),
    "floats, not a number": ({"suppress": [3], "begin_suppress": [2, 5]}, 2),
}
#: What a token's rows with scales go into, by how the case's name begins.
SCALED = {
    "floats": Tensor("embedding", (1, WIDTH), "float32"),
    "rows with scales": Tensor("embedding", (1, WIDTH), "int16", Quantization((3e-4,), (7,))),
}
FLOAT_SCALE, FLOAT_BIAS = np.float32(1 / 32768), np.float32(0.1)
MASK32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Loop:
    """A compiled loop and the rule that it follows."""

    program: Path
    rule: Mapping[str, Any]
    levels: int
    token_rows: NDArray[Any]
    step_rows: NDArray[Any]
    scales: RowScales | None = None

    @property
    def floats(self) -> bool:
        """Whether the graphs are of float."""
        return self.scales is not None and self.scales.dtype == "float32"

    def talk(self, *asked: tuple[NDArray[np.int16], int, int]) -> list[tuple[str, bytes, bytes]]:
        """(pcm, text bytes, block) each; gives (status, text, what was told)."""
        sent = b"".join(
            struct.pack("<III", room, len(pcm), block) + pcm.astype("<i2").tobytes()
            for pcm, room, block in asked
        )
        got = subprocess.run([self.program], input=sent, capture_output=True, check=False)
        assert got.returncode == 0, got.stderr.decode()
        replies, at = [], 0
        while at < len(got.stdout):
            status, size = struct.unpack_from("<II", got.stdout, at)
            text = got.stdout[at + 8 : at + 8 + size]
            at += 8 + size
            (size,) = struct.unpack_from("<I", got.stdout, at)
            replies.append((STATUS[status], text, got.stdout[at + 4 : at + 4 + size]))
            at += 4 + size
        assert len(replies) == len(asked)
        return replies

    def tokens(self, pcm: NDArray[np.int16]) -> tuple[int, ...]:
        """What Python says the tokens must be."""
        if is_silent(pcm, self.rule["silence"]):
            return ()
        rows = FRONT_END.rows(pcm, WINDOW)
        heard = _hash(2166136261, FRONT_END.quantized(rows, "int16"))
        masked, attended, dtype = self.rule["masked"], self.rule["attended"], "int16"
        token_rows = self.token_rows
        if self.scales is not None:
            token_rows = self.scales.rows(token_rows)
        if self.floats:
            heard = _hash(2166136261, rows.astype(np.float32) * FLOAT_SCALE + FLOAT_BIAS)
            masked, attended, dtype = self.rule["float_masked"], 0, "float32"
        cache = np.zeros((BLOCKS, POSITIONS, ENTRY), dtype)

        def step(token: int, number: int) -> NDArray[Any]:
            mask = np.full(POSITIONS + 1, masked, dtype)
            mask[:number] = mask[-1] = attended
            state = heard
            for given in (token_rows[token], self.step_rows[number], mask, cache):
                state = _hash(state, given)
            new = (np.arange(BLOCKS * ENTRY) * 7919 + (state >> 8)).astype(np.int16)
            cache[:, number] = new.reshape(BLOCKS, ENTRY)
            levels = []
            for _ in WORDS:
                state = (state * 1664525 + 1013904223) & MASK32
                levels.append((state >> 16) % self.levels)
            logits = np.array(levels).astype(np.uint16).view(np.int16)
            return np.where(logits == 1, np.nan, logits) if self.floats else logits

        return greedy_tokens(self.rule, most_steps(self.rule, len(pcm), RATE), step)


def _hash(state: int, values: NDArray[Any]) -> int:
    for value in np.ascontiguousarray(values).view(np.uint16).reshape(-1).tolist():
        state = ((state ^ value) * 16777619) & MASK32
    return state


def _array(name: str, values: Sequence[int] | NDArray[Any], c_type: str) -> str:
    body = ", ".join(map(str, np.array(values).reshape(-1).tolist())) or "0"
    return f"static const {c_type} {name}[] = {{{body}}};"


def _header(loop: Loop) -> str:
    rule = loop.rule
    floats, scales = loop.floats, loop.scales
    integers = [f".{key} = {rule[key]}" for key in (*INTEGERS, "float_masked")]
    integers += [f".{key}_count = {len(rule[key])}" for key in ("start", "suppress")]
    integers += [f".begin_suppress_count = {len(rule['begin_suppress'])}"]
    words = [word.encode("latin-1") for word in WORDS]
    whole = f"{FRONT_END.offset}, {FRONT_END.multiplier}, {FRONT_END.shift}"
    rescale = f"{{{whole}, {FLOAT_SCALE}f, {FLOAT_BIAS}f}}"
    logit = "((x) == 1 ? 0.0f / 0.0f : (float)(x))" if floats else "(x)"
    value = "float" if floats else "int16_t"
    lines = [
        f"enum {{ WINDOW = {WINDOW}, POSITIONS = {POSITIONS}, WIDTH = {WIDTH}, BLOCKS = {BLOCKS},",
        f" ENTRY = {ENTRY}, CLASSES = {len(WORDS)}, LEVELS = {loop.levels} }};",
        f"#define RESCALE {rescale}",
        f"#define CONVERT stapes_rescale_{'f32' if floats else 's16'}",
        f"#define VALUE {value}",
        f"#define LOGIT(x) {logit}",
        f"#define SCALES {'token_scales' if scales else 'NULL'}",
        f"#define VALUE_BYTES {scales.value_bytes if scales else 0}",
        f"#define SHIFT {scales.shift if scales else 0}",
        f"#define ZERO_POINT {scales.zero_point if scales else 0}",
        f"#define RULE {', '.join(integers)}, .sample_rate_hz = {RATE}",
        _array("token_bytes", list(b"".join(words)), "uint8_t"),
        _array("token_ends", np.cumsum([len(word) for word in words]), "uint32_t"),
        _array("token_table", loop.token_rows, "int8_t" if scales else "int16_t"),
        _array("token_scales", scales.factors, "float" if floats else "int32_t") if scales else "",
        _array("step_table", loop.step_rows, value),
        *(_array(key, rule[key], "int32_t") for key in ("start", "suppress", "begin_suppress")),
    ]
    return "\n".join(lines) + "\n"


def _built(
    folder: Path, changes: Mapping[str, Any], levels: int, *, scaled: Tensor | None = None
) -> Loop:
    rng = np.random.default_rng(3)
    rows = rng.integers(-32768, 32768, (len(WORDS) + POSITIONS, WIDTH), dtype=np.int16)
    split = len(WORDS)
    loop = Loop(folder / "greedy", {**RULE, **changes}, levels, rows[:split], rows[split:])
    if scaled is not None:
        scales = row_scales(rng.uniform(0.001, 0.1, split).astype(np.float32), scaled)
        loop = replace(loop, token_rows=rows[:split].astype(np.int8), scales=scales)
    if loop.floats:
        loop = replace(loop, step_rows=rows[split:] * np.float32(1 / 3))
    (folder / "tables.h").write_text(_header(loop), encoding="utf-8")
    firmware = data_folder("firmware")
    names = ["stapes_greedy", "stapes_greedy_text", "stapes_raw_pcm_feed"]
    names += ["stapes_rescale_f32" if loop.floats else "stapes_rescale_s16"]
    sources = [*(firmware / "speech" / f"{n}.c" for n in names), *firmware.glob("runtime/*.c")]
    command = ["gcc", *FLAGS, *SANITIZERS, f"-I{firmware / 'include'}", f"-I{folder}"]
    command += [str(HERE / "greedy_harness.c"), *map(str, sources), "-o", str(loop.program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return loop


@pytest.fixture(scope="session", params=CASES)
def loop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    scaled = next((SCALED[key] for key in SCALED if request.param.startswith(key)), None)
    return _built(tmp_path_factory.mktemp("greedy"), *CASES[request.param], scaled=scaled)


def recordings() -> list[NDArray[np.int16]]:
    rng = np.random.default_rng(11)
    lengths = [*range(1, 40, 7), *rng.integers(40, WINDOW, 40).tolist(), WINDOW]
    return [rng.integers(-32768, 32768, n, dtype=np.int16) for n in lengths]


def test_the_text_is_pythons(loop: Loop) -> None:
    heard = recordings()
    replies = loop.talk(*((pcm, 400, 1 + 37 * n) for n, pcm in enumerate(heard)))
    texts = []
    for pcm, (status, text, told) in zip(heard, replies, strict=True):
        tokens = loop.tokens(pcm)
        assert (status, text.decode("utf-8", "replace")) == ("OK", detokenized(tokens, WORDS))
        spoken = b"".join(WORDS[token].encode("latin-1") for token in tokens)
        assert told.startswith(spoken)
        texts.append(text)
    assert len(set(texts)) > 3


def test_the_rules_are_all_exercised(tmp_path: Path) -> None:
    ends, cut = _built(tmp_path, {}, 60000), {**RULE, **CASES["repeats"][0]}
    loop = Loop(ends.program, cut, 3, ends.token_rows, ends.step_rows)
    counts = {len(ends.tokens(pcm)) for pcm in recordings()}
    assert min(counts) < 4
    assert any(len(loop.tokens(pcm)) < 4 for pcm in recordings())


def test_repeated_passages_loops_and_parts_are_all_exercised(tmp_path: Path) -> None:
    whole, cut = _built(tmp_path, {}, 60000), {**RULE, **CASES["repeats passages"][0]}
    guarded = replace(whole, rule=cut)
    kinds = set()
    for pcm in recordings():
        kept = guarded.tokens(pcm)
        said = replace(whole, rule={**cut, "repeat_tokens": POSITIONS}).tokens(pcm)
        texts = [said[:n] for n in range(len(said) + 1)]
        found = [(text, n) for text in texts if (n := repeated(text, cut["repeat_tokens"]))]
        for text, dropped in found[:1]:
            assert kept == text[:-dropped]
            passage = text[-dropped:]
            kinds.add("passage" if text[:-dropped][-dropped:] == passage else "loop")
        if not found:
            kinds.add("whole" if kept == said else "part")
    assert kinds == {"passage", "loop", "whole", "part"}


def test_letters_are_joined_across_tokens(tmp_path: Path) -> None:
    """The third and fourth token below are the two bytes of one letter."""
    loop = _built(tmp_path, {"start": [4], "suppress": [0, *range(6, 10)]}, 2)
    texts = [text for _, text, _ in loop.talk(*((pcm, 400, 64) for pcm in recordings()))]
    assert any("é".encode() in text for text in texts)


def test_the_text_never_passes_its_end(loop: Loop) -> None:
    pcm = recordings()[-1]
    ((_, text, _told),) = loop.talk((pcm, 400, 64))
    replies = loop.talk(*((pcm, room, 64) for room in range(len(text) + 3)))
    for room, (status, found, _) in enumerate(replies):
        fits = room > len(text)
        assert (status, found) == (("OK", text) if fits else ("TEXT_TOO_SMALL", b""))


def test_silence_and_no_samples_give_no_text_and_run_nothing(loop: Loop) -> None:
    quiet = np.full(300, 7, np.int16)  # a mean square of 49 and of 50.0: below the gate, and at it
    at_gate = np.array([7, 7, 7, 7, 7, 7, 7, 7, 7, 3, 10, 0] * 20, np.int16)
    assert is_silent(quiet, 50)
    replies = loop.talk((quiet, 400, 100), (quiet[:0], 400, 1), (at_gate, 400, 9))
    assert replies[:2] == [("OK", b"", b"")] * 2
    assert replies[2][1].decode("utf-8", "replace") == detokenized(loop.tokens(at_gate), WORDS)


def test_more_than_the_window_is_refused_and_forgotten(loop: Loop) -> None:
    pcm = np.resize(recordings()[-1], WINDOW + 1)
    long, again = loop.talk((pcm, 400, 64), (pcm[:WINDOW], 400, 64))
    assert long == ("AUDIO_TOO_LONG", b"", b"")
    assert again[0] == "OK"
    assert again[1].decode("utf-8", "replace") == detokenized(loop.tokens(pcm[:WINDOW]), WORDS)
