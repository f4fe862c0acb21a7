# SPDX-License-Identifier: Apache-2.0
"""Predicted sizes beside what the linker made of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from codegen import pipeline
from codegen.emit.project import emit
from codegen.footprint.elf import WHOLE_SECTIONS
from codegen.memory_plan import UNATTRIBUTED, Footprint
from codegen.toolchain.project import build

#: What tables call `Sizes.gaps`.
GAPS = ("linked differs by", "padding and unnamed")


@dataclass(frozen=True)
class Sizes:
    """One model on one target, predicted and linked."""

    model: str
    target: str
    lower_bound_bytes: int
    predicted: Footprint
    linked: Footprint

    @property
    def text_bytes(self) -> int:
        """All code, start-up and semihosting included."""
        return self.linked.kind_bytes("code")

    @property
    def arena_bytes(self) -> int:
        """Activations, scratch and the front end's buffers."""
        return self.predicted.component_bytes("arena")

    @property
    def differences(self) -> dict[str, int]:
        """Linked minus predicted bytes of what was predicted, where they differ.

        Of sections that the ELF tells no components of, such as an arena, these are added up.
        Alignment between other components is the ELF's row "[unattributed]", and no component's.
        """
        predicted: dict[str, int] = {}
        for row in self.predicted.rows:
            if row.kind != "caller":
                whole = (c for start, c in WHOLE_SECTIONS.items() if row.section.startswith(start))
                name = next(whole, row.component)
                predicted[name] = predicted.get(name, 0) + row.size_bytes
        gaps = {name: self.linked.component_bytes(name) - n for name, n in predicted.items()}
        return {name: gap for name, gap in gaps.items() if gap}

    @property
    def unattributed_bytes(self) -> int:
        """Linked bytes that no symbol explains."""
        return self.linked.component_bytes(UNATTRIBUTED)

    @property
    def gaps(self) -> tuple[str, str]:
        """Where the ELF differs, component by component, and its unattributed bytes."""
        named = ", ".join(f"{part} {gap:+}" for part, gap in self.differences.items())
        return named or "none", f"{self.unattributed_bytes:,}"


def sizes(model: pipeline.Model, target: str) -> Sizes:
    """Predict, then compile and link, and read the ELF."""
    place = pipeline.find_target(target)
    compiled = pipeline.compile_model(model, place)
    with tempfile.TemporaryDirectory(prefix="stapes-memory-") as scratch:
        folder = Path(scratch) / "project"
        emit(pipeline.emit_inputs(compiled), folder)
        linked = pipeline.linked_footprint(build(folder), compiled)
    return Sizes(model.name, target, compiled.plan.lower_bound_bytes, compiled.footprint, linked)
