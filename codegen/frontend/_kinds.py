# SPDX-License-Identifier: Apache-2.0
"""What every front end says of itself, and how a package's is found by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.program import Buffer
from codegen.registry import plugins

#: A network's input type -> how its converter stapes_rescale_* ends.
_CONVERTERS = {"int8": "s8", "int16": "s16", "float32": "f32"}


@dataclass(frozen=True, eq=False)
class RuntimeInput:
    """A front end as emit writes it: a struct stapes_<kind>_input of `struct_bytes` on 32 bits.

    `rescale` has the fields of stapes_rescale_params, `fields` other numbers, `tables` arrays;
    `buffers` names those of role "front_end" that it asks for, `files` what it needs of
    firmware/speech/ beside the feed's and the converter.
    """

    kind: str
    window_samples: int
    dtype: str
    rescale: Mapping[str, int | float]
    struct_bytes: int
    fields: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    buffers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        """What its functions' names start with."""
        return f"stapes_{self.kind}"

    @property
    def header(self) -> str:
        """What declares them."""
        return f"stapes/{self.kind}.h"

    @property
    def value_bytes(self) -> int:
        """Bytes of a value of the network's input."""
        return np.dtype(self.dtype).itemsize

    @property
    def convert(self) -> str:
        """The function that takes samples or features to the network's input."""
        return f"stapes_rescale_{_CONVERTERS[self.dtype]}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Files of firmware/speech/."""
        return (f"{self.symbol}_feed.c", f"{self.convert}.c", *self.files)


class FrontEnd(Protocol):
    """PCM as the first input of several graphs; `row_samples` divides the window.

    `input_range` holds the float network's inputs.
    """

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def row_samples(self) -> int: ...
    @property
    def input_range(self) -> tuple[float, float]: ...

    def to_dict(self) -> dict[str, int | str]:
        """The spec as it stands in package.json."""
        ...

    def fitted(self, scale: float, zero_point: int) -> FrontEnd:
        """The front end of an input of this quantization."""
        ...

    def values(self, window_samples: int) -> int:
        """How many values the network's input has."""
        ...

    def rows(self, pcm: NDArray[Any], window_samples: int) -> NDArray[np.int16]:
        """What the window of a recording gives, before its conversion."""
        ...

    def normalized(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Rows as the float network's input."""
        ...

    def quantized(self, rows: NDArray[Any], dtype: str) -> NDArray[Any]:
        """Rows as the network's input of that type."""
        ...

    def buffers(self, window_samples: int) -> tuple[Buffer, ...]:
        """What the runtime needs in RAM while PCM arrives, beside the network's input."""
        ...

    def runtime(self, window_samples: int, dtype: str) -> RuntimeInput:
        """What emit writes."""
        ...


def front_end_of(spec: Mapping[str, Any], where: str) -> FrontEnd:
    """The front end of several graphs by the spec's kind; UserError, naming `where`, if unknown."""
    modules = plugins("codegen.frontend")
    kinds = {n: m.FRONT_END for n, m in modules.items() if hasattr(m.FRONT_END, "fitted")}
    if spec["kind"] not in kinds:
        raise UserError(
            f"{where}: front end {spec['kind']!r:.40} is unknown for several graphs; supported:"
            f" {', '.join(kinds)}"
        )
    found: FrontEnd = kinds[spec["kind"]].from_dict(spec)
    return found


def scaled(values: NDArray[Any], rescale: Mapping[str, int | float], dtype: str) -> NDArray[Any]:
    """int16 `values` as the C's converter of that type takes them to the network's input."""
    if dtype == "float32":
        product = np.float32(values) * np.float32(rescale["scale"])
        return np.asarray(product + np.float32(rescale["bias"]), np.float32)
    info = np.iinfo(dtype)
    multiplier, offset, shift = (int(rescale[key]) for key in ("multiplier", "offset", "shift"))
    wide = (values.astype(np.int64) * multiplier + offset) >> shift
    result: NDArray[Any] = np.clip(wide, info.min, info.max).astype(dtype)
    return result


def fixed_spec(
    kind: str, spec: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """A spec's whole numbers; UserError for a key that is missing, unknown or out of bounds."""
    given = set(spec) - {"kind"}
    if given != set(bounds):
        wrong = ", ".join(sorted(f"{key!r:.40}" for key in given ^ set(bounds)))
        raise UserError(f"{kind} front end: {wrong} missing or unknown; make the package again.")
    return {key: spec[key] for key in bounds}


def check_bounds(kind: str, front_end: object, bounds: Mapping[str, tuple[int, int]]) -> None:
    """Raise UserError unless the fields are whole numbers within bounds."""
    for key, (least, most) in bounds.items():
        value = getattr(front_end, key)
        if type(value) is not int or not least <= value <= most:
            raise UserError(
                f"{kind} front end: {key} is {value!r:.40}, {least} to {most} is allowed; make"
                " the package again."
            )
