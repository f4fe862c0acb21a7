# SPDX-License-Identifier: Apache-2.0
"""Ranges other than those that calibration saw, where that is known to serve better.

docs/adr/0011-min-max-ranges-and-int16-by-scope.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.graph import Graph
from codegen.ptq.histogram import Range

#: gelu(-6) is -6e-9.
GELU_FLAT = -6.0
#: An int16 GELU is a table of 512 chords over its input's range, whatever that is: a chord of h
#: errs by 0.1 h^2 about 0. What this clips are rare peaks, of a stem after its norm.
GELU_WIDEST = 64.0
#: Of the first operand's range, what a difference has at least: one that calibration saw as 0
#: throughout, such as what exceeds a bound, would have no scale.
LEAST_DIFFERENCE = 2.0**-8


def adapted(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges, those of GELU ending where its values do not matter.

    A GELU's output ends with its input: steps for values that no longer come would round the many
    small ones all one way, which the next layer sums up. A difference of which calibration saw
    next to nothing has a range even so.
    """
    result = dict(ranges)
    for operator in graph.operators:
        source = operator.inputs[0]
        if operator.kind == "SUB" and graph.tensors[source].name in result:
            widest = max(map(abs, result[graph.tensors[source].name]))
            name = graph.tensors[operator.outputs[0]].name
            low, high = result[name]
            result[name] = (low, max(high, widest * LEAST_DIFFERENCE))
        readers = [o for o in graph.operators if source in o.inputs]
        if operator.kind == "GELU" and len(readers) == 1 and source not in graph.outputs:
            before, after = (graph.tensors[i].name for i in (source, operator.outputs[0]))
            low, high = result[before]
            result[before] = max(low, GELU_FLAT), min(high, GELU_WIDEST)
            low, high = result[after]
            result[after] = low, min(high, GELU_WIDEST)
    return result
