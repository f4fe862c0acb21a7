# SPDX-License-Identifier: Apache-2.0
"""Turns a float .tflite file into one of dynamic8: integer weights, float everything else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from codegen.graph import Operator, Tensor
from codegen.ptq.calibrate import NO_MOMENTS, NONE_CHOSEN, Chosen, Moments
from codegen.ptq.recipe import Recipe, Rule
from codegen.tflite.quantize import compacted, only_graph, operator_names
from codegen.tflite.weights import MATRIX, check_weights, float_weights, integer_weights
from codegen.tflite.write import write

#: Its kernels quantize a row of activations with a zero point, which LiteRT leaves to an option.
_OPTION = {"asymmetric_quantize_inputs": True}


def quantize_weights(
    float_bytes: bytes,
    recipe: Recipe,
    prefix: str = "",
    moments: Moments = NO_MOMENTS,
    chosen: Chosen = NONE_CHOSEN,
) -> bytes:
    """The dynamic8 .tflite of a float one: constant weights become integers, all else stays.

    FULLY_CONNECTED has the recipe's bits and blocks. CONV_2D has int8 weights with one scale a
    channel behind a DEQUANTIZE, and so float activations: a stem hears PCM, whose rows are too
    unlike each other for int8. The recipe's scopes match operators' names behind `prefix`;
    `moments` are those of the file's matrices, where the method looks at them, and `chosen` the
    integers of those that it has chosen already. Raises UserError for a rule that matches nothing,
    or blocks that do not fit.
    """
    graph = only_graph(float_bytes)
    rules = recipe.for_operators(operator_names(graph, prefix))
    check_weights(graph, rules)
    made = _Made(list(graph.tensors), [], recipe.method, moments, chosen)
    for operator, rule in zip(graph.operators, rules, strict=True):
        weights = float_weights(graph, operator)
        if weights is None:
            made.operators.append(operator)
        elif operator.kind == MATRIX:
            options = {**operator.options, **_OPTION}
            made.add(replace(operator, options=options), made.integers(operator.inputs[1], rule))
        else:
            plain = replace(rule, weight_bits=8, block_size=0)
            made.add(operator, made.floats(made.integers(operator.inputs[1], plain)))
    numbered = (replace(operator, index=n) for n, operator in enumerate(made.operators))
    changed = replace(graph, tensors=tuple(made.tensors), operators=tuple(numbered))
    return write(compacted(changed))


@dataclass
class _Made:
    """The graph as it grows; weights that several operators share are quantized once a form."""

    tensors: list[Tensor]
    operators: list[Operator]
    method: str
    moments: Moments
    chosen: Chosen
    known: dict[tuple[int | None, ...], int] = field(default_factory=dict)

    def add(self, operator: Operator, weights: int) -> None:
        """Append the operator with other weights."""
        inputs = (operator.inputs[0], weights, *operator.inputs[2:])
        self.operators.append(replace(operator, inputs=inputs))

    def integers(self, weights: int, rule: Rule) -> int:
        """The position of float weights as a rule's integers."""
        key = (weights, rule.weight_bits, rule.block_size)
        if key not in self.known:
            self.known[key] = len(self.tensors)
            floats, moments = self.tensors[weights], self.moments.get(weights)
            chosen = self.chosen.get(weights)
            self.tensors.append(integer_weights(floats, rule, self.method, moments, chosen))
        return self.known[key]

    def floats(self, weights: int) -> int:
        """The position of integer weights as floats again."""
        if (weights,) not in self.known:
            self.known[(weights,)] = len(self.tensors)
            stored = self.tensors[weights]
            self.tensors.append(Tensor(f"{stored.name}/float", stored.shape, "float32"))
            operator = Operator(0, "DEQUANTIZE", (weights,), (self.known[(weights,)],))
            self.operators.append(operator)
        return self.known[(weights,)]
