# SPDX-License-Identifier: Apache-2.0
"""Layers as tables for a terminal, those that cost most first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from codegen.report.figures import clean, points, size
from codegen.report.layers import Effect, Layer, LayersReport, Row, Spread
from codegen.report.text import new_table

_UNKNOWN = "-"
_NAMED = 3
_NOTE = (
    "SNR: what a layer makes of its inputs with quantized weights, against float weights. W:"
    " weights, X: inputs; kurtosis of all values together, 3 for normal ones; peak: largest"
    " magnitude by the RMS, at this channel."
)


def layers_view(report: LayersReport) -> RenderableType:
    """A row a layer; a second table where there is another package beside."""
    head = Text()
    head.append(clean(report.name), "bold").append(f"  {clean(report.recipe, 200)}\n")
    head.append(f"sha256 {report.sha256}\n{clean(report.corpus, 200)}\n", "dim")
    parts: list[RenderableType] = [head, _layers(report), Text(_NOTE, "dim")]
    if report.beside is not None:
        parts += ["", _beside(report, report.beside)]
    return Group(*parts, "", *(Text(line, "bold") for line in summary(report)))


def summary(report: LayersReport) -> Iterator[str]:
    """What there is to say of all layers together, in one or two sentences."""
    yield f"{len(report.rows)} layers, {size(report.size_bytes)} of weights and scales"
    if report.wer is None:
        return
    together, words = report.wer.together, report.wer.words
    yield (
        f"WER {report.wer.float_wer:.2f} % in float, {together.wer:.2f} % with all these weights"
        f" quantized: {points(together.points)} points, 95 % interval {interval(together)};"
        f" {words:,} words, {clean(report.wer.normalizer, 80)}"
    )
    measured = [row for row in report.by_cost if row.effect is not None]
    above = [clean(row.layer.name) for row in measured if row.effect and row.effect.low_points > 0]
    names = ", ".join(above[:_NAMED]) + (f" and {len(above) - _NAMED} more" * (len(above) > _NAMED))
    yield (
        f"of {len(measured)} layers quantized alone, {len(above) or 'none'} with an interval above"
        f" 0{': ' * bool(above)}{names}"
    )


#: Heads of columns, and what stands there of a layer.
_COLUMNS: Mapping[str, Callable[[Layer], str]] = {
    ">bits": lambda layer: bits(layer),
    ">KiB": lambda layer: f"{layer.size_bytes / 1024:,.0f}",
    ">SNR\ndB": lambda layer: figure(layer.snr_db),
    ">W\nkurt.": lambda layer: figure(layer.weights.kurtosis),
    ">W\npeak": lambda layer: figure(layer.weights.peak),
    ">X\nkurt.": lambda layer: figure(layer.inputs.kurtosis),
    ">X\npeak": lambda layer: figure(layer.inputs.peak),
    ">at": lambda layer: str(layer.inputs.channels[0]),
}
#: Left out where WER takes the room.
_WIDE = ">W\npeak"


def _layers(report: LayersReport) -> RenderableType:
    measured = report.wer is not None
    columns = {head: tell for head, tell in _COLUMNS.items() if not (measured and head == _WIDE)}
    effects = (">WER\npoints", ">95 %\ninterval") if measured else ()
    shown = new_table("Layers", "layer", *columns, *effects)
    shown.pad_edge, shown.collapse_padding = False, True
    for row in report.by_cost:
        figures = (tell(row.layer) for tell in columns.values())
        shown.add_row(Text(clean(row.layer.name)), *figures, *(_effect(row) if measured else ()))
    return shown


def _effect(row: Row) -> tuple[str, str]:
    if row.effect is None:
        return "", ""
    return points(row.effect.points), interval(row.effect).replace(" to ", " ")


def _beside(report: LayersReport, recipe: str) -> RenderableType:
    title = f"Beside {clean(recipe, 60)}: there, and here"
    shown = new_table(title, "layer", ">SNR dB", ">W kurtosis", ">X kurtosis", ">X peak")
    shown.pad_edge = False
    for row in report.by_cost:
        if row.beside is not None:
            shown.add_row(Text(clean(row.layer.name)), *changes(row.beside, row.layer))
    here = sum(row.beside is None for row in report.rows)
    if not here + report.only_beside:
        return shown
    note = f"{here} layers are only in the first package, {report.only_beside} only beside it"
    return Group(shown, Text(note, "dim"))


def changes(there: Layer, here: Layer) -> Sequence[str]:
    """SNR, kurtosis of weights and of inputs, and inputs' peaks in two packages."""

    def both(old: float | None, new: float | None) -> str:
        return f"{figure(old)} → {figure(new)}"

    return (
        both(there.snr_db, here.snr_db),
        both(there.weights.kurtosis, here.weights.kurtosis),
        both(there.inputs.kurtosis, here.inputs.kurtosis),
        both(there.inputs.peak, here.inputs.peak),
    )


def bits(layer: Layer) -> str:
    """4/32 are 4 bits in blocks of 32."""
    return f"{layer.bits}/{layer.block_size}" if layer.block_size else str(layer.bits)


def figure(value: float | None) -> str:
    """Three digits, as many as mean something.

    >>> figure(3.14159), figure(31.4159), figure(2718.28), figure(None)
    ('3.1', '31.4', '2,718', '-')
    """
    if value is None:
        return _UNKNOWN
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:,.0f}"


def interval(effect: Effect) -> str:
    """Of the difference, in points."""
    return f"{points(effect.low_points)} to {points(effect.high_points)}"


def outliers(spread: Spread) -> str:
    """How many channels are outliers, and which of them reaches furthest."""
    return f"{spread.outliers} ({spread.channels[0]})" if spread.outliers else "0"
