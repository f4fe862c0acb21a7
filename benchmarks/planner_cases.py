# SPDX-License-Identifier: Apache-2.0
"""Offsets for static allocation problems: lower bound, bytes reached, what it took.

python -m benchmarks.planner_cases FOLDER [--capacity 1048576]

FOLDER holds CSV files with the columns id, lower, upper and size, a buffer's lifetime being
lower <= time < upper: those of https://github.com/google/minimalloc, for instance (Apache-2.0;
its folder benchmarks has the eleven that its authors call challenging). Prints a table and exits
with 1 where a case takes more than the capacity.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

from codegen.memory.liveness import Interval, peak_bytes
from codegen.memory.plan import by_size, offsets
from codegen.memory.tighten import height
from codegen.memory_plan import ALIGNMENT_BYTES


def read(path: Path) -> list[Interval]:
    """The needs in a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Interval(
                number,
                row["id"],
                int(row["size"]),
                ALIGNMENT_BYTES,
                int(row["lower"]),
                int(row["upper"]) - 1,
            )
            for number, row in enumerate(csv.DictReader(file))
        ]


def main() -> int:
    """Plan every case of the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--capacity", type=int, default=1 << 20, help="bytes that are enough")
    arguments = parser.parse_args()
    over = 0
    print(
        "| case | buffers | lower bound | greedy by size | reached | optimal | nodes | CPU s | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted(arguments.folder.glob("*.csv")):
        needs = read(path)
        clock, cpu = time.perf_counter(), time.process_time()
        found = offsets(needs)
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        reached = height(needs, found.offsets)
        over += reached > arguments.capacity
        print(
            f"| {path.stem} | {len(needs)} | {peak_bytes(needs):,} "
            f"| {height(needs, by_size(needs)):,} | {reached:,} "
            f"| {'proved' if found.optimal else 'not proved'} | {found.nodes:,} "
            f"| {cpu:.1f} | {clock:.1f} |",
            flush=True,
        )
    print(f"\n{over} above {arguments.capacity:,} bytes; load {os.getloadavg()[0]:.1f}")
    return min(over, 1)


if __name__ == "__main__":
    raise SystemExit(main())
