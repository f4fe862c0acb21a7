# SPDX-License-Identifier: Apache-2.0
"""Keeps other people's log lines away from the user's terminal."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing printed inside reaches stdout or stderr, also not by C++ code.

    Warnings are silenced too. Replaces the file descriptors of the whole process while it lasts.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            try:
                with (
                    open(os.dup(sink.fileno()), "w", encoding="utf-8", errors="replace") as text,
                    redirect_stdout(text),
                    redirect_stderr(text),
                ):
                    yield
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os.dup2(saved[0], 1)
                os.dup2(saved[1], 2)
    finally:
        for descriptor in saved:
            os.close(descriptor)
