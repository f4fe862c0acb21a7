# SPDX-License-Identifier: Apache-2.0
"""Worst-case stack: the heaviest path through the call graphs that GCC writes.

Compile with `-fcallgraph-info=su,da`; GCC leaves a .ci file (a graph in VCG's language, frames in
its labels) beside each object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from codegen.errors import StapesError

#: Whom the runtime calls through pointers: patterns of callers to patterns of callees. The
#: context's hooks are the user's, who adds what they need.
RUNTIME_CALLS: Mapping[str, Sequence[str]] = {
    "stapes_run": ("run", "run_[0-9]*"),
    "stapes_feed": ("stapes_*_feed",),
    "stapes_finish": ("stapes_*_pad", "stapes_*_decode"),
    "stapes_*_feed": ("stapes_rescale_*",),
    "stapes_*_pad": ("stapes_rescale_*",),
    "write_*": ("stapes_rescale_*",),
    "stapes_*_decode": ("run", "run_[0-9]*", "note_token"),
    "run": ("note_run",),
    "run_[0-9]*": ("note_run",),
    "records_serve": ("records_tensors", "records_speech", "records_greedy"),
}

#: What comes on top of the worst case: the registers that a core with an FPU pushes for an
#: interrupt, their alignment, and the frame of the boards' counter.
EXCEPTION_BYTES = 104 + 8 + 24

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)
_FRAME = re.compile(r"\\n(\d+) bytes \((static|dynamic,bounded)\)")
_POINTER = "__indirect_call"


@dataclass(frozen=True)
class StackUse:
    """The heaviest path with the bytes of each frame, and what could not be counted.

    `unknown` names functions without a known frame (the C library's, assembly's), and callers of
    pointers that nothing resolves.
    """

    path: tuple[tuple[str, int], ...]
    unknown: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """Bytes of all frames on the path."""
        return sum(frame for _, frame in self.path)


def worst_stack(
    texts: Iterable[str], root: str = "main", calls: Mapping[str, Sequence[str]] = RUNTIME_CALLS
) -> StackUse:
    """The stack that `root` needs, from the texts of all .ci files of one firmware.

    Raises StapesError when the root is missing or functions call each other in a circle.
    """
    graph = _Graph(texts, calls)
    if root not in graph.frames:
        raise StapesError(f"the call graphs hold no function '{root}'.")
    path = graph.heaviest(root)
    return StackUse(tuple((_short(n), graph.frames.get(n, 0)) for n in path), graph.unknown(root))


def _short(title: str) -> str:
    return title.rsplit(":", 1)[-1]


class _Graph:
    """Frames and callees by title; a static function's title starts with its file."""

    def __init__(self, texts: Iterable[str], calls: Mapping[str, Sequence[str]]) -> None:
        self.frames: dict[str, int] = {}
        self.callees: dict[str, dict[str, None]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        for text in texts:
            for title, label in _NODE.findall(text):
                frame = _FRAME.search(label)
                if frame:
                    self.frames[title] = int(frame.group(1))
            for source, target in _EDGE.findall(text):
                self.callees.setdefault(source, {})[target] = None
        for caller, targets in self.callees.items():
            named = [calls[name] for name in calls if fnmatchcase(_short(caller), name)]
            patterns = [pattern for patterns in named for pattern in patterns]
            found = [t for t in self.frames if any(fnmatchcase(_short(t), p) for p in patterns)]
            if _POINTER in targets and found:
                del targets[_POINTER]
                targets.update(dict.fromkeys(found))

    def heaviest(self, title: str, above: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The path from `title` on whose frames sum to the most."""
        if title in above:
            circle = " -> ".join(map(_short, (*above[above.index(title) :], title)))
            raise StapesError(f"the stack has no bound: {circle} is a circle of calls.")
        if title not in self._paths:
            paths = [self.heaviest(each, (*above, title)) for each in self.callees.get(title, ())]
            below = max(paths, key=self._weight, default=())
            self._paths[title] = (title, *below)
        return self._paths[title]

    def unknown(self, root: str) -> tuple[str, ...]:
        """What is reachable from `root` and has no frame."""
        reached, new = {root: None}, [root]
        found = []
        while new:
            caller = new.pop()
            for each in self.callees.get(caller, ()):
                if each == _POINTER:
                    found.append(f"{_short(caller)}, through a pointer")
                elif each not in reached:
                    reached[each] = None
                    new.append(each)
        found += [_short(each) for each in reached if each not in self.frames]
        return tuple(sorted(dict.fromkeys(found)))

    def _weight(self, path: tuple[str, ...]) -> int:
        return sum(self.frames.get(each, 0) for each in path)
