# SPDX-License-Identifier: Apache-2.0
"""The only way for names and literals into C: each filter's result is safe where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from codegen.errors import StapesError

WIDTH = 100
_IDENT_LENGTH = 48
_COMMENT_LENGTH = 80

#: Words of C11 and C++20 that no identifier may be.
RESERVED = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    char8_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long main mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires
    restrict return short signed sizeof static static_assert static_cast struct switch template
    this thread_local throw true try typedef typeid typename union unsigned using virtual void
    volatile wchar_t while xor xor_eq linux unix""".split()
)


def c_ident(text: str) -> str:
    """An identifier that resembles `text`.

    >>> c_ident("conv1/Relu6;bias")
    'conv1_Relu6_bias'
    >>> c_ident("3x3"), c_ident("while"), c_ident("*/ \\n"), c_ident("__x")
    ('n3x3', 'while_', 'unnamed', 'x')
    """
    ident = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:_IDENT_LENGTH].rstrip("_")
    if not ident:
        return "unnamed"
    if ident[0].isdigit():
        ident = f"n{ident}"
    return f"{ident}_" if ident in RESERVED else ident


def c_string(text: str) -> str:
    r"""A string literal of `text` in UTF-8; octal escapes end by themselves, hex ones do not.

    >>> print(c_string('say "hi"\n'), c_string("??/"), c_string("é1"))
    "say \"hi\"\012" "\?\?/" "\303\2511"
    """
    escapes = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    parts = [
        escapes.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in text.encode("utf-8", "surrogatepass")
    ]
    return '"' + "".join(parts) + '"'


def c_comment(text: str) -> str:
    r"""`text` on one line of printable ASCII that cannot end or nest a comment.

    >>> c_comment("a */ b /* c\nd ??/ é \\")
    'a * / b / * c.d ? ?/ . |'
    """
    line = "".join(c if " " <= c <= "~" else "." for c in text[: 4 * _COMMENT_LENGTH])
    line = line.replace("\\", "|").replace("??", "? ?").replace("??", "? ?")
    line = line.replace("*/", "* /").replace("/*", "/ *")
    return line if len(line) <= _COMMENT_LENGTH else f"{line[: _COMMENT_LENGTH - 3]}..."


def c_int(value: int) -> str:
    """A decimal integer constant of the narrowest of int32_t, int64_t and uint64_t.

    >>> c_int(-5), c_int(-(2**31)), c_int(2**31), c_int(2**63)
    ('-5', '(-2147483647 - 1)', '2147483648LL', '9223372036854775808ULL')
    >>> c_int(-(2**63))
    '(-9223372036854775807LL - 1)'
    """
    value = int(value)
    if not -(2**63) <= value < 2**64:
        raise StapesError(f"{value} is no 64-bit integer and cannot be written to C.")
    suffix = "" if -(2**31) <= value < 2**31 else "LL" if value < 2**63 else "ULL"
    if value in (-(2**31), -(2**63)):
        return f"({value + 1}{suffix} - 1)"
    return f"{value}{suffix}"


def c_float(value: float) -> str:
    """The shortest float constant that reads back as the same 32-bit value.

    >>> c_float(1e-7), c_float(0.1), c_float(1), c_float(-0.0), c_float(16777216)
    ('1e-07f', '0.1f', '1.0f', '-0.0f', '1.6777216e+07f')
    """
    single = np.float32(value)
    if not np.isfinite(single):
        raise StapesError(f"{value} is not a finite 32-bit float and cannot be written to C.")
    return f"{single!s}f"


def c_number(value: float) -> str:
    """A constant: of 32-bit float for a Python float, else an integer.

    >>> c_number(3), c_number(3.0)
    ('3', '3.0f')
    """
    return c_float(value) if isinstance(value, float) else c_int(value)


def c_array(values: np.ndarray, indent: int = 4) -> str:
    """The values of a one-dimensional array, comma-separated, in lines of at most 100 columns.

    >>> print(c_array(np.array([1, -2, 3], np.int8)))
        1, -2, 3,
    """
    kind, item_bytes = values.dtype.kind, values.dtype.itemsize
    literal: Callable[[Any], str] = c_float if kind == "f" else str if item_bytes <= 2 else c_int
    texts = map(literal, values.tolist())
    return "\n".join(_lines((f"{text}," for text in texts), indent))


def c_bytes(data: bytes, indent: int = 4) -> str:
    """Bytes as hexadecimal constants, in lines of at most 100 columns.

    >>> print(c_bytes(b"\\x00\\xff"))
        0x00, 0xff,
    """
    return "\n".join(_lines((f"{byte:#04x}," for byte in data), indent))


def c_strings(texts: Sequence[str], indent: int = 4) -> str:
    """One string literal of all `texts`, in lines of at most 100 columns.

    >>> print(c_strings(("yes", "no")))
        "yes" "no"
    """
    return "\n".join(_lines(map(c_string, texts), indent)) or " " * indent + '""'


def c_call(name: str, arguments: Sequence[str], indent: int = 4) -> str:
    """A call, its arguments aligned behind the parenthesis when it takes more than one line.

    >>> print(c_call("f", ("a", "b"), 4))
        f(a, b);
    """
    column = indent + len(name) + 1
    words = [f"{argument}," for argument in arguments[:-1]]
    words += [f"{argument});" for argument in arguments[-1:]]
    lines = _lines(words, column) or [" " * column + ");"]
    return " " * indent + f"{name}(" + "\n".join(lines).lstrip(" ")


def c_tensor(slot: Any) -> str:
    """A stapes_tensor's initializer: where a Slot lies."""
    return f"{{.arena = {slot.arena.index}, .offset = {slot.macro}, .bytes = {slot.size_bytes}}}"


def _lines(words: Iterable[str], indent: int) -> list[str]:
    """`words` packed into lines of WIDTH columns that start with `indent` spaces."""
    lines: list[str] = []
    line: list[str] = []
    length = indent - 1
    for word in words:
        if line and length + 1 + len(word) > WIDTH:
            lines.append(" " * indent + " ".join(line))
            line, length = [], indent - 1
        line.append(word)
        length += 1 + len(word)
    if line:
        lines.append(" " * indent + " ".join(line))
    return lines


FILTERS = (
    *(c_ident, c_string, c_comment, c_int, c_float, c_number, c_array, c_bytes, c_strings, c_call),
    c_tensor,
)
