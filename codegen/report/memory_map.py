# SPDX-License-Identifier: Apache-2.0
"""A memory plan as a drawing: steps from left to right, addresses from bottom to top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape

from codegen.memory_plan import BEFORE, SCRATCH, MemoryPlan, Placement
from codegen.program import Program
from codegen.report.figures import clean, size

#: What a placement can be, with the colour class and the words for it.
KINDS = {
    "activation": "activation",
    "input": "input",
    "output": "output",
    "front_end": "front end",
    "state": "state",
    "copy": "copied weights",
    "scratch": "scratch",
}

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 26, 44
_WIDTH, _HEIGHT = 1000, 380
_WIDEST, _STEP_WIDTH = 6000, 7  # of a map in a file of its own, and of a step in it
_FONT = 11
_EVERY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # steps between labels

STYLE = """
.map text, .key { font: 11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif;
  fill: var(--map-ink, #5f6773); }
.map .head { font-weight: 600; fill: var(--map-ink, #1b2330); }
.title { font-size: 15px; font-weight: 600; fill: #1b2330; }
.map .name { fill: #fff; font-weight: 500; pointer-events: none; }
.map .grid { stroke: var(--map-grid, #8a93a033); stroke-width: 1; }
.bound { stroke: var(--map-ink, #5f6773); stroke-width: 1.25; stroke-dasharray: 5 4; }
.map .peak { fill: var(--map-ink, #5f6773); }
.map rect.block { stroke: var(--map-paper, #ffffff); stroke-width: 1; }
.map rect.thin { stroke-width: 0.25; }
.map rect.block:hover { filter: brightness(1.15); }
.activation { fill: #4f7cc4; } .input { fill: #2f8f83; } .output { fill: #c9822b; }
.front_end { fill: #8b6bb1; } .state { fill: #b9545c; } .scratch { fill: #8a929c; }
.copy { fill: #7d8f3f; }
"""


def kind(program: Program, placement: Placement) -> str:
    """Which of KINDS a placement is."""
    if placement.buffer == SCRATCH:
        return "scratch"
    role = program.buffers[placement.buffer].role
    if role == "activation" and placement.buffer in program.outputs:
        return "output"
    role = "state" if role == "shared" else role
    return role if role in KINDS else "activation"


def live_bytes(program: Program, plan: MemoryPlan, number: int) -> list[int]:
    """Bytes of arena that are taken at each time, from BEFORE to behind the last step.

    Where a step writes in place, shared bytes count once.
    """
    taken = []
    for time in range(BEFORE, len(program.steps) + 1):
        spans = sorted(
            (p.region, p.offset_bytes, p.end_bytes)
            for p in plan.placements[number]
            if p.first_use <= time <= p.last_use
        )
        total = 0
        reached: dict[str, int] = {}
        for region, start, end in spans:
            total += max(0, end - max(start, reached.get(region, 0)))
            reached[region] = max(reached.get(region, 0), end)
        taken.append(total)
    return taken


def moment(program: Program, time: int) -> str:
    """A point in time in words."""
    if time == BEFORE:
        return "before the first step"
    return f"in step {time}" if time < len(program.steps) else "behind the last step"


def span(program: Program, placement: Placement) -> str:
    """The first and the last step at which bytes are taken, such as 3-5, in-0 or 7-out."""
    first = "in" if placement.first_use == BEFORE else str(placement.first_use)
    last = "out" if placement.last_use == len(program.steps) else str(placement.last_use)
    return first if placement.first_use == placement.last_use else f"{first}-{last}"


def of_region(plan: MemoryPlan, region: str) -> MemoryPlan:
    """The part of a plan that lies in one region; of several, none has a bound of its own."""
    arenas = tuple(arena for arena in plan.arena_bytes if arena[0] == region)
    return replace(
        plan,
        placements=tuple(tuple(p for p in row if p.region == region) for row in plan.placements),
        arena_bytes=arenas,
        lower_bound_bytes=plan.lower_bound_bytes if arenas == plan.arena_bytes else 0,
    )


def memory_map_svg(program: Program, plan: MemoryPlan, number: int = 0) -> str:
    """The placements of program `number` as one SVG without any external resource."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="map" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'role="img" aria-label="memory map of {escape(clean(program.name))}">',
            f"<style>{STYLE}</style>",
            *_map(program, plan, number, _WIDTH),
            "</svg>",
        ]
    )


def memory_maps_svg(programs: Sequence[Program], plan: MemoryPlan, title: str) -> str:
    """A file of its own: the map of each region and program below one another, with a legend."""
    widths = [
        min(_WIDEST, max(_WIDTH, _LEFT + _RIGHT + (len(program.steps) + 2) * _STEP_WIDTH))
        for program in programs
    ]
    width, y = max(widths), 60
    parts: list[str] = []
    kinds: set[str] = set()
    for region, size_bytes in plan.arena_bytes:
        part = of_region(plan, region)
        for number, program in enumerate(programs):
            if not part.placements[number]:
                continue
            kinds.update(kind(program, placement) for placement in part.placements[number])
            heading = f"{region}, {size_bytes:,} bytes"
            heading += f": {clean(program.name)}" if len(programs) > 1 else ""
            parts += [
                f'<g class="map" transform="translate(0 {y})">',
                f'<text class="head" x="{_LEFT}" y="12">{escape(heading)}</text>',
                '<g transform="translate(0 14)">',
                *_map(program, part, number, widths[number]),
                "</g></g>",
            ]
            y += _HEIGHT + 24
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
            f'viewBox="0 0 {width} {y}" role="img" aria-label="{escape(clean(title, 120))}">',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{y}" fill="#ffffff"/>',
            f'<text class="key title" x="{_LEFT}" y="24">{escape(clean(title, 120))}</text>',
            *_legend(kinds),
            *parts,
            "</svg>",
            "",
        ]
    )


def _legend(kinds: set[str]) -> Iterator[str]:
    x = float(_LEFT)
    for name, label in KINDS.items():
        if name in kinds:
            yield f'<rect class="{name}" x="{x:.1f}" y="37" width="10" height="10" rx="2.5"/>'
            yield f'<text class="key" x="{x + 15:.1f}" y="46">{label}</text>'
            x += 15 + len(label) * _FONT * 0.56 + 18
    yield f'<path class="bound" d="M{x:.1f} 42h18"/>'
    yield f'<text class="key" x="{x + 24:.1f}" y="46">lower bound</text>'


def _map(program: Program, plan: MemoryPlan, number: int, width: int) -> Iterator[str]:
    """The drawing, from 0 0 to `width` _HEIGHT."""
    columns = len(program.steps) + 2
    top = max(plan.total_bytes, 1)
    step_width = (width - _LEFT - _RIGHT) / columns
    scale = (_HEIGHT - _TOP - _BOTTOM) / top

    def x(time: int) -> float:
        return _LEFT + (time - BEFORE) * step_width

    def y(address: int) -> float:
        return _HEIGHT - _BOTTOM - address * scale

    yield from _grid(top, y, width)
    for placement in sorted(plan.placements[number], key=lambda p: (-p.size_bytes, p.first_use)):
        yield _block(
            program,
            placement,
            x(placement.first_use),
            y(placement.end_bytes),
            step_width * (placement.last_use - placement.first_use + 1),
            placement.size_bytes * scale,
        )
    live = live_bytes(program, plan, number)
    peak = live.index(max(live)) + BEFORE
    yield from _peak(max(live), moment(program, peak), x(peak) + step_width / 2, width)
    if plan.lower_bound_bytes:
        bound = y(plan.lower_bound_bytes)
        yield (
            f'<line class="bound" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{bound:.1f}" '
            f'y2="{bound:.1f}"><title>lower bound: {size(plan.lower_bound_bytes)}</title></line>'
        )
    yield from _times(program, x, step_width, width)


def _grid(top: int, y: Callable[[int], float], width: int) -> Iterator[str]:
    step = 1
    while top / step > 6:
        step *= 2
    for address in range(0, top + 1, step):
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" '
            f'y1="{y(address):.1f}" y2="{y(address):.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y(address) + 4:.1f}" text-anchor="end">'
            f"{_round_size(address)}</text>"
        )


def _peak(live: int, when: str, x: float, width: int) -> Iterator[str]:
    """A mark above the first step at which most bytes are taken."""
    anchor = "start" if x < width / 4 else "end" if x > 3 * width / 4 else "middle"
    yield f'<path class="peak" d="M{x:.1f} {_TOP - 2}l-5 -7h10z"/>'
    shift = {"start": -5, "middle": 0, "end": 5}[anchor]
    yield (
        f'<text x="{x + shift:.1f}" y="{_TOP - 14}" text-anchor="{anchor}">'
        f"{size(live)} live {when}</text>"
    )


def _round_size(address: int) -> str:
    return size(address).replace(".00 ", " ").replace(".0 ", " ")


def _block(
    program: Program, placement: Placement, x: float, y: float, width: float, height: float
) -> str:
    what = kind(program, placement)
    title = (
        f"{clean(placement.name, 120)} ({KINDS[what]}): {size(placement.size_bytes)} "
        f"at {placement.offset_bytes:,}, steps {span(program, placement)}"
    )
    thin = " thin" if width < 5 else ""
    block = (
        f'<rect class="block{thin} {what}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" '
        f'height="{max(height, 1):.1f}" rx="2"><title>{escape(title)}</title></rect>'
    )
    room = int((width - 8) / (_FONT * 0.56))
    text = _short(placement.name)
    if height < _FONT + 3 or room < min(6, len(text)):
        return block
    text = clean(text, room)
    return (
        f'{block}<text class="name" x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def _short(name: str) -> str:
    """A label for a box: conv_2d_12_output is conv 12, to fit where boxes are narrow.

    >>> _short("depthwise_conv_2d_12_output"), _short("fully_connected_3_output"), _short("input_0")
    ('depthwise 12', 'fc 3', 'input 0')
    """
    kind, _, number = name.removesuffix("_output").rpartition("_")
    kind = kind.removesuffix("_2d").removesuffix("_conv").replace("fully_connected", "fc")
    return f"{kind} {number}" if kind and number.isdigit() else name


def _times(
    program: Program, x: Callable[[int], float], step_width: float, width: int
) -> Iterator[str]:
    steps = len(program.steps)
    every = next(n for n in _EVERY if n * step_width >= 24 or n == _EVERY[-1])
    base = _HEIGHT - _BOTTOM + 16
    labels = [(BEFORE, "in"), (steps, "out")]
    first = 0 if every == 1 else every
    labels += [(t, str(t)) for t in range(first, steps, every) if steps - t > every / 2]
    for time, text in labels:
        hint = program.steps[time].kernel if 0 <= time < steps else ""
        yield (
            f'<text x="{x(time) + step_width / 2:.1f}" y="{base}" text-anchor="middle">'
            f"{text}<title>{escape(hint)}</title></text>"
        )
    yield (
        f'<text x="{(_LEFT + width - _RIGHT) / 2}" y="{base + 20}" text-anchor="middle">step</text>'
    )
