# SPDX-License-Identifier: Apache-2.0
"""Filters: their docstrings run, and no text can become code."""

from __future__ import annotations

import doctest
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.emit import filters
from codegen.emit.inputs import check_name, default_name
from codegen.errors import StapesError, UserError

HOSTILE = (
    '"); system("rm -rf /"); ("',
    "*/ int evil(void) { return 1; } /*",
    "a\nb\r\n#include <evil.h>",
    "??/",
    "\\",
    "é漢字",
    "x" * 10_000,
    "",
    "\0",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "int",
    "\ud800",
)


def test_docstrings_run() -> None:
    result = doctest.testmod(filters)
    assert (result.failed, result.attempted > 8) == (0, True)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_tamed(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,50}", filters.c_ident(text))
    comment = filters.c_comment(text)
    assert re.fullmatch(r"[ -~]{0,80}", comment)
    assert not any(sequence in comment for sequence in ("*/", "/*", "??", "\\"))
    assert re.fullmatch(r'"([ !#->@-\[\]-~]|\\["\\?]|\\[0-7]{3})*"', filters.c_string(text))
    assert check_name(default_name(text))


@given(st.text())
def test_any_text_is_tamed(text: str) -> None:
    test_hostile_text_is_tamed(text)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_round_trip(value: float) -> None:
    assert np.float32(filters.c_float(value).removesuffix("f")) == np.float32(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39])
def test_floats_that_c_cannot_write(value: float) -> None:
    with pytest.raises(StapesError, match="32-bit float"), np.errstate(over="ignore"):
        filters.c_float(value)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=200))
def test_arrays_keep_values_and_width(values: list[int]) -> None:
    text = filters.c_array(np.array(values, np.int64))
    assert all(len(line) <= 100 for line in text.splitlines())
    literals = [word.replace("LL", "").rstrip(",") for word in re.split(r",\s*", text.strip())]
    assert [eval(literal) for literal in literals if literal] == values


def test_long_calls_wrap() -> None:
    text = filters.c_call("kernel", [f"argument_{i}" for i in range(30)])
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.startswith("    kernel(argument_0, ")
    assert text.endswith("argument_29);")


@pytest.mark.parametrize(
    "name", ["", "1st", "a-b", "a b", "while", "string", "stapes_x", "run", "Stdio", "a" * 49, "é"]
)
def test_names_that_cannot_prefix_symbols(name: str) -> None:
    with pytest.raises(UserError, match="--name "):
        check_name(name)
