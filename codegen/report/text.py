# SPDX-License-Identifier: Apache-2.0
"""Reports as tables for a terminal; plain lines where the output is not one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from codegen.memory_plan import BEFORE, Footprint, MemoryPlan
from codegen.program import Program
from codegen.report.figures import clean, count, percent, points, size
from codegen.report.memory_map import KINDS, kind, live_bytes, moment, of_region, span
from codegen.report.regions import HEADINGS, region_lines, region_rows
from codegen.report.stripes import stripe_lines
from codegen.report.types import Accuracy, BuildReport, FileRow
from codegen.target import Target


def to_text(renderable: RenderableType, width: int = 100) -> str:
    """What a console of `width` columns would print, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def build_view(report: BuildReport) -> RenderableType:
    """One page: accuracy, memory against the target, what was written where."""
    head = Text()
    head.append(clean(report.name), "bold").append(
        f" for {report.target.title} ({report.target.name})\n"
    )
    head.append(f"{report.mode}, {count(report.macs)} MACs, sha256 {report.sha256}\n", "dim")
    parts: list[RenderableType] = [head]
    if report.accuracy:
        parts += [accuracy_view(report.accuracy), ""]
    parts += [footprint_view(report.footprint, report.target), "", plan_line(report.plan)]
    if report.files:
        parts += ["", files_view(report.files)]
    return Group(*parts)


def accuracy_view(accuracy: Accuracy) -> RenderableType:
    """WER with its parts, one engine a row."""
    table = new_table("WER", "engine", ">WER", ">sub", ">del", ">ins", ">words", ">clips")
    for row in accuracy.rows:
        table.add_row(
            Text(clean(row.engine)),
            f"{row.wer:.2f} %",
            *(f"{n:,}" for n in (row.substitutions, row.deletions, row.insertions)),
            f"{row.words:,}",
            f"{row.clips:,}",
        )
    return Group(table, Text(difference_line(accuracy), "dim"))


def difference_line(accuracy: Accuracy) -> str:
    """The difference with its interval, and what was compared."""
    parts = []
    if accuracy.difference_points is not None:
        text = f"difference {points(accuracy.difference_points)} points"
        if accuracy.low_points is not None and accuracy.high_points is not None:
            text += (
                f"; 95 % interval {points(accuracy.low_points)} to {points(accuracy.high_points)}"
            )
        parts.append(text)
    return "; ".join([*parts, accuracy.corpus, accuracy.normalizer])


def footprint_view(footprint: Footprint, target: Target) -> RenderableType:
    """Rows by region, each region's total against what the target has."""
    table = new_table(
        f"Memory ({footprint.origin})", "region", "component", "section", ">bytes", ">size", ">used"
    )
    available = {region.name: region.size_bytes for region in target.regions}
    for region in footprint.regions:
        total, has = footprint.total_bytes(region), available.get(region, 0)
        over = total > has and region in available
        used = percent(total, has) + (f", {total - has:,} B too many" if over else "")
        of = f"of {size(has)}" if region in available else "not of the target"
        style = "bold red" if over else "bold"
        table.add_row(Text(clean(region)), of, "", f"{total:,}", size(total), used, style=style)
        for row in footprint.rows:
            if row.region == region:
                cells = (f"{row.size_bytes:,}", size(row.size_bytes), "")
                table.add_row("", Text(clean(row.component)), Text(clean(row.section)), *cells)
    ram, constant = footprint.kind_bytes("ram"), footprint.kind_bytes("constant")
    code = footprint.kind_bytes("code")
    line = f"RAM while transcribing {size(ram)}, constants {size(constant)}"
    return Group(table, Text(line + (f", code {size(code)}" if code else ""), "bold"))


def plan_line(plan: MemoryPlan) -> Text:
    """The arena beside its lower bound and the unmodified graph's peak."""
    bound, several = plan.lower_bound_bytes, len(plan.arena_bytes) > 1
    text = f"arena {plan.total_bytes:,} bytes, lower bound {bound:,}"
    if several:
        text = f"{len(plan.arena_bytes)} arenas, {plan.total_bytes:,} bytes, {bound:,} live at once"
    elif bound:
        text += f" ({100 * plan.total_bytes / bound - 100:+.1f} %)"
    if several and plan.optimal:
        text += ", each as small as what lives there"
    elif plan.total_bytes > bound:
        text += ", fewer proved impossible" if plan.optimal else ", fewer not ruled out"
    for words in order_words(plan):
        text += f", {words}"
    if plan.unmodified_peak_bytes:
        text += f", unmodified graph {plan.unmodified_peak_bytes:,}"
    return Text(text)


def order_words(plan: MemoryPlan) -> Iterator[str]:
    """What the order of the steps does to the lower bound."""
    if plan.given_order_bytes > plan.lower_bound_bytes:
        yield f"in the file's order {plan.given_order_bytes:,}"
    if plan.any_order_bytes == plan.lower_bound_bytes:
        yield "the least of any order"
    elif plan.any_order_bytes:
        yield f"another order not ruled out down to {plan.any_order_bytes:,}"


def plan_view(programs: Sequence[Program], plan: MemoryPlan) -> RenderableType:
    """Region by region, what lies where and from which step to which."""
    parts: list[RenderableType] = []
    for region, arena in plan.arena_bytes:
        part = of_region(plan, region)
        for number, program in enumerate(programs):
            title = f"{region}: {arena:,} bytes"
            title += f", {clean(program.name)}" if len(programs) > 1 else ""
            live = live_bytes(program, part, number)
            title += f", {max(live):,} live {moment(program, live.index(max(live)) + BEFORE)}"
            table = new_table(title, ">offset", ">end", ">bytes", "steps", "kind", "name")
            row = part.placements[number]
            for p in sorted(row, key=lambda p: (p.first_use, p.offset_bytes, p.buffer)):
                cells = (f"{p.offset_bytes:,}", f"{p.end_bytes:,}", f"{p.size_bytes:,}")
                what = (span(program, p), KINDS[kind(program, p)], Text(clean(p.name)))
                table.add_row(*cells, *what)
            parts += [table, ""]
    if plan.uses:
        table = new_table("Regions", *HEADINGS)
        for each in region_rows(plan):
            table.add_row(*each)
        parts += [table, ""]
    words = [*region_lines(programs, plan), *stripe_lines(programs)]
    return Group(*parts, *(Text(clean(line, 200)) for line in words), plan_line(plan))


def files_view(files: Sequence[FileRow]) -> RenderableType:
    """What was written where."""
    table = new_table("Written", "path", "what", ">size")
    for row in files:
        table.add_row(Text(clean(row.path, 200)), Text(clean(row.what)), size(row.size_bytes))
    return table


def new_table(title: str, *columns: str) -> Table:
    """A table whose columns that start with ">" hold numbers."""
    table = Table(
        title=Text(clean(title, 100)), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.lstrip(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    return table
