# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED: int8, int16 or float32 activations, weights of 8, 4, 3 or 2 bits, per tensor or
channel; beside float32 also in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.ops import _cases, _hybrid, _weights
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    fused_activation,
    input_of,
    of_integers,
    one_type,
    operand,
    output_of,
    per_tensor,
    result,
    row_by_row,
    step_name,
)
from codegen.ops._quantize import activation_range
from codegen.program import Constant, Params, Row0, Rows, Step

KIND = "FULLY_CONNECTED"
TYPES = ("int8", "int16", "float32")
#: Of XNNPACK, which fuses the last multiplication and addition, and adds the zero point's part of
#: blocks apart from the rest: where the two cancel, 96 are seen in 2200 cases.
TOLERANCE_ULP = 128


def plain_layout(graph: Graph, operator: Operator) -> str | None:
    """The weights are in the default format."""
    layout = operator.options.get("weights_format", "DEFAULT")
    return None if layout == "DEFAULT" else str(layout)


def matching_shapes(graph: Graph, operator: Operator) -> str | None:
    """The weights are [output depth, input depth]; the input holds whole rows of the input depth,
    and the output one row of the output depth for each."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    shape = input_of(graph, operator, 1).shape
    if len(shape) == 2 and after.shape and before.elements % shape[1] == 0:
        rows = before.elements // shape[1]
        if after.shape[-1] == shape[0] and after.elements == rows * shape[0]:
            return None
    return f"{list(before.shape)} by {list(shape)} to {list(after.shape)}"


def scales_in_range(graph: Graph, operator: Operator) -> str | None:
    """input scale * weight scale / output scale is from 2^-60 to 2^18, keeps every sum below 2^31,
    and is at least 2^-16 where a sum can reach 2^32."""
    sums = _weights.largest_sums(graph, operator)
    for total, factor in zip(sums, _weights.real_multipliers(graph, operator), strict=True):
        if not 2**-60 <= factor <= 2**18 or total * factor >= 2**31:
            return f"{factor:.3g} of sums up to {total}"
        if total >= 1 << 32 and factor < 2**-16:
            return f"{factor:.3g} of sums up to {total}"
    return None


CONSTRAINTS = (
    arity(2, 3),
    first_input_varies,
    one_type,
    per_tensor,
    plain_layout,
    matching_shapes,
    *_weights.CONSTRAINTS,
    _hybrid.whole_bytes,
    _hybrid.no_int2,
    _hybrid.blocks_fit,
    of_integers(scales_in_range),
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the leading dimensions."""
    if _hybrid.is_hybrid(graph, operator):
        return _hybrid.matrix_step(graph, operator)
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    outputs, inputs = input_of(graph, operator, 1).shape
    bits = _weights.true_bits(graph, operator, _weights.MATRIX_WIDTHS)
    lowest, highest = activation_range(after, fused_activation(operator))
    scales = np.array(_weights.real_multipliers(graph, operator)).view(np.uint64)
    params = Params(
        "stapes_fully_connected_params",
        (
            ("input_depth", inputs),
            ("output_depth", outputs),
            ("output_zero_point", affine(after).zero_point),
            ("output_min", lowest),
            ("output_max", highest),
            ("scales", Constant("scales", scales)),
        ),
    )
    call = Step(
        name=step_name(operator),
        kernel=f"stapes_fully_connected_{_weights.kernel_suffix(graph, operator, bits)}",
        header="stapes/fully_connected.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            _weights.packed_weights(graph, operator, bits, outputs),
            _weights.folded_bias(graph, operator),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=before.elements // inputs,
        macs=after.elements * inputs,
    )
    return row_by_row(graph, call)


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """Per tensor and per channel, with and without bias, of two to four dimensions."""
    while True:
        inputs, outputs = _cases.integer(rng, 1, 70), _cases.integer(rng, 1, 24)
        batch = _cases.choice(rng, (1,), (40,), (1, 5), (2, 3), (2, 30), (1, 2, 7))
        keep = bool(rng.integers(2))
        source = _cases.tensor(rng, (*batch, inputs), _cases.either_type(rng))
        form = _cases.choice(rng, ("int8", 8), ("int2", 2), _cases.narrow_form(rng))
        weights = _cases.weights(rng, (outputs, inputs), 0, bool(rng.integers(2)), *form)
        if rng.integers(3) == 0:
            yield _hybrid_case(rng, (*batch, inputs), weights)
            continue
        wide = source.dtype == "int16" and bool(rng.integers(2))
        bias = _cases.bias(rng, source, weights, 0, wide) if rng.integers(5) else None
        shape = (*batch, outputs) if keep else (math.prod(batch), outputs)
        target = _cases.fitted(rng, source, weights, inputs)
        output = _cases.tensor(rng, shape, source.dtype, target)
        options: dict[str, Any] = {
            "fused_activation_function": _cases.activation(rng),
            "keep_num_dims": keep,
        }
        if source.dtype == "int16":
            options["quantized_bias_type"] = 4 if wide else 0 if bias is None else 2
        graph = _cases.graph(KIND, (source, weights, bias), output, options)
        if scales_in_range(graph, graph.operators[0]) is None:
            yield graph


def _hybrid_case(rng: np.random.Generator, shape: tuple[int, ...], weights: Tensor) -> Graph:
    """float32 activations, every other time beside weights in blocks."""
    outputs, inputs = weights.shape
    if rng.integers(2):
        size, blocks = _cases.choice(rng, 32, 64, 128), _cases.integer(rng, 1, 3)
        inputs = size * blocks
        weights = _cases.blocks(rng, (outputs, inputs), size, _cases.integer(rng, 2, 4))
    else:
        form = _cases.choice(rng, ("int8", 8), _cases.narrow_form(rng))
        inputs += inputs % 2 * (form[0] == "int4")
        weights = _cases.weights(rng, (outputs, inputs), 0, bool(rng.integers(2)), *form)
    shape = (*shape[:-1], inputs)
    source = _cases.tensor(rng, shape, "float32")
    added = Tensor("", (outputs,), "float32", None, _cases.values(rng, (outputs,), "float32"))
    options = {
        "fused_activation_function": _cases.activation(rng),
        "keep_num_dims": True,
        "asymmetric_quantize_inputs": bool(rng.integers(2)),
    }
    output = _cases.tensor(rng, (*shape[:-1], outputs), "float32")
    bias = added if rng.integers(5) else None
    return _cases.graph(KIND, (source, _cases.tamed(weights), bias), output, options)
