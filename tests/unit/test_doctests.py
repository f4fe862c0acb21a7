# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import codegen

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(codegen.__path__, "codegen.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
