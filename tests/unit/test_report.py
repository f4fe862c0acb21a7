# SPDX-License-Identifier: Apache-2.0
"""Reports: figures that add up, names that stay text, pages that stand alone."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from codegen.memory.plan import plan
from codegen.memory_plan import Footprint, FootprintRow
from codegen.program import Buffer, Program, Step
from codegen.report.data import build_data, plan_report_data, to_json
from codegen.report.html import build_html
from codegen.report.memory_map import live_bytes, memory_map_svg, memory_maps_svg, of_region
from codegen.report.text import build_view, footprint_view, plan_view, to_text
from codegen.report.types import Accuracy, BuildReport, FileRow, WerRow
from codegen.target import Region, Target
from tests.unit._html import HOSTILE, stands_alone

TARGET = Target(
    name="board",
    title="A board",
    cpu="cortex-m4",
    features=(),
    clock_hz=64_000_000,
    board="host",
    stack_bytes=512,
    regions=(Region("flash", "flash", 0, 4096, "-"), Region("ram", "sram", 8192, 1024, "-")),
    code="flash",
    constants="flash",
    arena="ram",
    stack="ram",
    source="-",
)


def step(name: str, reads: tuple[int, ...], writes: tuple[int, ...], scratch: int = 0) -> Step:
    return Step(name, f"stapes_{name}", "h", (), reads, writes, 1, scratch, macs=1000)


def program(name: str = "p", middle: str = "middle") -> Program:
    return Program(
        name,
        (step("one", (0,), (1,), 32), step("two", (1,), (2,))),
        (Buffer("input_0", 64, "input"), Buffer(middle, 128), Buffer("y", 16, "output")),
        (),
        (0,),
        (2,),
    )


def report(name: str = "model", middle: str = "middle") -> BuildReport:
    programs = (program(name, middle),)
    rows = (
        FootprintRow("arena", ".stapes_arena", "ram", 224, "ram"),
        FootprintRow("stack", ".stack", "ram", 512, "ram"),
        FootprintRow("caller's PCM", "[caller]", "ram", 320, "caller"),
        FootprintRow("weights", ".stapes_weights", "flash", 3000, "constant"),
    )
    wer = (WerRow("float", 5.0, 3, 1, 1, 100, 20), WerRow(name, 6.0, 4, 1, 1, 100, 20))
    return BuildReport(
        name,
        name,
        "ab" * 32,
        "static8",
        TARGET,
        programs,
        plan(programs, unmodified_peak_bytes=300),
        Footprint(rows),
        Accuracy(wer, "lower case", "20 clips", 1.0, -0.5, 2.5),
        (FileRow(name, "a page", 1234),),
    )


def test_text_shows_totals_wer_and_overflow() -> None:
    text = to_text(build_view(report()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "ram of 1.00 KiB 1,056 1.03 KiB 103.1 %, 32 B too many" in lines
    assert "flash of 4.00 KiB 3,000 2.93 KiB 73.2 %" in lines
    assert "RAM while transcribing 736 B, constants 2.93 KiB" in lines
    assert "arena 224 bytes, lower bound 224 (+0.0 %), unmodified graph 300" in lines
    assert any(line.startswith("model 6.00 % 4 1 1 100 20") for line in lines)
    assert any("difference +1.00 points; 95 % interval -0.50 to +2.50" in line for line in lines)


def test_plan_text_lists_every_placement_with_its_steps() -> None:
    lines = [
        " ".join(x.split()) for x in to_text(plan_view([program()], report().plan)).splitlines()
    ]
    assert "0 128 128 0-1 activation middle" in lines
    assert any(line.endswith("in-0 input input_0") for line in lines)
    assert any(line.endswith("0 scratch one scratch") for line in lines)
    assert any(line.endswith("1-out output y") for line in lines)
    assert "arena: 224 bytes, 224 live in step 0" in lines


def test_text_takes_names_literally_and_on_one_line() -> None:
    text = to_text(build_view(report(HOSTILE, HOSTILE)))
    text += to_text(plan_view(report(HOSTILE, HOSTILE).programs, report().plan))
    text += to_text(footprint_view(report().footprint, TARGET))
    assert "\x00" not in text
    assert "[bold]" in to_text(build_view(report("[bold]x")))
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", ["model", HOSTILE])
def test_html_stands_alone_and_keeps_names_as_text(name: str) -> None:
    html = build_html(report(name, name))
    stands_alone(html)
    assert "32 B too many" in html


def test_the_same_report_gives_the_same_bytes() -> None:
    assert build_html(report()) == build_html(report())
    assert to_json(build_data(report())) == to_json(build_data(report()))


def test_json_adds_up_and_has_the_plan() -> None:
    data = json.loads(to_json(build_data(report(HOSTILE, HOSTILE))))
    rows = data["footprint"]["rows"]
    for region in data["footprint"]["regions"]:
        sizes = [row["size_bytes"] for row in rows if row["region"] == region["region"]]
        assert sum(sizes) == region["required_bytes"]
    assert data["footprint"]["ram_bytes"] == 736
    assert data["plan"]["arena_bytes"] == {"arena": 224}
    assert data["plan"]["programs"][0][1]["name"] == HOSTILE
    assert data["accuracy"]["rows"][0]["wer"] == 5.0


def test_a_report_without_accuracy_or_files_is_a_report() -> None:
    bare = replace(report(), accuracy=None, files=())
    assert "Word error rate" not in build_html(bare)
    assert "WER" not in to_text(build_view(bare))
    assert build_data(bare)["accuracy"] is None


def test_map_draws_every_placement_to_scale() -> None:
    svg = memory_map_svg(program(), report().plan)
    root = ElementTree.fromstring(svg)
    blocks = [e for e in root.iter() if e.get("class", "").startswith("block")]
    assert len(blocks) == len(report().plan.placements[0])
    by_kind = {e.get("class", "").split()[-1]: e for e in blocks}
    assert set(by_kind) == {"input", "activation", "output", "scratch"}
    heights = {kind: float(e.get("height", "")) for kind, e in by_kind.items()}
    assert heights["activation"] == pytest.approx(2 * heights["input"], abs=0.2)
    widths = {kind: float(e.get("width", "")) for kind, e in by_kind.items()}
    assert widths["activation"] == pytest.approx(2 * widths["scratch"], abs=0.2)
    ElementTree.fromstring(memory_map_svg(program(HOSTILE, HOSTILE), report().plan))


def test_live_bytes_peak_at_the_lower_bound() -> None:
    assert live_bytes(program(), report().plan, 0) == [64, 64 + 128 + 32, 128 + 16, 16]


def test_maps_of_a_file_draw_each_program_and_region_with_a_legend() -> None:
    some = (program(), replace(program("q" + HOSTILE, HOSTILE), steps=program().steps * 200))
    found = plan(some)
    halves = [replace(p, region="b" if i % 2 else "a") for i, p in enumerate(found.placements[1])]
    split = replace(
        found,
        placements=(tuple(replace(p, region="a") for p in found.placements[0]), tuple(halves)),
        arena_bytes=(("a", found.total_bytes), ("b", found.total_bytes)),
    )
    svg = memory_maps_svg(some, split, HOSTILE)
    assert svg == memory_maps_svg(some, split, HOSTILE)
    stands_alone(svg)
    root = ElementTree.fromstring(svg)
    blocks = [e for e in root.iter() if e.get("class", "").startswith("block")]
    assert len(blocks) == sum(map(len, split.placements))
    width = float(root.get("width", ""))
    assert width < 7 * 400 + 200
    assert all(float(e.get("x", "")) + float(e.get("width", "")) <= width for e in blocks)
    assert all(float(e.get("width", "")) >= 1 and e[0].text for e in blocks)
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    headings = [text for text in texts if text and f"{found.total_bytes:,} bytes: " in text]
    assert [heading[:1] for heading in headings] == ["a", "a", "b"]
    assert {"activation", "input", "output", "scratch", "lower bound"} <= set(texts)


def test_the_plan_as_json_says_what_lives_at_each_step_of_each_region() -> None:
    data = plan_report_data([program()], report().plan)
    (timeline,) = data["timelines"]
    assert timeline["live_bytes"] == {"arena": [64, 224, 144, 16]}
    assert [step["name"] for step in timeline["steps"]] == ["one", "two"]
    assert data["lower_bound_bytes"] == max(timeline["live_bytes"]["arena"])
    nothing = of_region(report().plan, "elsewhere")
    assert (nothing.total_bytes, nothing.placements) == (0, ((),))
