# SPDX-License-Identifier: Apache-2.0
"""The graphs of an encoder-decoder, run one after another over a recording and its text.

What goes in and out are arrays of the graphs' own types, integers or floats; the rules are those
of greedy.py, the wires those of wiring.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.evaluate.greedy import Observe, greedy_tokens, unobserved
from codegen.wiring import LOGITS, MASK, StateBuffer

#: Takes a graph's inputs, gives its outputs, both in the file's order.
Run = Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Network:
    """One graph: the names of what goes in and out, and how it is run."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Run

    def __call__(self, wires: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs by name."""
        outputs = self.run([wires[name] for name in self.inputs])
        return dict(zip(self.outputs, outputs, strict=True))


@dataclass(frozen=True, eq=False)
class Loop:
    """A model as it is run; the last of the `networks` is the decoder's step.

    `tables` are by token or by position, as `by` says; `zeros` and `mask` hold a state buffer's
    zero and the mask's (masked, attended) in their inputs' types.
    """

    networks: tuple[Network, ...]
    state: tuple[StateBuffer, ...]
    tables: Mapping[str, NDArray[Any]]
    by: Mapping[str, str]
    zeros: Mapping[str, np.generic]
    mask: tuple[np.generic, np.generic]
    rule: Mapping[str, Any]

    def tokens(
        self, rows: NDArray[Any], steps: int, observe: Observe = unobserved
    ) -> tuple[int, ...]:
        """The tokens of a window, given as the first graph's input."""
        *before, decoder = self.networks
        wires: dict[str, NDArray[Any]] = {before[0].inputs[0]: rows}
        for network in before:
            wires |= network(wires)
        for buffer in self.state:
            wires[buffer.name] = np.full(buffer.shape, self.zeros[buffer.name])
        masked, attended = self.mask
        positions = self.state[0].shape[self.state[0].axis]
        wires[MASK] = np.full(positions + 1, masked)
        wires[MASK][-1] = attended

        def step(token: int, number: int) -> NDArray[Any]:
            for name, table in self.tables.items():
                wires[name] = table[token if self.by[name] == "token" else number]
            outputs = decoder(wires)
            for buffer in self.state:
                place = [slice(None)] * len(buffer.shape)
                place[buffer.axis] = slice(number, number + 1)
                row = wires[buffer.name][tuple(place)]
                row[...] = outputs[buffer.rows_from].reshape(row.shape)
            wires[MASK][number] = attended
            return outputs[LOGITS].reshape(-1)

        return greedy_tokens(self.rule, steps, step, observe)
