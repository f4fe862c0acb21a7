# SPDX-License-Identifier: Apache-2.0
"""`stapes targets`."""

from __future__ import annotations

from codegen.cli._options import Json
from codegen.cli._output import print_json, print_table


def command(as_json: Json = False) -> None:
    """List the targets: core, clock, emulating board and memories."""
    from dataclasses import asdict

    from codegen.target import load_target, target_names

    targets = [load_target(name) for name in target_names()]
    if as_json:
        print_json([asdict(target) for target in targets])
        return
    print_table(
        ("target", "core", "MHz", "features", "NPU", "board", "memories"),
        [
            (
                t.name,
                t.cpu,
                f"{t.clock_hz / 1e6:g}",
                " ".join(t.features) or "-",
                t.npu or "-",
                t.board,
                ", ".join(f"{r.name} {_size(r.size_bytes)}" for r in t.regions),
            )
            for t in targets
        ],
    )


def _size(size_bytes: int) -> str:
    if size_bytes % (1 << 20) == 0:
        return f"{size_bytes >> 20} MiB"
    return f"{size_bytes / 1024:g} KiB"
