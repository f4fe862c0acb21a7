# SPDX-License-Identifier: Apache-2.0
"""From a package of several graphs to programs that share buffers, and to what emit needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from codegen.emit.speech import HISTORY, GreedyDecoder, RowState, RowTable, SpeechInputs
from codegen.errors import UserError
from codegen.frontend._kinds import FrontEnd
from codegen.graph import Graph, Tensor
from codegen.ops._weights import MATRIX_WIDTHS, least_bits, packed
from codegen.package import SpeechPackage
from codegen.program import Buffer, Program
from codegen.row_scales import row_scales
from codegen.wiring import LOGITS, MASK, StateBuffer, Table


def wire(
    package: SpeechPackage, front_end: FrontEnd, programs: Sequence[Program]
) -> tuple[Program, ...]:
    """The programs with shared buffers where the package has wires and state; the last repeats.

    The first has the front end's buffers too.
    """
    ports = [{*part.inputs, *part.outputs} for part in package.graphs]
    wires = {state.name for state in package.state}
    wires |= {
        name for n, names in enumerate(ports) for other in ports[:n] for name in names & other
    }
    wired = []
    for part, program in zip(package.graphs, programs, strict=True):
        buffers = list(program.buffers)
        for names, indices in ((part.inputs, program.inputs), (part.outputs, program.outputs)):
            for name, index in zip(names, indices, strict=True):
                if name in wires:
                    if buffers[index].role == "shared":
                        raise UserError(
                            f"package '{package.name}': {part.name} has one tensor for '{name}' and"
                            f" '{buffers[index].name}'; make the package again."
                        )
                    buffers[index] = replace(buffers[index], name=name, role="shared")
        wired.append(replace(program, buffers=tuple(buffers)))
    history = Buffer(HISTORY, 4 * int(package.decoding["most_tokens"]), "shared")
    step = replace(wired[-1], buffers=(*wired[-1].buffers, history), repeats=True)
    before = (*wired[0].buffers, *front_end.buffers(package.window_samples))
    return (replace(wired[0], buffers=before), *wired[1:-1], step)


def wire_all(
    package: SpeechPackage, front_end: FrontEnd, variants: Sequence[Sequence[Program]]
) -> list[tuple[Program, ...]]:
    """The variants of each program as `wire` gives them."""
    rows = [
        wire(package, front_end, [each[min(number, len(each) - 1)] for each in variants])
        for number in range(max(map(len, variants)))
    ]
    return [tuple(row[at] for row in rows[: len(each)]) for at, each in enumerate(variants)]


def wired_speech(
    package: SpeechPackage, front_end: FrontEnd, graphs: Sequence[Graph]
) -> SpeechInputs:
    """Both ends of a package whose graphs fit each other."""
    first, step, last = graphs[0], package.graphs[-1], graphs[-1]
    heard = first.tensors[first.inputs[0]]
    inputs = _ports(step.inputs, last, last.inputs)
    logits = last.tensors[last.outputs[step.outputs.index(LOGITS)]]
    tables = tuple(
        _row_table(table, inputs[table.name], step.inputs.index(table.name))
        for table in package.tables
    )
    return SpeechInputs(
        front_end.runtime(package.window_samples, heard.dtype),
        GreedyDecoder(
            rule=package.decoding,
            words=tuple(word.encode("latin-1") for word in package.vocabulary),
            sample_rate_hz=front_end.sample_rate_hz,
            tables=tables,
            states=tuple(
                _row_state(
                    state,
                    inputs[state.name],
                    step.inputs.index(state.name),
                    step.outputs.index(state.rows_from),
                )
                for state in package.state
            ),
            mask=step.inputs.index(MASK),
            positions=inputs[MASK].elements - 1,
            mask_bytes=_value_bytes(inputs[MASK]),
            logits=step.outputs.index(LOGITS),
            logit_bytes=_value_bytes(logits),
        ),
        front_end.sample_rate_hz,
    )


def _row_table(table: Table, tensor: Tensor, source: int) -> RowTable:
    """Rows with scales are packed as a head's weights are, so that one array can be both."""
    plain = RowTable(table.name, table.values, table.by == "token", source)
    if table.scales is None:
        return plain
    bits = least_bits(table.values, MATRIX_WIDTHS)
    return replace(
        plain,
        values=packed(table.values, bits),
        scales=row_scales(table.scales, tensor),
        width=table.values.shape[1],
        bits=bits,
    )


def _row_state(state: StateBuffer, tensor: Tensor, source: int, rows: int) -> RowState:
    zero = tensor.quantization.zero_point if tensor.quantization else 0
    return RowState(
        source,
        rows,
        math.prod(state.shape[: state.axis]),
        state.shape[state.axis],
        math.prod(state.shape[state.axis + 1 :]) * _value_bytes(tensor),
        zero,
    )


def _ports(names: Sequence[str], graph: Graph, indices: Sequence[int]) -> dict[str, Tensor]:
    return {name: graph.tensors[index] for name, index in zip(names, indices, strict=True)}


def _value_bytes(tensor: Tensor) -> int:
    return tensor.size_bytes // tensor.elements
