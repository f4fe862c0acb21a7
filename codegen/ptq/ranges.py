# SPDX-License-Identifier: Apache-2.0
"""Ranges other than those that calibration saw, where that is known to serve better."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.graph import Graph
from codegen.ptq.calibrate import Range

#: gelu(-6) is -6e-9.
GELU_FLAT = -6.0
#: An int16 GELU is a table of 512 chords over its input's range, whatever that is: a chord of h
#: errs by 0.1 h^2 about 0. 48 keeps that under 0.004. What it clips are rare peaks, of a stem
#: after its norm: Moonshine tiny's encoder then keeps 38 dB or more.
GELU_WIDEST = 48.0
#: int16 has bits to spare, and what a new voice saturates costs more than a bit does.
HEADROOM = {"static8": 1.0, "static16": 2.0}
#: Of the first operand's range, what a difference has at least: one that calibration saw as 0
#: throughout, such as what exceeds a bound, would have no scale.
LEAST_DIFFERENCE = 2.0**-8


def adapted(graph: Graph, ranges: Mapping[str, Range], mode: str) -> dict[str, Range]:
    """The ranges with a mode's headroom; inputs of GELU end where their values do not matter.

    A difference of which calibration saw next to nothing has a range even so.
    """
    wider = HEADROOM[mode]
    result = {name: (wider * low, wider * high) for name, (low, high) in ranges.items()}
    for operator in graph.operators:
        source = operator.inputs[0]
        if operator.kind == "SUB" and graph.tensors[source].name in result:
            widest = max(map(abs, result[graph.tensors[source].name]))
            name = graph.tensors[operator.outputs[0]].name
            low, high = result[name]
            result[name] = (low, max(high, widest * LEAST_DIFFERENCE))
        readers = [o for o in graph.operators if source in o.inputs]
        if operator.kind == "GELU" and len(readers) == 1 and source not in graph.outputs:
            name = graph.tensors[source].name
            low, high = result[name]
            result[name] = (max(low, GELU_FLAT), min(high, GELU_WIDEST))
    return result
