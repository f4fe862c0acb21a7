# SPDX-License-Identifier: Apache-2.0
"""SmoothQuant: what is large in a channel of activations moves into the weights that read it.

1. Take each norm and the linear layers that alone read its output X: query, key and value of one
   attention; up, or up and gate, of a feed-forward; and, behind the encoder's last norm, key and
   value of all decoder layers, in another graph, which share their scales.
2. For a in 0, 0.1 ... 1, channel j has the scale s_j = max|X_j|^a / max|W_j|^(1 - a), the maxima
   over all calibration rows and over all of these layers' weights; 1 where either is 0. a = 0.5 is
   the paper's default.
3. Of the three a at which these layers' outputs err least, rounded to the nearest, and no scales,
   keep what errs least by the recipe's own method of rounding; all on rows that this did not see.
4. Divide the norm's weight, and its bias where it has one, by s, and multiply column j of each
   layer's weight with s_j.

Assumed: layer norms with a weight of their own; that the model's `adjacency` names all readers. The
norm in front of a head that shares an embedding's rows is left alone.
Source: G. Xiao et al., SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
Language Models, ICML 2023 (arXiv 2211.10438), equations 3 and 4; there a is one for a whole model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from codegen.ptq.methods import _equivalent

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.observe import Observations
    from codegen.ptq.recipe import Recipe

_EXPONENTS = tuple(n / 10 for n in range(11))


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with scales moved from activations to weights."""
    made = model.copied()
    for norm, group in _equivalent.norm_groups(model, observed, recipe):
        inputs, weights = group.seen.largest, group.largest_weights()
        live = (inputs > 0) & (weights > 0)
        inputs, weights = np.where(live, inputs, 1), np.where(live, weights, 1)
        tried = [_equivalent.Change.scaling(inputs**a / weights ** (1 - a)) for a in _EXPONENTS]
        _equivalent.change_norm(made, norm, group.readers, group.best(tried))
    return made
