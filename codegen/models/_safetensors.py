# SPDX-License-Identifier: Apache-2.0
"""A bounded reader of .safetensors files, for checkpoints from strangers.

Source: the format's description, https://github.com/huggingface/safetensors: eight bytes of header
length, a JSON header, the data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codegen.errors import UserError
from codegen.package import read_bytes

MAX_HEADER_BYTES = 1 << 24
MAX_TENSORS = 1 << 16
_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def load_tensors(path: Path, most_bytes: int) -> dict[str, np.ndarray]:
    """Every tensor by name, read-only views of the file's bytes; raises UserError."""
    data = read_bytes(path, most_bytes)
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise _damaged(path, "its header runs past the end of the file")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON ({error})") from error
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _damaged(path, f"its header is not a table of at most {MAX_TENSORS} tensors")
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {name: _tensor(path, f"{name!r:.80}", entry, body) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: Any, body: bytes) -> np.ndarray:
    if not isinstance(entry, Mapping) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise _damaged(path, f"tensor {name} lacks dtype, shape or data_offsets")
    dtype = _TYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise UserError(
            f"{path}: tensor {name} is of type {entry['dtype']!r:.40}; supported are"
            f" {', '.join(_TYPES)}: save it as one of them."
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (_whole_numbers(shape, 8) and _whole_numbers(offsets, 2) and len(offsets) == 2):
        raise _damaged(path, f"tensor {name} has a malformed shape or data_offsets")
    begin, end = offsets
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if not begin <= end <= len(body) or end - begin != expected:
        raise _damaged(path, f"tensor {name} of shape {shape} does not lie where it says")
    return np.frombuffer(body, dtype, math.prod(shape), begin).reshape(shape)


def _whole_numbers(value: Any, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(item) is int and 0 <= item < 1 << 40 for item in value)
    )


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is truncated or damaged: {what}; save or download it again.")
