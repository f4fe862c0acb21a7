# SPDX-License-Identifier: Apache-2.0
"""Layers as one page of HTML that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from codegen.report._page import cards, document, section, table, text
from codegen.report.figures import points, size
from codegen.report.layer_plots import drawn_effects, effects_svg, kurtosis_svg, snr_svg
from codegen.report.layers import OUTLIER_RMS, Layer, LayersReport, Row, by_error, finite
from codegen.report.layers_text import bits, changes, figure, interval, outliers, summary


def layers_html(report: LayersReport) -> str:
    """The page; the same report gives the same bytes."""
    parts = [_cards(report)]
    if report.wer is not None:
        parts.append(section("What each layer does to WER", _effects(report)))
    parts += [
        section("What each layer errs by", _errors(report)),
        section("How unevenly values lie", _kurtosis(report)),
    ]
    if report.beside is not None:
        parts.append(section("Beside", _beside(report, report.beside)))
    parts.append(section("All layers", _layers(report)))
    facts = [report.recipe, f"{len(report.rows)} layers", report.corpus]
    footer = f"The package has sha256 <code>{text(report.sha256)}</code>"
    return document(f"Layers of {report.name}", report.name, facts, parts, footer)


def _cards(report: LayersReport) -> str:
    worst = min((row.layer for row in report.rows), key=by_error)
    known = finite(row.layer.snr_db for row in report.rows)
    values = [
        ("Weights and scales", size(report.size_bytes), f"{len(report.rows)} layers"),
        ("Median SNR", f"{median(known):.1f} dB" if known else "-", "of layers' outputs"),
        ("Largest error", f"{figure(worst.snr_db)} dB", worst.name),
    ]
    if report.wer is not None:
        together = report.wer.together
        beside = f"was {report.wer.float_wer:.2f} %, {points(together.points)} points"
        values.insert(0, ("WER, these weights quantized", f"{together.wer:.2f} %", beside))
    return cards(values)


def _figure(svg: str, keys: str = "") -> str:
    caption = f'<figcaption><ul class="keys plain">{keys}</ul></figcaption>' if keys else ""
    return f"<figure>{svg}{caption}</figure>"


def _note(note: str) -> str:
    return f'<p class="note">{note}</p>'


def _keys(report: LayersReport) -> str:
    widths = sorted({row.layer.bits for row in report.rows})
    keys = "".join(f'<li><i class="b{width}"></i>{width} bits</li>' for width in widths)
    if report.beside is None:
        return keys
    return f'{keys}<li><i class="there"></i>beside: {text(report.beside)}</li>'


def _errors(report: LayersReport) -> str:
    note = (
        "Signal-to-noise ratio of what a layer makes of the inputs that it had, with its weights as"
        " quantized against float ones: 20 dB is a noise of a tenth, 10 dB of a third. Higher is"
        " better. Numbers below bars are depths."
    )
    return _figure(snr_svg(report), _keys(report)) + _note(note)


def _kurtosis(report: LayersReport) -> str:
    note = (
        "Kurtosis of all values of a layer together, on a logarithmic scale: 3 is that of normal"
        " values, 1.8 of uniform ones. The higher, the more of a scale's range is spent on a few."
        " Of inputs it is high where a channel is louder than others, or a moment is."
    )
    weights = f"<h3>Weights</h3>{_figure(kurtosis_svg(report, 'weights'), _keys(report))}"
    inputs = f"<h3>Inputs</h3>{_figure(kurtosis_svg(report, 'inputs'), _keys(report))}"
    return f'<div class="stack">{weights}{inputs}</div>{_note(note)}'


def _effects(report: LayersReport) -> str:
    measured, drawn = sum(row.effect is not None for row in report.rows), drawn_effects(report)
    _, *said = summary(report)
    note = " ".join(f"{line[0].upper()}{line[1:]}." for line in said)
    note += (
        " The model is float but for the weights of one layer. Lines are 95 % intervals, paired by"
        " clip; those in grey hold 0. Of forty layers that cost nothing, one is red by chance."
    )
    if measured > len(drawn):
        note += f" The other {measured - len(drawn)} layers change less, or nothing."
    return (_figure(effects_svg(report)) if drawn else "") + _note(text(note, 1000))


def _beside(report: LayersReport, recipe: str) -> str:
    rows = [
        [f"<code>{text(row.layer.name)}</code>", *changes(row.beside, row.layer)]
        for row in report.by_cost
        if row.beside is not None
    ]
    heads = ["layer", "SNR, dB", "weights' kurtosis", "inputs' kurtosis", "inputs' peak"]
    alone = sum(row.beside is None for row in report.rows)
    note = f"First {text(recipe)}, then this package."
    if alone + report.only_beside:
        note += f" {alone} layers are only in this one, {report.only_beside} only in the other."
    return table(heads, rows, 1) + _note(note)


def _layers(report: LayersReport) -> str:
    heads = ["layer", "bits", "KiB", "SNR, dB"]
    heads += ["WER, points", "95 % interval"] * (report.wer is not None)
    heads += [f"{whose} {what}" for whose in ("weights'", "inputs'") for what in _SPREAD]
    rows = [
        [*_layer(row.layer), *_effect(report, row), *_spreads(row.layer)] for row in report.by_cost
    ]
    note = (
        "Kurtosis is of all values, and behind it the median and the largest of the channels' own."
        " Peak is the largest magnitude by the root mean square (RMS). Outliers are channels that"
        f" reach beyond {OUTLIER_RMS:g} RMS; the one in brackets reaches furthest. They are output"
        " channels of weights, input channels of inputs."
    )
    return f'<div class="small">{table(heads, rows, 1)}</div>' + _note(note)


_SPREAD = ("kurtosis", "peak", "outliers")


def _layer(layer: Layer) -> Iterator[str]:
    what = text(f"{layer.kind} {list(layer.shape)}")
    yield f'<code title="{what}">{text(layer.name)}</code>'
    yield bits(layer)
    yield f"{layer.size_bytes / 1024:,.1f}"
    yield f"<b>{figure(layer.snr_db)}</b>"


def _spreads(layer: Layer) -> Iterator[str]:
    for spread in (layer.weights, layer.inputs):
        own = f"{figure(spread.channel_kurtosis)}, {figure(spread.worst_kurtosis)}"
        yield f"{figure(spread.kurtosis)} <small>{own}</small>"
        yield figure(spread.peak)
        yield f"<small>{outliers(spread)}</small>"


def _effect(report: LayersReport, row: Row) -> tuple[str, ...]:
    if report.wer is None:
        return ()
    if row.effect is None:
        return "", ""
    return points(row.effect.points), f"<small>{interval(row.effect)}</small>"
