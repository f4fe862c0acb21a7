# SPDX-License-Identifier: Apache-2.0
"""The two kinds of failure a person can meet; the command line catches them once."""


class StapesError(Exception):
    """A failure that is not the caller's mistake: a tool broke, a disk is full (exit code 1)."""

    exit_code = 1


class UserError(StapesError):
    """Something the caller can mend: what, where, got, allowed, next step (exit code 2)."""

    exit_code = 2
