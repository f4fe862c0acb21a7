# SPDX-License-Identifier: Apache-2.0
"""What every page of HTML is made of; it needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from codegen.report import figures
from codegen.report._style import STYLE


def document(
    title: str, heading: str, facts: Sequence[str], parts: Sequence[str], footer: str
) -> str:
    """A page under a heading and a line of facts; `parts` and `footer` are HTML already."""
    line = " <i>·</i> ".join(text(fact) for fact in facts if fact)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{text(title, 200)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<header><h1>{text(heading)}</h1>",
            f"<p>{line}</p></header>",
            *parts,
            f"<footer>{footer}</footer>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def text(value: str, length: int = 120) -> str:
    """A name as it is, on one line, whatever is in it."""
    return escape(figures.clean(value, length))


def section(title: str, body: str) -> str:
    """A heading and HTML under it."""
    return f"<section><h2>{title}</h2>\n{body}\n</section>"


def cards(values: Sequence[tuple[str, str, str]]) -> str:
    """What it is, how much, and a word on that."""
    inner = "".join(
        f'<div class="card"><h3>{text(name)}</h3><b>{text(value)}</b><p>{text(beside)}</p></div>'
        for name, value, beside in values
    )
    return f'<div class="cards">{inner}</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int) -> str:
    """A table whose columns from `numbers_from` on hold numbers; cells are HTML already."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="n">{cell}</{tag}>' if i >= numbers_from else f"<{tag}>{cell}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", heads)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
