# SPDX-License-Identifier: Apache-2.0
"""The `stapes` command: one file a subcommand; prints and parses, nothing else."""

from codegen.cli._main import main

__all__ = ["main"]
