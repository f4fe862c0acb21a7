# SPDX-License-Identifier: Apache-2.0
"""The page of results: tables, and sections that each command replaces alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

HEAD = "# Results\n\nWritten by `make results` and `make results-models`.\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table; all columns but the first are numbers."""
    rule = "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", rule, *lines, ""]


def replaced(page: str, sections: Iterable[Sequence[str]]) -> str:
    """The page with each section, its heading first, in place of the one so headed, or at the end.

    >>> replaced("# Page\\n\\n## A\\n\\nold\\n\\n## B\\n\\nkept\\n", [["## A", "", "new"]])
    '# Page\\n\\n## A\\n\\nnew\\n\\n## B\\n\\nkept\\n'
    """
    head, *blocks = page.split("\n## ")
    known = {block.partition("\n")[0]: block.partition("\n")[2].strip() for block in blocks}
    for heading, *lines in sections:
        known[heading.removeprefix("## ")] = "\n".join(lines).strip()
    parts = [head.strip(), *(f"## {heading}\n\n{body}" for heading, body in known.items())]
    return "\n\n".join(parts) + "\n"


def write(path: Path, sections: Iterable[Sequence[str]]) -> None:
    """Replace the sections in the page, which is made where it does not exist."""
    page = path.read_text(encoding="utf-8") if path.is_file() else HEAD
    path.write_text(replaced(page, sections), encoding="utf-8")
    print(f"wrote {path}")
