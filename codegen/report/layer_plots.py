# SPDX-License-Identifier: Apache-2.0
"""Layers as drawings: what they err by, how their values lie, and what they do to WER.

Layers that differ by a number in their names alone stand side by side, in the order of that number:
a group is what one matrix is at each depth of a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from codegen.report.figures import clean, points
from codegen.report.layers import Layer, LayersReport, Row, finite
from codegen.report.layers_text import bits, figure, interval

STYLE = """
.plot text { font: 11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif;
  fill: var(--map-ink, #5f6773); }
.plot .head { fill: var(--ink, #1b2330); font-size: 13px; font-weight: 600; }
.plot .strong { fill: var(--ink, #1b2330); }
.plot .grid { stroke: var(--map-grid, #8a93a033); stroke-width: 1; }
.plot .normal { stroke: var(--map-ink, #5f6773); stroke-dasharray: 3 4; opacity: 0.7; }
.plot .axis { stroke: var(--map-ink, #5f6773); stroke-width: 1; }
.plot .b8 { fill: #2f8f83; } .plot .b4 { fill: #4f7cc4; } .plot .b3 { fill: #c9822b; }
.plot .b2 { fill: #b9545c; }
.plot .there { fill: #8a929c; opacity: 0.55; }
.plot .path { stroke: #8a93a0; stroke-width: 1.5; opacity: 0.6; }
.plot .dot { stroke: var(--map-paper, #ffffff); stroke-width: 1; }
.plot .ring { fill: var(--map-paper, #ffffff); stroke: #8a929c; stroke-width: 1.5; }
.plot .range { stroke-width: 2.5; stroke-linecap: round; opacity: 0.55; }
.plot .costs { fill: #b9545c; stroke: #b9545c; } .plot .gains { fill: #2f8f83; stroke: #2f8f83; }
.plot .unclear { fill: #8a929c; stroke: #8a929c; }
.plot g.layer:hover { filter: brightness(1.15); }
"""

_WIDTH, _LEFT, _RIGHT = 1000, 44, 12
_CELLS, _GAP = range(15, 27), 14
_PLOT, _TOP, _LABELS, _HEADING = 110, 14, 58, 22
_LETTER = 6.0  # of 11 px text, about
_LABEL = 15
_LINE = 19
#: Layers whose effect on WER is drawn.
MOST_EFFECTS = 30


@dataclass(frozen=True)
class _Group:
    """Layers of one role, `cell` wide each; `line` and `x` say where the first one stands."""

    role: tuple[str, ...]
    rows: tuple[Row, ...]
    cell: int
    line: int = 0
    x: float = 0.0

    @property
    def graph(self) -> str:
        """The graph that they are of, where there are several."""
        return self.rows[0].layer.graph

    @property
    def labels(self) -> tuple[str, ...]:
        """The last two words of the role, without the graph that heads its lines."""
        words = [word for word in self.role[bool(self.graph) :] if word != _NUMBER]
        return tuple(clean(word, _LABEL) for word in words[-2:] or ("",))

    @property
    def width(self) -> float:
        return max(self.cell * len(self.rows), _LETTER * max(map(len, self.labels)))


_NUMBER = "#"
_NORMAL = 3.0  # the kurtosis of normal values


def _role(name: str) -> tuple[str, ...]:
    return tuple(_NUMBER if word.isdecimal() else word for word in name.split("/"))


def _depth(name: str) -> str:
    """The first number in a name.

    >>> _depth("encoder/layers/3/attention/query"), _depth("decoder/output_0")
    ('3', '')
    """
    return next((word for word in name.split("/") if word.isdecimal()), "")


def _grouped(rows: Sequence[Row]) -> list[_Group]:
    """Groups on lines as words of a text, as wide as takes no more lines."""
    fewest, *wider = (_on_lines(rows, cell) for cell in _CELLS)
    return [groups for groups in (fewest, *wider) if groups[-1].line == fewest[-1].line][-1]


def _on_lines(rows: Sequence[Row], cell: int) -> list[_Group]:
    """Groups from left to right; each graph begins a line."""
    roles: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        roles.setdefault(_role(row.layer.name), []).append(row)
    groups: list[_Group] = []
    line, x = 0, float(_LEFT)
    most = (_WIDTH - _LEFT - _RIGHT) // cell
    for role, alike in roles.items():
        for at in range(0, len(alike), most):
            group = _Group(role, tuple(alike[at : at + most]), cell)
            begins = bool(groups) and groups[-1].graph != group.graph
            if groups and (begins or x + group.width > _WIDTH - _RIGHT):
                line, x = line + 1, float(_LEFT)
            groups.append(replace(group, line=line, x=x))
            x += group.width + _GAP
    return groups


@dataclass(frozen=True)
class _Axis:
    """Values as heights above the foot of a line, and where a grid has its lines, one marked."""

    height: Callable[[float], float]
    ticks: tuple[float, ...]
    marked: float | None = None


#: Draws a layer from x on, standing on a foot, as wide as said.
_Draw = Callable[[Row, float, float, float], Iterator[str]]


def snr_svg(report: LayersReport) -> str:
    """A bar a layer, of the signal-to-noise ratio in decibels."""
    found = finite(layer.snr_db for layer in _all(report))
    top = max(10.0, 10 * math.ceil(max(found, default=0) / 10))
    ticks = tuple(range(0, int(top) + 1, 10 if top <= 60 else 50))
    axis = _Axis(lambda value: _PLOT * min(max(value, 0.0), top) / top, ticks)

    def draw(row: Row, x: float, foot: float, width: float) -> Iterator[str]:
        if report.beside is not None:
            width /= 2
            yield from _bar("there", row.beside, x, foot, width, axis)
            x += width
        yield from _bar(f"b{row.layer.bits}", row.layer, x, foot, width, axis)

    def hint(row: Row) -> str:
        return f"{figure(row.layer.snr_db)} dB, {bits(row.layer)} bits" + _there(
            row, lambda layer: layer.snr_db
        )

    return _svg("signal-to-noise ratio by layer", "dB", report, axis, draw, hint)


def kurtosis_svg(report: LayersReport, what: str) -> str:
    """A dot a layer, of the kurtosis of its "weights" or "inputs"; a line from the other's."""

    def value(layer: Layer) -> float | None:
        kurtosis: float | None = getattr(layer, what).kurtosis
        return kurtosis

    top = math.log(max([*finite(map(value, _all(report))), 20.0]) * 1.15)
    low = math.log(1.0)

    def height(kurtosis: float) -> float:
        return _PLOT * (math.log(max(kurtosis, 1.0)) - low) / (top - low)

    ticks = [t for t in (1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 1e5, 1e6) if math.log(t) <= top]
    if len(ticks) > 6:
        ticks = [t for t in ticks if t in (3, 10) or (t >= 100 and math.log10(t).is_integer())]
    axis = _Axis(height, tuple(ticks), _NORMAL)

    def draw(row: Row, x: float, foot: float, width: float) -> Iterator[str]:
        here, there = value(row.layer), None if row.beside is None else value(row.beside)
        x += width / 2
        if here is not None and there is not None:
            old, new = foot - axis.height(there), foot - axis.height(here)
            yield f'<path class="path" d="M{x:.1f} {old:.1f}V{new:.1f}"/>'
            yield f'<circle class="ring" cx="{x:.1f}" cy="{old:.1f}" r="3"/>'
        if here is not None:
            y = foot - axis.height(here)
            yield f'<circle class="dot b{row.layer.bits}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'

    def hint(row: Row) -> str:
        spread = getattr(row.layer, what)
        told = f"kurtosis {figure(spread.kurtosis)}, peak {figure(spread.peak)} RMS"
        return f"{told} in channel {spread.channels[0]}" + _there(row, value)

    return _svg(f"kurtosis of {what} by layer", "", report, axis, draw, hint)


def _all(report: LayersReport) -> Iterator[Layer]:
    for row in report.rows:
        yield row.layer
        if row.beside is not None:
            yield row.beside


def _there(row: Row, value: Callable[[Layer], float | None]) -> str:
    return "" if row.beside is None else f"; beside {figure(value(row.beside))}"


def _bar(
    kind: str, layer: Layer | None, x: float, foot: float, width: float, axis: _Axis
) -> Iterator[str]:
    if layer is not None and layer.snr_db is not None:
        height = max(axis.height(layer.snr_db), 1.0)
        yield (
            f'<rect class="{kind}" x="{x:.1f}" y="{foot - height:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="1.5"/>'
        )


def _svg(
    title: str,
    unit: str,
    report: LayersReport,
    axis: _Axis,
    draw: _Draw,
    hint: Callable[[Row], str],
) -> str:
    parts: list[str] = []
    y, headed = 0.0, ""
    for _, line in groupby(_grouped(report.rows), lambda group: group.line):
        groups = list(line)
        head = groups[0].graph
        if head != headed:
            name = escape(clean(head, 40))
            parts.append(f'<text class="head" x="0" y="{y + 14:g}">{name}</text>')
            y, headed = y + _HEADING, head
        foot = y + _TOP + _PLOT
        y = foot + _LABELS
        parts += _grid(axis, foot, unit)
        for group in groups:
            parts += _labels(group, foot)
            for place, row in enumerate(group.rows):
                x = group.x + place * group.cell + 2
                about = f"{clean(row.layer.name, 120)}: {hint(row)}"
                parts += ['<g class="layer">', f"<title>{escape(about)}</title>"]
                parts += [*draw(row, x, foot, group.cell - 4), "</g>"]
    return "\n".join([*_open(title, y), *parts, "</svg>"])


def _open(title: str, height: float) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {_WIDTH} {height:g}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    yield f"<style>{STYLE}</style>"


def _grid(axis: _Axis, foot: float, unit: str) -> Iterator[str]:
    for tick in axis.ticks:
        y = foot - axis.height(tick)
        kind = "normal" if tick == axis.marked else "grid"
        label = f"{tick:,.0f}" + (f" {unit}" if unit and tick == axis.ticks[-1] else "")
        yield f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _labels(group: _Group, foot: float) -> Iterator[str]:
    for place, row in enumerate(group.rows):
        x = group.x + (place + 0.5) * group.cell
        depth = _depth(row.layer.name)[-3:]
        if depth and len(group.rows) > 1:
            yield f'<text x="{x:.1f}" y="{foot + 13}" text-anchor="middle">{depth}</text>'
    for number, label in enumerate(group.labels):
        y = foot + 28 + 13 * number
        yield f'<text class="strong" x="{group.x + 2:.1f}" y="{y}">{escape(label)}</text>'


def drawn_effects(report: LayersReport) -> list[Row]:
    """The layers whose quantizing changes most of what is heard, those that cost most first."""

    def change(row: Row) -> float:
        assert row.effect is not None
        return max(abs(row.effect.low_points), abs(row.effect.high_points))

    changing = [row for row in report.by_cost if row.effect is not None and change(row)]
    most = {row.layer.name for row in sorted(changing, key=change, reverse=True)[:MOST_EFFECTS]}
    return [row for row in changing if row.layer.name in most]


def effects_svg(report: LayersReport) -> str:
    """WER with one layer quantized at a time: the difference and its interval, worst first."""
    rows = drawn_effects(report)
    left, right = 270, _WIDTH - 150
    effects = [row.effect for row in rows if row.effect is not None]
    low = min([e.low_points for e in effects] + [-0.1])
    high = max([e.high_points for e in effects] + [0.1])
    step = next(s for s in _STEPS if (high - low) / s <= 10 or s == _STEPS[-1])
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    height = _LINE * len(rows) + 40

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = [*_open("effect on WER of one layer at a time", height)]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        kind = "axis" if abs(value) < step / 2 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="4" '
            f'y2="{height - 30}"/><text x="{x(value):.1f}" y="{height - 14}" '
            f'text-anchor="middle">{_tick(value, step)}</text>'
        )
    y = height - 14
    parts.append(f'<text x="{left - 12}" y="{y}" text-anchor="end">points of WER</text>')
    for number, row in enumerate(rows):
        parts += _effect(row, 16 + number * _LINE, left, right, x)
    return "\n".join([*parts, "</svg>"])


_STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def _tick(value: float, step: float) -> str:
    return (
        "0" if abs(value) < step / 2 else f"{value:+.{0 if step >= 1 else 2 if step < 0.1 else 1}f}"
    )


def _effect(
    row: Row, y: float, left: float, right: float, x: Callable[[float], float]
) -> Iterator[str]:
    effect = row.effect
    assert effect is not None
    kind = "unclear"
    if effect.is_certain:
        kind = "costs" if effect.points > 0 else "gains"
    name = clean(row.layer.name, 42)
    yield '<g class="layer">'
    yield (
        f"<title>{escape(clean(row.layer.name, 120))}: {points(effect.points)} points, 95 % "
        f"interval {interval(effect)}; {figure(row.layer.snr_db)} dB</title>"
    )
    yield f'<text class="strong" x="{left - 12}" y="{y + 4}" text-anchor="end">'
    yield f"{escape(name)}</text>"
    yield (
        f'<line class="range {kind}" x1="{x(effect.low_points):.1f}" '
        f'x2="{x(effect.high_points):.1f}" y1="{y}" y2="{y}"/>'
    )
    yield f'<circle class="{kind}" cx="{x(effect.points):.1f}" cy="{y}" r="4"/>'
    ratio = f"{figure(row.layer.snr_db)} dB"
    yield f'<text class="strong" x="{right + 66}" y="{y + 4}" text-anchor="end">'
    yield f"{points(effect.points)}</text>"
    yield f'<text x="{right + 132}" y="{y + 4}" text-anchor="end">{ratio}</text></g>'
