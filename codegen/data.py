# SPDX-License-Identifier: Apache-2.0
"""Where templates/, targets/ and firmware/ lie: in the wheel, or beside codegen/."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder `name` of the installed data, or of the checkout."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
