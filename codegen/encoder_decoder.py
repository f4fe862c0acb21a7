# SPDX-License-Identifier: Apache-2.0
"""Makes packages of an encoder, its cross graph and a decoder's step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from codegen.calibration import (
    BY_TOKEN,
    Notify,
    chosen_in_sequence,
    rounded_plainly,
    table_by,
    transformed,
    watch,
)
from codegen.errors import StapesError, UserError
from codegen.graph import Graph, Quantization, Tensor
from codegen.package import PackagedGraph, SpeechPackage
from codegen.registry import plugins
from codegen.transcriber import fitted, read_graphs
from codegen.wiring import GREEDY_KEYS, LOGITS, MASK, Table

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.calibrate import Chosen, Moments, Watched
    from codegen.ptq.histogram import Range
    from codegen.ptq.recipe import Recipe

#: Convolutions that hear what no norm has evened out: their weights keep 8 bits.
STEM = "encoder/stem.*"


def quantize(
    model: SpeechModel,
    package: SpeechPackage,
    recordings: Sequence[np.ndarray],
    recipe: Recipe,
    notify: Notify = lambda _: None,
) -> SpeechPackage:
    """`package` with the model's graphs quantized, calibrated through the whole decoding loop.

    Every tensor gets the range of its values while the float graphs transcribe the recordings;
    tensors that are wired together get one range, so one scale. The recipe's transforms come first,
    and the package's float graphs are theirs. dynamic8 needs no recordings unless a method looks at
    inputs. The head, which is the embedding, keeps int8 weights unless a rule says otherwise.
    Raises UserError for a rule of the recipe that matches nothing.
    """
    from codegen.ptq.calibrate import NO_MOMENTS
    from codegen.ptq.recipe import DYNAMIC
    from codegen.tflite.convert import convert
    from codegen.tflite.quantize import operator_names
    from codegen.tflite.read import read
    from codegen.tflite.weights import check_weights

    model = transformed(model, recordings, recipe, notify)
    exported, graphs = [], []
    for part in model.graphs:
        notify(f"exporting {part.name} as a float .tflite")
        exported.append(convert(part.module, part.sample_inputs, part.name))
        graphs.append(read(exported[-1])[0])
    prefixes = [f"{part.name}/" for part in model.graphs]
    names = [operator_names(*pair) for pair in zip(graphs, prefixes, strict=True)]
    head = model.graphs[-1].outputs.index(LOGITS)
    kept = prefixes[-1] + graphs[-1].tensors[graphs[-1].outputs[head]].name
    # dynamic8 leaves every convolution at 8 bits
    stem = [] if recipe.mode == DYNAMIC else [STEM]
    recipe = recipe.keeping([*model.int8_scopes, *stem, kept])
    recipe.for_operators(name for part in names for name in part)
    recipes = [recipe.limited_to(part) for part in names]
    rules = [limited.for_operators(each) for limited, each in zip(recipes, names, strict=True)]
    for graph, asked in zip(graphs, rules, strict=True):
        check_weights(graph, asked)

    watched: list[Watched] = []
    if recipe.mode != DYNAMIC or recipe.needs_moments:
        notify(f"calibrating on {len(recordings)} recordings, transcribing them")
        watched = watch(model, exported, graphs, recordings, recipe)
    moments = [part.moments() for part in watched] or [NO_MOMENTS] * len(graphs)
    for graph, each, seen in zip(graphs, names, moments, strict=True):
        for line in rounded_plainly(graph, each, seen, recipe):
            notify(line)
    chosen = chosen_in_sequence(model, graphs, rules, recordings, recipe, notify)
    looked = list(zip(moments, chosen, strict=True))
    quantized: list[bytes] = []
    if recipe.mode == DYNAMIC:
        quantized += _weights_alone(exported, recipes, prefixes, looked, notify)
    else:
        integers = _in_integers(model, exported, watched, recipes, prefixes, looked, notify)
        quantized += _taken_as_made(model, integers)
    parts = tuple(
        PackagedGraph(part.name, part.phase, data, before, part.inputs, part.outputs)
        for part, data, before in zip(model.graphs, quantized, exported, strict=True)
    )
    made = replace(package, graphs=parts, recipe=recipe.as_dict())
    return _assembled(model, made, recipe.method)


def _weights_alone(
    exported: Sequence[bytes],
    recipes: Sequence[Recipe],
    prefixes: Sequence[str],
    looked: Sequence[tuple[Moments, Chosen]],
    notify: Notify,
) -> Iterator[bytes]:
    """The graphs with integer weights and float activations."""
    from codegen.tflite.dynamic import quantize_weights

    for data, recipe, prefix, seen in zip(exported, recipes, prefixes, looked, strict=True):
        notify(f"quantizing the weights of {prefix[:-1]}")
        yield quantize_weights(data, recipe, prefix, *seen)


def _in_integers(
    model: SpeechModel,
    exported: Sequence[bytes],
    watched: Sequence[Watched],
    recipes: Sequence[Recipe],
    prefixes: Sequence[str],
    looked: Sequence[tuple[Moments, Chosen]],
    notify: Notify,
) -> Iterator[bytes]:
    """The graphs in integers, by the ranges that the recordings gave."""
    from codegen.ptq.adapted import adapted
    from codegen.tflite.quantize import activation_bits, quantize_ranges

    wires = _wires(model, [part.graph for part in watched])
    bits = [
        activation_bits(part.graph, recipe, prefix)
        for part, recipe, prefix in zip(watched, recipes, prefixes, strict=True)
    ]
    for ends in wires.values():
        fewest = min(bits[number][tensor] for number, tensor in ends)
        for number, tensor in ends:
            bits[number][tensor] = fewest
    found = [
        adapted(part.graph, part.ranges(each)) for part, each in zip(watched, bits, strict=True)
    ]
    _unite(model, wires, found)
    parts = zip(exported, found, recipes, prefixes, looked, strict=True)
    for data, ranges, recipe, prefix, seen in parts:
        notify(f"quantizing {prefix[:-1]}")
        yield quantize_ranges(data, ranges, recipe, prefix, *seen)


def _taken_as_made(model: SpeechModel, quantized: Iterable[bytes]) -> Iterator[bytes]:
    """The graphs with inputs of the type that a rule gave to where they are made."""
    from codegen.tflite.inputs import taking
    from codegen.tflite.read import read
    from codegen.tflite.wired import ports
    from codegen.tflite.write import write

    made: dict[str, Tensor] = {}
    for part, data in zip(model.graphs, quantized, strict=True):
        (graph,) = read(data)
        taken, given = ports(graph, part.inputs, part.outputs)
        for position, (name, tensor) in enumerate(taken.items()):
            if name in made and made[name].dtype != tensor.dtype:
                graph = taking(graph, position, made[name])
        made |= given
        yield write(graph)


def _wires(model: SpeechModel, graphs: Sequence[Graph]) -> dict[str, list[tuple[int, str]]]:
    """The ends of each wire, first the one that makes it: a graph's number, a tensor's name."""
    caches = {buffer.rows_from: buffer.name for buffer in model.state}
    places: dict[str, list[tuple[int, str]]] = {}
    for ports in ("outputs", "inputs"):
        for number, (part, graph) in enumerate(zip(model.graphs, graphs, strict=True)):
            for name, index in zip(getattr(part, ports), getattr(graph, ports), strict=True):
                wire = caches.get(name, name)
                places.setdefault(wire, []).append((number, graph.tensors[index].name))
    return places


def _unite(
    model: SpeechModel,
    wires: Mapping[str, Sequence[tuple[int, str]]],
    found: Sequence[dict[str, Range]],
) -> None:
    """Give all ends of a wire the range of where it is made, and inputs that which they can have.

    What reads a wire sees the same values, some more often; operators that move values about keep
    the scale of what they read, so that where they are made decides.
    """
    known: dict[str, Range] = {
        model.graphs[0].inputs[0]: model.front_end.input_range,
        MASK: (float(model.decoding["float_masked"]), 0.0),
        **{name: (float(t.min()), float(t.max())) for name, t in model.tables.items()},
    }
    for wire, tensors in wires.items():
        number, tensor = tensors[0]
        made = found[number][tensor]
        for number, tensor in tensors:
            found[number][tensor] = known.get(wire, made)


def _assembled(model: SpeechModel, package: SpeechPackage, method: str) -> SpeechPackage:
    """The package with the tables, mask and front end as its inputs ask."""
    from codegen.tflite.head import head_rows
    from codegen.tflite.read import read
    from codegen.tflite.wired import ports

    first, step = package.graphs[0], package.graphs[-1]
    pcm = next(iter(ports(read(first.data)[0], first.inputs, first.outputs)[0].values()))
    last, floats = read(step.data)[0], read(step.float_data or step.data)[0]
    taken, _ = ports(last, step.inputs, step.outputs)
    masked = attended = np.int16(0)
    if taken[MASK].quantization is not None:
        masked, attended = _quantized(np.array([model.decoding["float_masked"], 0.0]), taken[MASK])
    rule = {**model.decoding, "masked": int(masked), "attended": int(attended)}
    words = np.asarray(model.tables[BY_TOKEN], np.float32)
    head = head_rows(last, floats, step.outputs.index(LOGITS), words)
    made = replace(
        package,
        front_end=fitted(model.front_end, pcm).to_dict(),
        decoding={key: rule[key] for key in GREEDY_KEYS},
        state=model.state,
        tables=tuple(_table(n, t, taken[n], head, method) for n, t in model.tables.items()),
    )
    try:
        read_graphs(made)
    except UserError as error:
        if made.recipe["rules"]:
            raise UserError(
                f"the quantized graphs do not fit each other: {error} A rule of the recipe gives"
                " the ends of a wire two types: change its scope."
            ) from error
        raise StapesError(f"the quantized graphs do not fit each other: {error}") from error
    return made


def _table(
    name: str,
    table: np.ndarray,
    tensor: Tensor,
    head: tuple[np.ndarray, np.ndarray] | None,
    method: str,
) -> Table:
    """The rows in the type of the decoder's input, or int8 with a scale each or each block.

    Rows by token are those of the head where it has any, of as many bits, so that one array is
    both. Where not, they are int8 in front of a float input all the same.
    """
    from codegen.ptq.recipe import METHODS

    floats = np.asarray(table, np.float32)
    if name == BY_TOKEN and head is not None:
        integers, scales = head
        return Table(name, table_by(name), integers, floats, scales)
    if tensor.quantization is not None:
        return Table(name, table_by(name), _quantized(floats, tensor), floats)
    if name != BY_TOKEN:
        return Table(name, table_by(name), floats)
    integers, scales = plugins(METHODS)[method].quantize(floats, 8, 0)
    return Table(name, table_by(name), integers, floats, scales[:, 0])


def _quantization(tensor: Tensor) -> Quantization:
    assert tensor.quantization is not None  # as check_wired has seen
    return tensor.quantization


def _quantized(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Floats as the integers of `tensor`, to the nearest, ties to even."""
    quantization, limits = _quantization(tensor), np.iinfo(tensor.dtype)
    scaled = np.rint(np.float64(values) / quantization.scale) + quantization.zero_point
    result: np.ndarray = np.clip(scaled, limits.min, limits.max).astype(tensor.dtype)
    return result
