# SPDX-License-Identifier: Apache-2.0
"""What emit is given, as frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from codegen.emit.filters import RESERVED, c_ident
from codegen.emit.speech import SpeechInputs
from codegen.errors import UserError
from codegen.memory_plan import MemoryPlan
from codegen.program import Program
from codegen.target import Target

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")
_TAKEN = frozenset(
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads
    time uchar wchar wctype arm_acle arm_mve
    all board board_config clean counter firmware main records run semihosting step test""".split()
)


WEIGHTS = ("auto", "array", "incbin", "bin")
#: Weights above this are not written as C: a compiler takes seconds a megabyte.
MAX_ARRAY_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class EmitInputs:
    """One project: `sha256` is that of the .tflite or package that the programs come from.

    `weights` is "array" for const arrays in C, "incbin" for a binary file that the assembler
    includes, "bin" for one that the firmware binds when it runs, or "auto": "incbin" above
    MAX_ARRAY_BYTES.
    """

    name: str
    target: Target
    programs: tuple[Program, ...]
    plan: MemoryPlan
    sha256: str
    source_name: str
    speech: SpeechInputs | None = None
    weights: str = "auto"

    def __post_init__(self) -> None:
        """Raise UserError for a name that cannot prefix C symbols, or other weights."""
        check_name(self.name)
        if self.weights not in WEIGHTS:
            raise UserError(
                f"weights {self.weights!r:.40} are unknown; --weights takes {', '.join(WEIGHTS)}."
            )


def check_name(name: str) -> str:
    """`name` if it can prefix C symbols; UserError otherwise."""
    if not _NAME.fullmatch(name) or _is_taken(name):
        raise UserError(
            f"the name '{name:.60}' cannot prefix C symbols: it must be 1 to 48 letters, digits "
            f"and underscores, start with a letter, be no keyword or header of C and not start "
            f"with 'stapes'; --name {default_name(name)} would do."
        )
    return name


def _is_taken(name: str) -> bool:
    """Whether a keyword, a header, or a file or target of the project has this name."""
    return name in RESERVED or name.lower() in _TAKEN or name.lower().startswith("stapes")


def default_name(text: str) -> str:
    """A valid name that resembles `text`, such as a file's stem."""
    ident = c_ident(text).lower()[:42].rstrip("_")
    return f"model_{ident}" if _is_taken(ident) else ident
