# SPDX-License-Identifier: Apache-2.0
"""Exports a torch module as a float .tflite file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from codegen.errors import StapesError
from codegen.graph import Graph
from codegen.quiet import quiet
from codegen.tflite.read import read
from codegen.tflite.write import write

if TYPE_CHECKING:
    import torch

#: The converter joins the names of merged operators; they are shortened after reading.
_CONVERTER_NAME = 10_000


def convert(
    module: torch.nn.Module, sample_inputs: Sequence[torch.Tensor], name: str = "network"
) -> bytes:
    """The float .tflite file of `module` at the static shapes of `sample_inputs`.

    Inputs and outputs are called "input" and "output", numbered where there are several;
    operators are called after the modules they come from, as "blocks/0/depthwise". The same
    module gives the same bytes. Raises StapesError where litert-torch cannot convert it.
    """
    import torch

    torch.set_num_threads(1)
    try:
        with quiet(), torch.no_grad():
            exported = _export(module, tuple(sample_inputs))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise StapesError(
            f"litert-torch cannot export {name!r}: {type(error).__name__}: {reason}."
        ) from error
    graphs = read(exported, longest_name=_CONVERTER_NAME)
    if len(graphs) != 1:
        raise StapesError(f"litert-torch made {len(graphs)} subgraphs of {name!r} instead of one.")
    return write(named(replace(graphs[0], name=name)))


def _export(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> bytes:
    """The converter's own file, whose metadata names versions and is dropped later."""
    import tempfile
    from pathlib import Path

    import litert_torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        litert_torch.convert(module.eval(), inputs).export(str(path))
        return path.read_bytes()


def named(graph: Graph) -> Graph:
    """The graph with short, unique names: inputs, outputs, operators, then their constants."""
    names: dict[int, str] = {}
    taken: set[str] = set()

    def name(index: int, wanted: str) -> None:
        if index in names or index == -1:
            return
        unique, number = wanted, 1
        while unique in taken:
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique)
        names[index] = unique

    for what, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for number, index in enumerate(indices):
            name(index, what if len(indices) == 1 else f"{what}_{number}")
    for operator in graph.operators:
        for index in operator.outputs:
            name(index, tidy(graph.tensors[index].name))
    for operator in graph.operators:
        constants = ("weights", "bias") if len(operator.inputs) == 3 else ("constant",)
        for place, index in enumerate(operator.inputs):
            what = constants[min(max(place - 1, 0), len(constants) - 1)]
            name(index, f"{names[operator.outputs[0]]}/{what}")
    for index, tensor in enumerate(graph.tensors):
        name(index, tidy(tensor.name))
    renamed = (replace(tensor, name=names[i]) for i, tensor in enumerate(graph.tensors))
    return replace(graph, tensors=tuple(renamed))


def tidy(name: str) -> str:
    """A converter's tensor name without the names of Python classes.

    Operators that were merged have their names joined by ";"; the innermost module counts.

    >>> tidy("my.Net/my.Block_0;my.Net/torch.nn.Sequential_blocks/my.Block_0/torch.nn.Conv2d_up;1")
    'blocks/0/up'
    """
    best: list[str] = []
    for part in name.split(";"):
        pieces = [re.fullmatch(r".*\.[A-Za-z0-9<>]+_(\w+)", piece) for piece in part.split("/")]
        path = [match[1] for match in pieces if match]
        best = path if len(path) > len(best) else best
    return "/".join(best) or re.sub(r"[^\w/.-]+", "_", name).strip("_")[:100] or "tensor"
