# SPDX-License-Identifier: Apache-2.0
"""A memory plan as a drawing: steps from left to right, addresses from bottom to top."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    "scratch": "scratch",
}

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 26, 44
_WIDTH, _HEIGHT = 1000, 380
_FONT = 11
_EVERY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # steps between labels

STYLE = """
.map text { font: 11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif;
  fill: var(--map-ink, #5f6773); }
.map .name { fill: #fff; font-weight: 500; pointer-events: none; }
.map .grid { stroke: var(--map-grid, #8a93a033); stroke-width: 1; }
.map .bound { stroke: var(--map-ink, #5f6773); stroke-width: 1.25; stroke-dasharray: 5 4; }
.map .peak { fill: var(--map-ink, #5f6773); }
.map rect.block { stroke: var(--map-paper, #ffffff); stroke-width: 1; }
.map rect.thin { stroke-width: 0.25; }
.map rect.block:hover { filter: brightness(1.15); }
.activation { fill: #4f7cc4; } .input { fill: #2f8f83; } .output { fill: #c9822b; }
.front_end { fill: #8b6bb1; } .state { fill: #b9545c; } .scratch { fill: #8a929c; }
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
            (p.offset_bytes, p.end_bytes)
            for p in plan.placements[number]
            if p.first_use <= time <= p.last_use
        )
        total = reached = 0
        for start, end in spans:
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
        taken.append(total)
    return taken


def memory_map_svg(program: Program, plan: MemoryPlan, number: int = 0) -> str:
    """The placements of program `number` as one SVG without any external resource."""
    columns = len(program.steps) + 2
    top = max(plan.total_bytes, 1)
    step_width = (_WIDTH - _LEFT - _RIGHT) / columns
    scale = (_HEIGHT - _TOP - _BOTTOM) / top

    def x(time: int) -> float:
        return _LEFT + (time - BEFORE) * step_width

    def y(address: int) -> float:
        return _HEIGHT - _BOTTOM - address * scale

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="map" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="memory map of {escape(clean(program.name))}">',
        f"<style>{STYLE}</style>",
    ]
    parts += _grid(top, y)
    for placement in sorted(plan.placements[number], key=lambda p: (-p.size_bytes, p.first_use)):
        parts.append(
            _block(
                program,
                placement,
                x(placement.first_use),
                y(placement.end_bytes),
                step_width * (placement.last_use - placement.first_use + 1),
                placement.size_bytes * scale,
            )
        )
    live = live_bytes(program, plan, number)
    peak = live.index(max(live)) + BEFORE
    parts += _peak(max(live), peak, x(peak) + step_width / 2)
    bound = y(plan.lower_bound_bytes)
    parts.append(
        f'<line class="bound" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bound:.1f}" '
        f'y2="{bound:.1f}"><title>lower bound: {size(plan.lower_bound_bytes)}</title></line>'
    )
    parts += _times(program, x, step_width)
    parts.append("</svg>")
    return "\n".join(parts)


def _grid(top: int, y: Callable[[int], float]) -> Iterator[str]:
    step = 1
    while top / step > 6:
        step *= 2
    for address in range(0, top + 1, step):
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{y(address):.1f}" y2="{y(address):.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y(address) + 4:.1f}" text-anchor="end">'
            f"{_round_size(address)}</text>"
        )


def _peak(live: int, time: int, x: float) -> Iterator[str]:
    """A mark above the first step at which most bytes are taken."""
    anchor = "start" if x < _WIDTH / 4 else "end" if x > 3 * _WIDTH / 4 else "middle"
    yield f'<path class="peak" d="M{x:.1f} {_TOP - 2}l-5 -7h10z"/>'
    shift = {"start": -5, "middle": 0, "end": 5}[anchor]
    when = "before the first step" if time == BEFORE else f"in step {time}"
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
    uses = f"steps {placement.first_use} to {placement.last_use}"
    title = (
        f"{clean(placement.name, 120)} ({KINDS[what]}): {size(placement.size_bytes)} "
        f"at {placement.offset_bytes:,}, {uses}"
    )
    thin = " thin" if width < 5 else ""
    block = (
        f'<rect class="block{thin} {what}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" '
        f'height="{max(height, 1):.1f}" rx="2"><title>{escape(title)}</title></rect>'
    )
    room = int((width - 8) / (_FONT * 0.56))
    if height < _FONT + 3 or room < 4:
        return block
    text = clean(_short(placement.name), room)
    return (
        f'{block}<text class="name" x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def _short(name: str) -> str:
    """A label for a box: conv_2d_12_output is conv 12, to fit where boxes are narrow.

    >>> _short("depthwise_conv_2d_12_output"), _short("input_0")
    ('depthwise 12', 'input 0')
    """
    kind, _, number = name.removesuffix("_output").rpartition("_")
    kind = kind.removesuffix("_2d").removesuffix("_conv")
    return f"{kind} {number}" if kind and number.isdigit() else name


def _times(program: Program, x: Callable[[int], float], step_width: float) -> Iterator[str]:
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
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{base + 20}" '
        'text-anchor="middle">step</text>'
    )
