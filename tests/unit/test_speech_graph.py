# SPDX-License-Identifier: Apache-2.0
"""A network that does not fit its package is named."""

from __future__ import annotations

import pytest

from codegen.errors import UserError
from codegen.graph import Graph, Quantization, Tensor
from codegen.tflite.speech import check_speech

_Q = Quantization((0.5,), (0,))
_IN = Tensor("input", (1, 41, 1, 40), "int8", _Q)
_OUT = Tensor("output", (1, 11, 1, 12), "int8", _Q)


def _check(features: Tensor, logits: Tensor, outputs: tuple[int, ...] = (1,)) -> None:
    check_speech(Graph("g", (features, logits), (), (0,), outputs), "p", 41, 40, 12)


def test_what_fits_passes() -> None:
    _check(_IN, _OUT)
    _check(Tensor("input", (41, 40), "int16", _Q), Tensor("output", (12,), "int16", _Q))


@pytest.mark.parametrize(
    ("features", "logits", "outputs", "message"),
    [
        (_IN, _OUT, (0, 1), "has 2 outputs, one is needed"),
        (Tensor("input", (1, 41, 1, 40), "int8"), _OUT, (1,), "'input' is int8"),
        (Tensor("input", (1, 41, 1, 40), "float32"), _OUT, (1,), "'input' is float32"),
        (Tensor("input", (), "int8", _Q), _OUT, (1,), "'input' is int8"),
        (Tensor("input", (1, 40, 1, 41), "int8", _Q), _OUT, (1,), "41 frames of 40 bands"),
        (Tensor("input", (1, 42, 1, 40), "int8", _Q), _OUT, (1,), "41 frames of 40 bands"),
        (_IN, Tensor("output", (1, 12, 1, 11), "int8", _Q), (1,), "vocabulary has 12 words"),
        (_IN, Tensor("output", (1, 11), "uint8", _Q), (1,), "'output' is uint8"),
    ],
)
def test_what_does_not_fit_is_named(
    features: Tensor, logits: Tensor, outputs: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _check(features, logits, outputs)
