# SPDX-License-Identifier: Apache-2.0
"""Turns a float .tflite file into one of integers only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from codegen.errors import StapesError, UserError
from codegen.graph import Graph, Operator, Tensor
from codegen.ptq.calibrate import NO_MOMENTS, NONE_CHOSEN, Chosen, Moments, calibrate
from codegen.ptq.recipe import Recipe
from codegen.quiet import quiet
from codegen.tflite.read import read
from codegen.tflite.weights import (
    WEIGHED,
    check_weights,
    float_weights,
    integer_bias,
    integer_weights,
)
from codegen.tflite.write import write

_ACTIVATION_BITS = {"static8": 8, "static16": 16}
#: Their kernels take constants without a zero point; those of MUL or ADD take any.
_WITH_WEIGHTS = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def quantize(
    float_bytes: bytes, samples: Iterable[Mapping[str, np.ndarray]], recipe: Recipe
) -> bytes:
    """The integer .tflite file of a float one: weights of 2 to 8 bits, int8 or int16 activations.

    A sample maps the tensor name of each input to a float array. Inputs and outputs of the result
    are integers, quantized as their ranges over the samples ask. Weights have one scale a channel
    and zero point 0. Raises UserError for a rule that matches nothing, bad samples, or an operator
    that stays float; StapesError where the quantizer fails.
    """
    graph = only_graph(float_bytes)
    source = write(graph)
    _config(graph, recipe)  # what is wrong with the recipe is said before the slow part
    bits = activation_bits(graph, recipe)
    ranges = calibrate(source, graph, samples, bits, recipe.ranges)
    return quantize_ranges(source, ranges, recipe)


def quantize_ranges(
    float_bytes: bytes,
    ranges: Mapping[str, tuple[float, float]],
    recipe: Recipe,
    prefix: str = "",
    moments: Moments = NO_MOMENTS,
    chosen: Chosen = NONE_CHOSEN,
) -> bytes:
    """As `quantize`, given the smallest and largest value of each activation by tensor name.

    The recipe's scopes match operators' names behind `prefix`; `moments` are those of the file's
    matrices, where the method looks at them, and `chosen` the integers of those that it has chosen
    already.
    """
    graph = only_graph(float_bytes)
    config = _config(graph, recipe, prefix)
    (quantized,) = read(_quantized(write(graph), config, ranges))
    result = _without_borders(replace(quantized, name=graph.name), graph)
    result = _with_weights(result, graph, recipe, prefix, moments, chosen)
    check_integer(result)
    return write(result)


def activation_bits(graph: Graph, recipe: Recipe, prefix: str = "") -> dict[str, int]:
    """By tensor name, the fewest bits with which an operator of the recipe makes or reads it.

    What reads a tensor in fewer bits than it was made in takes integers of the same range.
    """
    fewest: dict[str, int] = {}
    rules = recipe.for_operators(operator_names(graph, prefix))
    for operator, rule in zip(graph.operators, rules, strict=True):
        bits = _ACTIVATION_BITS[str(rule.mode)]
        for index in {*operator.inputs, *operator.outputs} - {-1}:
            name = graph.tensors[index].name
            fewest[name] = min(bits, fewest.get(name, bits))
    for index in graph.inputs:
        fewest.setdefault(graph.tensors[index].name, _ACTIVATION_BITS[recipe.mode])
    return fewest


def _with_weights(
    quantized: Graph,
    graph: Graph,
    recipe: Recipe,
    prefix: str,
    moments: Moments,
    chosen: Chosen,
) -> Graph:
    """The integer graph with the weights that the recipe asks for where they are not plain int8."""
    rules = recipe.for_operators(operator_names(graph, prefix))
    wanted: dict[str, Callable[[], Tensor]] = {}
    for operator, rule in zip(graph.operators, rules, strict=True):
        weights = float_weights(graph, operator)
        if weights is not None and (rule.weight_bits != 8 or recipe.methods):
            seen, made = moments.get(operator.inputs[1]), chosen.get(operator.inputs[1])
            wanted[weights.name] = partial(
                integer_weights, weights, rule, recipe.method, seen, made
            )
    floats = {tensor.name: tensor for tensor in graph.tensors}
    tensors = list(quantized.tensors)
    for operator in quantized.operators:
        if operator.kind not in WEIGHED or tensors[operator.inputs[1]].name not in wanted:
            continue
        before, place, *bias = operator.inputs
        tensors[place] = wanted[tensors[place].name]()
        for index in bias:
            if index != -1:
                exact = floats[tensors[index].name]
                tensors[index] = integer_bias(
                    exact, tensors[index], tensors[before], tensors[place]
                )
    return replace(quantized, tensors=tuple(tensors))


def only_graph(float_bytes: bytes) -> Graph:
    """The file's one graph, every tensor under a name of its own."""
    graphs = read(float_bytes)
    if len(graphs) != 1:
        raise UserError(f"The model has {len(graphs)} subgraphs; quantization takes one.")
    return _unique_names(graphs[0])


def _unique_names(graph: Graph) -> Graph:
    """Every tensor under a name of its own, since ranges are kept by name."""
    names: set[str] = set()
    tensors = []
    for index, tensor in enumerate(graph.tensors):
        name = tensor.name if tensor.name and tensor.name not in names else f"tensor_{index}"
        while name in names:
            name += "_"
        names.add(name)
        tensors.append(replace(tensor, name=name))
    return replace(graph, tensors=tuple(tensors))


