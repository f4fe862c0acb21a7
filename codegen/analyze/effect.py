# SPDX-License-Identifier: Apache-2.0
"""Word error rate of a float model with the weights of one layer at a time quantized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen import measure
from codegen.analyze.layers import FloatGraph
from codegen.evaluate.corpus import Clip
from codegen.evaluate.wer import Score, compare
from codegen.package import SpeechPackage
from codegen.report.layers import Effect

#: LiteRT's fast kernels: all that differs between two measurements is weights.
_RESOLVER = "xnnpack"

#: Called with the number of clips finished so far.
Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Effects:
    """Measures what quantizing weights does to WER on the clips, whose PCM is `sounds`."""

    package: SpeechPackage
    graphs: Sequence[FloatGraph]
    clips: Sequence[Clip]
    sounds: Sequence[np.ndarray]
    jobs: int

    def score(self, names: frozenset[str], progress: Progress) -> Score:
        """WER with the weights of these layers as their integers say, and all else float."""
        parts = tuple(graph.with_quantized(names) for graph in self.graphs)
        changed = replace(self.package, graphs=parts)
        engine = measure.recognizer(changed, _RESOLVER, floats=True)
        return measure.score_of(
            self.package, self.clips, self.sounds, engine, "float", "", self.jobs, progress
        )

    def effect(self, names: frozenset[str], floats: Score, progress: Progress) -> Effect:
        """The difference from the float model, paired by clip."""
        made = self.score(names, progress)
        difference = compare(made, floats)
        return Effect(made.errors.wer, difference.points, difference.low, difference.high)
