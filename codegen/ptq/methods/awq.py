# SPDX-License-Identifier: Apache-2.0
"""AWQ: the weights of channels that carry much are made larger, and so are rounded more finely.

1. Take each norm and the linear layers that alone read its output, as smoothquant.py does; and
   each layer whose outputs another reads channel by channel: value and out of an attention, whose
   mixing over positions leaves channels apart, and up and down of a gated feed-forward, where
   silu(gate) multiplies what `up` gives. GELU is not linear: up and down around it stay as they
   are.
2. Let m_j be the mean of |X_j|, the j-th input of the layers that read. For a in 0.05, 0.1 ... 1,
   channel j has the scale m_j^a, divided by the square root of the largest times the smallest. A
   mean below 1e-4 of the largest counts as that.
3. Of the three a at which the reading layers' outputs err least, rounded to the nearest with the
   recipe's bits and blocks, and no scales, keep what errs least by the recipe's own method of
   rounding; all on rows that this did not see.
4. Divide what makes X by s, the norm's weight and bias or the rows of the layer in front, and
   multiply column j of each reading layer's weight with s_j.

The paper's second step, clipping by output error, is a way of rounding: round_output.py.
Assumed: as smoothquant.py; that the model's `mixes` and `gated` name such pairs of layers, of which
the second alone reads the first.
Source: J. Lin et al., AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and
Acceleration, MLSys 2024 (arXiv 2306.00978), equations 4 and 5. Here activations are rounded too,
as the recipe's mode does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from codegen.ptq.methods import _equivalent

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.observe import Observations
    from codegen.ptq.recipe import Recipe

_EXPONENTS = tuple(n / 20 for n in range(1, 21))
#: The least mean that counts, as a share of the largest.
_LEAST = 1e-4


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with weights of important channels scaled up."""
    made = model.copied()
    for norm, group in _equivalent.norm_groups(model, observed, recipe):
        _equivalent.change_norm(made, norm, group.readers, group.best(candidates(group)))
    for source, reader in (*model.mixes.items(), *model.gated.items()):
        group = _equivalent.Group.of(model, (reader,), observed, recipe)
        _equivalent.change_linear(made, source, reader, group.best(candidates(group)))
    return made


def candidates(group: _equivalent.Group) -> list[_equivalent.Change]:
    """Step 2's scales, none where nothing was heard."""
    means = group.seen.magnitude
    if not means.any():
        return []
    means = np.maximum(means, _LEAST * means.max())
    powers = [means**a for a in _EXPONENTS]
    return [_equivalent.Change.scaling(each / np.sqrt(each.max() * each.min())) for each in powers]
