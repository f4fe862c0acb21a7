# SPDX-License-Identifier: Apache-2.0
"""Checks that a graph stands where a speech package puts it: features in, logits out."""

from __future__ import annotations

from codegen.errors import UserError
from codegen.graph import Graph, Tensor


def check_speech(graph: Graph, name: str, frames: int, bands: int, classes: int) -> None:
    """Raise UserError unless `graph` takes (frames, bands) features and gives rows of `classes`.

    Input and output may have further dimensions of 1; both must be quantized int8 or int16. `name`
    is the package's, for the message.
    """
    for what, indices in (("input", graph.inputs), ("output", graph.outputs)):
        if len(indices) != 1:
            raise UserError(
                f"package '{name}': the network has {len(indices)} {what}s, one is needed; make"
                " the package again."
            )
    features, logits = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    _check_type(features, name)
    _check_type(logits, name)
    if features.elements != frames * bands or features.shape[-1] != bands:
        raise UserError(
            f"package '{name}': the network's input has shape {features.shape}; front end and"
            f" window_samples give {frames} frames of {bands} bands: make the package again."
        )
    if logits.shape[-1] != classes:
        raise UserError(
            f"package '{name}': the network's output has shape {logits.shape}; the vocabulary has"
            f" {classes} words, one a class: make the package again."
        )


def _check_type(tensor: Tensor, name: str) -> None:
    if tensor.dtype not in ("int8", "int16") or tensor.quantization is None or not tensor.shape:
        raise UserError(
            f"package '{name}': the network's tensor '{tensor.name}' is {tensor.dtype} of shape"
            f" {tensor.shape}; quantized int8 or int16 is needed: make the package again."
        )
