# SPDX-License-Identifier: Apache-2.0
"""What is known of a package's layers, as plain values and as JSON; figures that say nothing are
None, such as the kurtosis of values that are all equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

#: Channels that are named of a layer: those that reach furthest.
NAMED_CHANNELS = 8
#: A channel whose largest value is beyond so many RMS of all values is counted as an outlier.
#: Twice the 3 sigma that hold 99.7 % of normal values; of those, one in 500 million is beyond it.
OUTLIER_RMS = 6.0


@dataclass(frozen=True)
class Spread:
    """How values of several channels lie; the kurtosis of normal ones is 3, of uniform ones 1.8.

    `kurtosis` and `peak`, the largest magnitude by the root mean square, are of all values
    together; `channel_kurtosis` is the median of the channels' own, `worst_kurtosis` the largest.
    `channels` are those that reach furthest, first `peak`'s; `outliers` counts those beyond
    OUTLIER_RMS.
    """

    kurtosis: float | None
    channel_kurtosis: float | None
    worst_kurtosis: float | None
    peak: float | None
    channels: tuple[int, ...]
    outliers: int


@dataclass(frozen=True)
class Layer:
    """A matrix or convolution with constant weights, as one package has it.

    `graph` begins the name where there are several, and is "" where there is one. `size_bytes` is
    of the weights, packed, and their scales. `snr_db` is the signal-to-noise ratio of what the
    float layer makes of its inputs with the quantized weights. Spreads are of the float weights by
    output channel, and of the inputs that recordings gave by input channel.
    """

    name: str
    graph: str
    kind: str
    shape: tuple[int, ...]
    bits: int
    block_size: int
    size_bytes: int
    snr_db: float | None
    weights: Spread
    inputs: Spread


@dataclass(frozen=True)
class Effect:
    """WER in percent with some weights quantized and all else float, and the difference from float
    in points with its 95 % interval."""

    wer: float
    points: float
    low_points: float
    high_points: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low_points > 0 or self.high_points < 0


@dataclass(frozen=True)
class Row:
    """A layer, the layer of that name in the other package, and what it does to WER."""

    layer: Layer
    beside: Layer | None = None
    effect: Effect | None = None


@dataclass(frozen=True)
class WerEffects:
    """WER of the float model, and with all listed layers quantized together."""

    float_wer: float
    together: Effect
    words: int
    normalizer: str


@dataclass(frozen=True)
class LayersReport:
    """A package's layers in the order of its graphs, on one corpus; `beside` says how the other
    package was made, if there is one."""

    name: str
    recipe: str
    sha256: str
    corpus: str
    rows: tuple[Row, ...]
    beside: str | None = None
    only_beside: int = 0
    wer: WerEffects | None = None

    @property
    def size_bytes(self) -> int:
        """Of all layers' weights and scales."""
        return sum(row.layer.size_bytes for row in self.rows)

    @property
    def by_cost(self) -> tuple[Row, ...]:
        """The layers that raise WER most first, then those that were not measured; of equal ones,
        those with the largest error first."""
        return tuple(sorted(self.rows, key=_cost))


def by_error(layer: Layer) -> float:
    """Sorts layers with the largest error of their outputs first."""
    return float("inf") if layer.snr_db is None else layer.snr_db


def _cost(row: Row) -> tuple[bool, float, float]:
    effect = row.effect
    return effect is None, -effect.points if effect else 0.0, by_error(row.layer)


def layers_data(report: LayersReport) -> dict[str, Any]:
    """The report for JSON, floats to six digits: more than any of them means."""
    shown: dict[str, Any] = _rounded(asdict(report))
    return {"schema": 1, **shown}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value


def finite(values: Iterator[float | None]) -> list[float]:
    """Those that say something."""
    return [value for value in values if value is not None]