def operator_names(graph: Graph, prefix: str = "") -> list[str]:
    """What a recipe's scopes match: each operator is called after its first output."""
    return [prefix + graph.tensors[operator.outputs[0]].name for operator in graph.operators]


def _config(graph: Graph, recipe: Recipe, prefix: str = "") -> list[dict[str, Any]]:
    """The recipe in the quantizer's terms: the whole model first, then each exception."""
    try:
        from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager
    except ImportError as error:
        raise UserError(
            f"Quantization needs ai-edge-quantizer, which cannot be imported ({error}); run"
            " pip install 'stapes[torch]'."
        ) from error

    manager = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    manager.add_static_config(".*", everything, _ACTIVATION_BITS[recipe.mode], 8)
    # an output keeps the type that its operator gives it
    manager.add_quantization_config(
        ".*",
        qtyping.TFLOperationName.OUTPUT,
        algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
    )
    kinds = {kind.value: kind for kind in qtyping.TFLOperationName}
    rules = recipe.for_operators(operator_names(graph, prefix))
    check_weights(graph, rules)
    for operator, name, rule in zip(graph.operators, operator_names(graph), rules, strict=True):
        if rule.mode != recipe.mode:
            bits = _ACTIVATION_BITS[str(rule.mode)]
            # of this kind only: the quantizer names what reads a graph's outputs after them, too
            kind = kinds.get(operator.kind, everything)
            manager.add_static_config(f"^{re.escape(name)}(;|$)", kind, bits, 8)
    config: list[dict[str, Any]] = manager.get_quantization_recipe()
    return config


def _quantized(
    source: bytes, config: list[dict[str, Any]], ranges: Mapping[str, tuple[float, float]]
) -> bytes:
    from ai_edge_quantizer import quantizer

    statistics = {
        name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
        for name, (low, high) in ranges.items()
    }
    try:
        with quiet():
            engine = quantizer.Quantizer(source)
            engine.load_quantization_recipe(config)
            return bytes(engine.quantize(statistics, enable_progress_report=False).quantized_model)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise StapesError(f"ai-edge-quantizer failed: {type(error).__name__}: {reason}.") from error


def _without_borders(graph: Graph, exported: Graph) -> Graph:
    """The graph without QUANTIZE at float inputs and DEQUANTIZE at float outputs or to nobody.

    Inputs and outputs have the names that they have in `exported`.
    """
    tensors = graph.tensors
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    read_somewhere = {index for operator in graph.operators for index in operator.inputs}
    dropped: set[int] = set()
    for operator in graph.operators:
        source, target = operator.inputs[0], operator.outputs[0]
        readers = [o for o in graph.operators if source in o.inputs]
        if operator.kind == "QUANTIZE" and source in inputs and len(readers) == 1:
            inputs[inputs.index(source)] = target
        elif operator.kind == "DEQUANTIZE" and target in outputs:
            outputs[outputs.index(target)] = source
        elif operator.kind != "DEQUANTIZE" or target in read_somewhere:
            continue
        dropped.add(operator.index)
    names = {
        new: exported.tensors[old].name
        for old, new in zip((*exported.inputs, *exported.outputs), (*inputs, *outputs), strict=True)
    }
    kept = [operator for operator in graph.operators if operator.index not in dropped]
    return compacted(
        replace(
            graph,
            tensors=tuple(replace(t, name=names.get(i, t.name)) for i, t in enumerate(tensors)),
            operators=tuple(replace(operator, index=i) for i, operator in enumerate(kept)),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )
    )


def compacted(graph: Graph) -> Graph:
    """The graph without the tensors that nothing uses."""
    used = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used.update(index for index in (*operator.inputs, *operator.outputs) if index != -1)
    place = {old: new for new, old in enumerate(sorted(used))} | {-1: -1}

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(place[index] for index in indices)

    def rewired(operator: Operator) -> Operator:
        return replace(operator, inputs=moved(operator.inputs), outputs=moved(operator.outputs))

    return replace(
        graph,
        tensors=tuple(graph.tensors[index] for index in sorted(used)),
        operators=tuple(rewired(operator) for operator in graph.operators),
        inputs=moved(graph.inputs),
        outputs=moved(graph.outputs),
    )


def check_integer(graph: Graph) -> None:
    """Raise UserError unless all tensors are integers and matrices of weights have zero point 0."""
    # An operator that stays float stands between conversions; it is the one to name.
    conversions = ("QUANTIZE", "DEQUANTIZE")
    for operator in sorted(graph.operators, key=lambda o: o.kind in conversions):
        where = f"{operator.kind} '{graph.tensors[operator.outputs[0]].name}'"
        for index in (*operator.inputs, *operator.outputs):
            if index == -1:
                continue
            tensor = graph.tensors[index]
            if tensor.dtype.startswith("float"):
                raise UserError(
                    f"{where} stays float after quantization (tensor '{tensor.name}'); every"
                    " operator must be one that the quantizer supports: rewrite the model"
                    " without it."
                )
            quantization = tensor.quantization
            is_weight = tensor.data is not None and operator.kind in _WITH_WEIGHTS
            if is_weight and quantization is not None and any(quantization.zero_points):
                raise UserError(
                    f"{where}: the weight '{tensor.name}' has a zero point other than 0; weights"
                    " must be symmetric: quantize with a symmetric recipe."
                )
