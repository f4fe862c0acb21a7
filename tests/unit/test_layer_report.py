# SPDX-License-Identifier: Apache-2.0
"""Layers as text, JSON and a page: sorted by what they cost, names that stay text."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from codegen.report.data import to_json
from codegen.report.layer_plots import effects_svg, kurtosis_svg, snr_svg
from codegen.report.layers import Effect, Layer, LayersReport, Row, Spread, WerEffects, layers_data
from codegen.report.layers_html import layers_html
from codegen.report.layers_text import layers_view
from codegen.report.text import to_text
from tests.unit._html import HOSTILE, stands_alone

SPREAD = Spread(3.3, 3.1, 9.9, 7.5, (12, 3), 1)
CONSTANT = Spread(None, None, None, None, (0,), 0)


def layer(name: str, snr_db: float | None = 20.0, spread: Spread = SPREAD) -> Layer:
    graph = name.split("/")[0]
    return Layer(name, graph, "FULLY_CONNECTED", (8, 32), 4, 32, 2048, snr_db, spread, spread)


def effect(points: float, half: float = 0.5) -> Effect:
    return Effect(15 + points, points, points - half, points + half)


def report(name: str = "model") -> LayersReport:
    rows = [Row(layer(f"decoder/{n}/feed/up", 20.0 - n), None, effect(n / 2)) for n in range(3)]
    rows += [Row(layer(f"{name}/out", None, CONSTANT)), Row(layer("decoder/head", 50.0))]
    wer = WerEffects(15.0, effect(4.0, 1.0), 644, "lower case")
    return LayersReport(name, name, "ab" * 32, "20 clips", tuple(rows), wer=wer)


def beside(name: str = "model") -> LayersReport:
    rows = tuple(
        replace(row, beside=layer(row.layer.name, 11.0) if number else None)
        for number, row in enumerate(report(name).rows)
    )
    return replace(report(name), rows=rows, beside=name, only_beside=2)


def lines(shown: LayersReport) -> list[str]:
    return [" ".join(line.split()) for line in to_text(layers_view(shown)).splitlines()]


def test_what_costs_most_comes_first_and_unmeasured_layers_last() -> None:
    names = [row.layer.name for row in report().by_cost]
    feeds = [f"decoder/{n}/feed/up" for n in (2, 1, 0)]
    assert names == [*feeds, "decoder/head", "model/out"]
    shown = lines(report())
    assert "decoder/2/feed/up 4/32 2 18.0 3.3 3.3 7.5 12 +1.00 +0.50 +1.50" in shown
    assert "model/out 4/32 2 - - - - 0" in shown
    told = " ".join(shown)
    assert "WER 15.00 % in float, 19.00 % with all these weights quantized: +4.00 points" in told
    assert "of 3 layers quantized alone, 1 with an interval above 0: decoder/2/feed/up" in told


def test_another_package_stands_beside() -> None:
    shown = lines(beside())
    assert "decoder/2/feed/up 11.0 → 18.0 3.3 → 3.3 3.3 → 3.3 7.5 → 7.5" in shown
    assert "1 layers are only in the first package, 2 only beside it" in shown


@pytest.mark.parametrize("shown", [report(HOSTILE), beside(HOSTILE)])
def test_names_stay_text(shown: LayersReport) -> None:
    stands_alone(layers_html(shown))
    text = to_text(layers_view(shown))
    assert "\x00" not in text
    assert max(map(len, text.splitlines())) <= 100
    for svg in (snr_svg(shown), kurtosis_svg(shown, "inputs"), effects_svg(shown)):
        ElementTree.fromstring(svg)


def test_bars_are_as_high_as_the_ratio_and_dots_are_where_kurtosis_is() -> None:
    root = ElementTree.fromstring(snr_svg(report()))
    bars = [float(e.get("height", "")) for e in root.iter() if e.get("class") == "b4"]
    assert bars[0] / bars[3] == pytest.approx(20 / 50, abs=0.01)
    assert len(bars) == 4  # one has no ratio
    root = ElementTree.fromstring(kurtosis_svg(beside(), "weights"))
    kinds = [e.get("class") for e in root.iter() if e.tag.endswith("circle")]
    assert kinds.count("dot b4") == 4
    assert kinds.count("ring") == 3


def test_intervals_without_zero_have_a_colour() -> None:
    root = ElementTree.fromstring(effects_svg(report()))
    kinds = [e.get("class") for e in root.iter() if e.tag.endswith("circle")]
    assert kinds == ["costs", "unclear", "unclear"]


def test_many_layers_wrap_and_none_leaves_the_drawing() -> None:
    rows = tuple(Row(layer(f"e/{n}/{role}/x")) for n in range(80) for role in "abc")
    svg = snr_svg(replace(report(), rows=rows, wer=None))
    bars = [e for e in ElementTree.fromstring(svg).iter() if e.get("class") == "b4"]
    assert len(bars) == 240
    assert max(float(bar.get("x", "")) + float(bar.get("width", "")) for bar in bars) < 1000
    assert len({(bar.get("x"), bar.get("y")) for bar in bars}) == 240


def test_one_graph_has_no_heading() -> None:
    rows = tuple(Row(replace(layer(name), graph="")) for name in ("stem/conv", "1/conv", "head"))
    svg = snr_svg(replace(report(), rows=rows))
    texts = [e.text for e in ElementTree.fromstring(svg).iter() if e.get("class") == "strong"]
    assert texts == ["stem", "conv", "conv", "head"]
    assert 'class="head"' not in svg
    assert [e for e in ElementTree.fromstring(snr_svg(report())).iter() if e.get("class") == "head"]


def test_a_report_without_wer_does_not_speak_of_it() -> None:
    rows = tuple(replace(row, effect=None) for row in report().rows)
    bare = replace(report(), rows=rows, wer=None)
    assert "WER" not in to_text(layers_view(bare))
    assert "WER" not in layers_html(bare)


def test_json_has_every_figure_and_no_more_digits_than_mean_something() -> None:
    odd = replace(report(), rows=(Row(layer("x", 1 / 3), None, effect(1 / 7)),))
    data = json.loads(to_json(layers_data(odd)))
    (row,) = data["rows"]
    assert row["layer"]["snr_db"] == 0.333333
    assert row["effect"]["points"] == 0.142857
    assert row["layer"]["inputs"]["channels"] == [12, 3]
    assert data["wer"]["together"]["wer"] == 19.0


def test_the_same_report_gives_the_same_bytes() -> None:
    assert layers_html(beside()) == layers_html(beside())
    assert to_json(layers_data(beside())) == to_json(layers_data(beside()))
