# SPDX-License-Identifier: Apache-2.0
"""PCM as a network's input, in integers: the same bits here and in firmware/speech."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.frontend._kinds import RuntimeInput, check_bounds, fixed_spec, scaled
from codegen.program import Buffer

KIND = "raw_pcm"
#: Of one int16 step, when full scale is 1.0.
FULL_SCALE = 32768.0
_BOUNDS = {
    "sample_rate_hz": (8000, 48000),
    "row_samples": (1, 1 << 12),
    "multiplier": (1, (1 << 31) - 1),
    "offset": (-(1 << 61), 1 << 61),
    "shift": (0, 47),
}
_FLOAT = {"scale": 1.0 / FULL_SCALE, "bias": 0.0}


@dataclass(frozen=True)
class RawPcm:
    """int16 PCM in rows of `row_samples`, each sample x as (x * multiplier + offset) >> shift.

    The product and the sum are of 64 bits, the shift rounds down (the offset holds the half that
    makes it round to nearest), and the result is clamped to the input's type. A recording that is
    shorter than the window is followed by samples of 0.
    """

    sample_rate_hz: int = 16000
    row_samples: int = 64
    multiplier: int = 1
    offset: int = 0
    shift: int = 0
    input_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        """Raise UserError for a front end that the integers cannot carry."""
        check_bounds(KIND, self, _BOUNDS)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> RawPcm:
        """The front end of a package's spec; raises UserError for a missing or unknown key."""
        return cls(**fixed_spec(KIND, spec, _BOUNDS))

    def to_dict(self) -> dict[str, int | str]:
        """The spec as it stands in package.json."""
        return {"kind": KIND, **asdict(self)}

    def fitted(self, scale: float, zero_point: int) -> RawPcm:
        """The front end of an input of this quantization, where full scale is 1.0.

        Raises UserError where the scale is out of range.
        """
        slope = 1.0 / (FULL_SCALE * scale) if 0 < scale < math.inf else 0.0
        if not 2.0**-16 <= slope <= 2.0**15:
            raise UserError(f"the network's input scale {scale!r} does not suit PCM")
        shift = 31 - math.frexp(slope)[1]
        offset = (zero_point << shift) + ((1 << shift) >> 1)
        multiplier = min(round(math.ldexp(slope, shift)), (1 << 31) - 1)
        return replace(self, multiplier=multiplier, offset=offset, shift=shift)

    def values(self, window_samples: int) -> int:
        """How many values the network's input has."""
        return window_samples

    def rows(self, pcm: NDArray[Any], window_samples: int) -> NDArray[np.int16]:
        """int16 PCM (samples,) as rows (window_samples / row_samples, row_samples)."""
        window = np.zeros(window_samples, np.int16)
        window[: len(pcm)] = pcm
        return self.features(window)

    def features(self, pcm: NDArray[Any]) -> NDArray[np.int16]:
        """int16 PCM (samples,), whole rows of it, as rows."""
        return pcm.astype(np.int16).reshape(-1, self.row_samples)

    def normalized(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """The float network's input."""
        return scaled(rows, _FLOAT, "float32")

    def quantized(self, rows: NDArray[Any], dtype: str) -> NDArray[Any]:
        """The network's input, `dtype` int8, int16 or float32, as the C computes it."""
        return scaled(rows, self._rescale(dtype), dtype)

    def buffers(self, window_samples: int) -> tuple[Buffer, ...]:
        """Nothing: samples go into the network's input at once."""
        return ()

    def runtime(self, window_samples: int, dtype: str) -> RuntimeInput:
        """What emit writes."""
        rescale = self._rescale(dtype)
        return RuntimeInput(KIND, window_samples, dtype, rescale, struct_bytes=48)

    def _rescale(self, dtype: str) -> Mapping[str, int | float]:
        whole = {"offset": self.offset, "multiplier": self.multiplier, "shift": self.shift}
        return _FLOAT if dtype == "float32" else whole


FRONT_END = RawPcm
