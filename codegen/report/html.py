# SPDX-License-Identifier: Apache-2.0
"""A build as one page of HTML that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.memory_plan import Footprint, MemoryPlan
from codegen.program import Program
from codegen.report import figures
from codegen.report._page import cards, document, section, table, text
from codegen.report.memory_map import KINDS, kind, memory_map_svg, of_region
from codegen.report.text import difference_line, order_words
from codegen.report.types import Accuracy, BuildReport, FileRow
from codegen.target import Target

#: Colours of a region's components, in order; then they repeat.
_SEGMENTS = 6


def build_html(report: BuildReport) -> str:
    """The page; the same report gives the same bytes."""
    sections = [
        section("Memory", _budgets(report.footprint, report.target)),
        section("Memory map", _maps(report.programs, report.plan)),
    ]
    if report.accuracy:
        sections.insert(0, section("Word error rate", _accuracy(report.accuracy)))
    if report.files:
        sections.append(section("Written", _files(report.files)))
    facts = (
        report.target.title,
        f"{report.target.clock_hz / 1e6:g} MHz",
        report.mode,
        f"{figures.count(report.macs)} MACs" if report.macs else "",
        f"from {report.source}",
    )
    title = f"{report.name} on {report.target.title}"
    footer = "The model that was measured and compiled has sha256 "
    footer += f"<code>{text(report.sha256)}</code>"
    return document(title, report.name, facts, [_cards(report), *sections], footer)


def _cards(report: BuildReport) -> str:
    values = []
    if report.accuracy:
        last = report.accuracy.rows[-1]
        difference = report.accuracy.difference_points
        beside = f"{last.words:,} words"
        if difference is not None:
            first = report.accuracy.rows[0].wer
            beside = f"{figures.points(difference)} points, was {first:.2f} %"
        values.append(("Word error rate", f"{last.wer:.2f} %", beside))
    arena, bound = report.plan.total_bytes, report.plan.lower_bound_bytes
    over = "at the lower bound" if arena == bound else f"lower bound {figures.size(bound)}"
    values += [
        ("RAM while transcribing", figures.size(report.ram_bytes), "arena, stack, transcript"),
        ("Arena", figures.size(arena), over),
        ("Constants", figures.size(report.constant_bytes), "weights, tables, parameters"),
    ]
    return cards(values)


def _budgets(footprint: Footprint, target: Target) -> str:
    """A bar for each region in use: its components, and what is left."""
    available = {region.name: region for region in target.regions}
    parts = []
    for region in footprint.regions:
        total = footprint.total_bytes(region)
        has = available[region].size_bytes if region in available else total
        whole = max(total, has, 1)
        rows = sorted(
            (row for row in footprint.rows if row.region == region),
            key=lambda row: -row.size_bytes,
        )
        segments = "".join(
            f'<span class="c{i % _SEGMENTS}" style="width:{100 * row.size_bytes / whole:.3f}%" '
            f'title="{text(row.component)}: {row.size_bytes:,} bytes"></span>'
            for i, row in enumerate(rows)
        )
        if total > has:
            segments += (
                f'<u style="left:{100 * has / whole:.2f}%" title="the region ends here"></u>'
            )
        legend = "".join(
            f'<li><i class="c{i % _SEGMENTS}"></i><span>{text(row.component)} '
            f"<code>{text(row.section)}</code></span><b>{figures.size(row.size_bytes)}</b></li>"
            for i, row in enumerate(rows)
        )
        memory = available[region].kind if region in available else "not of the target"
        what = f"{text(region)} <small>{text(memory)}</small>"
        over = f' <em class="over">{figures.size(total - has)} too many</em>' if total > has else ""
        parts.append(
            f'<div class="budget"><div class="line"><h3>{what}'
            f"</h3><p><b>{figures.size(total)}</b> of {figures.size(has)}, "
            f'{figures.percent(total, has)}{over}</p></div><div class="bar">{segments}</div>'
            f"<ul>{legend}</ul></div>"
        )
    note = f'<p class="note">Sizes are {text(footprint.origin)}.</p>'
    return '<div class="budgets">' + "\n".join(parts) + "</div>" + note


def _maps(programs: Sequence[Program], plan: MemoryPlan) -> str:
    parts = []
    arenas = [(number, name) for name, _ in plan.arena_bytes for number in range(len(programs))]
    for number, region in arenas:
        program, part = programs[number], of_region(plan, region)
        kinds = {kind(program, placement) for placement in part.placements[number]}
        keys = "".join(
            f'<li><i class="{name}"></i>{label}</li>'
            for name, label in KINDS.items()
            if name in kinds
        )
        keys += '<li><i class="dash"></i>lower bound</li>'
        names = [region] * (len(plan.arena_bytes) > 1) + [program.name] * (len(programs) > 1)
        title = f"<h3>{text(', '.join(names))}</h3>" if names else ""
        parts.append(
            f"{title}<figure>{memory_map_svg(program, part, number)}"
            f'<figcaption><ul class="keys">{keys}</ul></figcaption></figure>'
        )
    line = f"The arena takes {plan.total_bytes:,} bytes, the lower bound is "
    line += f"{plan.lower_bound_bytes:,}"
    if plan.optimal and plan.total_bytes > plan.lower_bound_bytes:
        line += ", and fewer bytes are proved to be impossible"
    for words in order_words(plan):
        line += f", {words}"
    if plan.unmodified_peak_bytes:
        line += f", the unmodified graph's peak {plan.unmodified_peak_bytes:,}"
    return "\n".join(parts) + f'<p class="note">{line}.</p>'


def _accuracy(accuracy: Accuracy) -> str:
    worst = max([row.wer for row in accuracy.rows] + [1e-9])
    rows = [
        [
            text(row.engine),
            f'<span class="wer"><span style="width:{100 * row.wer / worst:.2f}%"></span></span>'
            f"<b>{row.wer:.2f} %</b>",
            *(f"{n:,}" for n in (row.substitutions, row.deletions, row.insertions)),
            f"{row.words:,}",
            f"{row.clips:,}",
        ]
        for row in accuracy.rows
    ]
    heads = ["engine", "WER", "substituted", "deleted", "inserted", "words", "clips"]
    return table(heads, rows, 1) + f'<p class="note">{text(difference_line(accuracy), 400)}.</p>'


def _files(files: Sequence[FileRow]) -> str:
    rows = [
        [f"<code>{text(row.path, 200)}</code>", text(row.what), figures.size(row.size_bytes)]
        for row in files
    ]
    return table(["path", "what", "size"], rows, 2)
