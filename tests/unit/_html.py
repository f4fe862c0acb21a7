# SPDX-License-Identifier: Apache-2.0
"""Looks at pages as a browser would."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HOSTILE = '</title><script>alert("1")</script>\n\x00[bold]*/' + "x" * 300


class Page(HTMLParser):
    """The tags of a page, what they refer to, and whether they close in order."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def stands_alone(html: str) -> None:
    """Fail unless tags close, nothing comes from outside, and names have stayed text."""
    page = Page()
    page.feed(html)
    assert page.open == []
    assert "script" not in page.tags
    assert page.references == []
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)
    assert "\x00" not in html
