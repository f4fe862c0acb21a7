# SPDX-License-Identifier: Apache-2.0
"""PAD with the value that stands for zero, up to four dimensions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codegen.graph import NUMPY_TYPES, Graph, Operator
from codegen.ops import _cases
from codegen.ops._operands import (
    affine,
    arity,
    first_input_varies,
    input_of,
    is_float,
    leading,
    one_type,
    operand,
    output_of,
    per_tensor,
    result,
    same_quantization,
    step_name,
)
from codegen.program import Params, Row0, Rows, Step

KIND = "PAD"
TYPES = ("int8", "int16", "float32")


def constant_paddings(graph: Graph, operator: Operator) -> str | None:
    """The paddings are a constant [dimensions, 2] of values not below 0, for 1 to 4 dimensions."""
    tensor, rank = input_of(graph, operator, 1), len(input_of(graph, operator, 0).shape)
    if tensor.data is None or tensor.dtype not in ("int32", "int64"):
        return "paddings that are computed" if tensor.data is None else tensor.dtype
    if not 1 <= rank <= 4 or tensor.shape != (rank, 2):
        return f"paddings {list(tensor.shape)} for {rank} dimensions"
    return None if (tensor.data >= 0).all() else "a padding below 0"


def padded_shape(graph: Graph, operator: Operator) -> str | None:
    """The output's dimensions are the input's with the paddings."""
    paddings = input_of(graph, operator, 1).data
    assert paddings is not None
    shape = zip(input_of(graph, operator, 0).shape, paddings.tolist(), strict=True)
    output = output_of(graph, operator).shape
    return None if output == tuple(n + sum(pair) for n, pair in shape) else f"{list(output)}"


CONSTRAINTS = (
    arity(2, 2),
    first_input_varies,
    one_type,
    per_tensor,
    same_quantization,
    constant_paddings,
    padded_shape,
)


def lower(graph: Graph, operator: Operator, features: tuple[str, ...]) -> Step:
    """One call; rows are the product of the output's leading dimensions."""
    before, after = input_of(graph, operator, 0), output_of(graph, operator)
    paddings = input_of(graph, operator, 1).data
    assert paddings is not None
    missing = 4 - len(before.shape)
    starts = (0,) * missing + tuple(int(first) for first, _ in paddings)
    sizes, padded = ((1,) * missing + tensor.shape for tensor in (before, after))
    element = np.dtype(NUMPY_TYPES[before.dtype]).itemsize
    params = Params(
        "stapes_pad_params",
        (
            ("input_0", sizes[0]),
            ("input_1", sizes[1]),
            ("input_2", sizes[2]),
            ("input_bytes", sizes[3] * element),
            ("before_0", starts[0]),
            ("before_1", starts[1]),
            ("before_2", starts[2]),
            ("before_bytes", starts[3] * element),
            ("output_1", padded[1]),
            ("output_2", padded[2]),
            ("output_bytes", padded[3] * element),
            ("fill", 0 if is_float(graph, operator) else affine(after).zero_point),
        ),
    )
    return Step(
        name=step_name(operator),
        kernel="stapes_pad",
        header="stapes/layout.h",
        operands=(
            params,
            Row0(),
            Rows(),
            operand(graph, operator, 0),
            result(graph, operator),
        ),
        reads=(operator.inputs[0],),
        writes=(operator.outputs[0],),
        rows=leading(after.shape),
    )


def cases(rng: np.random.Generator) -> Iterator[Graph]:
    """One to four dimensions, each padded or not."""
    while True:
        rank = _cases.integer(rng, 1, 4)
        shape = tuple(_cases.integer(rng, 1, 5) for _ in range(rank))
        pairs = [[_cases.integer(rng, 0, 2), _cases.integer(rng, 0, 2)] for _ in shape]
        source = _cases.tensor(rng, shape, _cases.any_type(rng))
        output = tuple(n + sum(pair) for n, pair in zip(shape, pairs, strict=True))
        yield _cases.graph(KIND, (source, _cases.indices(pairs)), _cases.like(source, output), {})
