# SPDX-License-Identifier: Apache-2.0
"""`stapes doctor`."""

from __future__ import annotations

import typer

from codegen.cli._options import Json
from codegen.cli._output import print_json, print_table


def command(as_json: Json = False) -> None:
    """Say what this machine has, what is missing, and which command brings it.

    Exit code 1 when something that a build needs is missing.
    """
    from dataclasses import asdict

    from codegen.toolchain.doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("", "what", "for", "found, or how to get it"),
            [
                (
                    "ok" if f.found else ("MISSING" if f.required else "absent"),
                    f.name,
                    f.purpose,
                    f.found or f.remedy,
                )
                for f in findings
            ],
        )
    if any(finding.required and not finding.found for finding in findings):
        raise typer.Exit(1)
