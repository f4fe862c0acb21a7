# SPDX-License-Identifier: Apache-2.0
"""Finds plugin files by folder, so that adding one is adding a file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def plugins(package: str) -> dict[str, ModuleType]:
    """Every module of `package` that has no leading underscore, by name, in sorted order."""
    folder = importlib.import_module(package).__path__
    names = sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))
    return {name: importlib.import_module(f"{package}.{name}") for name in names}
