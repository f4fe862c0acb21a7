# SPDX-License-Identifier: Apache-2.0
"""Jinja, set up once: undefined names are errors, and templates print but do not compute."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from codegen.data import data_folder
from codegen.emit.filters import FILTERS


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    return environment


def render(template: str, **values: Any) -> str:
    """The text of `template` with `values` filled in."""
    return _environment().get_template(template).render(**values)
