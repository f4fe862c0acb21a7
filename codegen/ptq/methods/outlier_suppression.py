# SPDX-License-Identifier: Apache-2.0
"""Outlier Suppression+: channels of activations are centred, then those that stand out are scaled.

1. Take each norm and the linear layers that alone read its output X, as smoothquant.py does.
2. Shift: z_j is the middle between the largest and the smallest X_j over all calibration rows.
3. Scale: with a threshold t, s_j = max(1, max|X_j - z_j| / t). t runs from the largest of these
   maxima down to a twentieth of it.
4. Of the three t at which these layers' outputs err least, rounded to the nearest, and neither
   shifts nor scales, keep what errs least by the recipe's own method of rounding; all on rows that
   this did not see.
5. The norm's weight becomes w / s and its bias (b - z) / s; column j of each layer's weight is
   multiplied with s_j, and each layer's bias grows by W z. A norm without bias, as Moonshine's,
   gains one, an ADD of a row; so do linear layers without.

Assumed: as smoothquant.py.
Source: X. Wei et al., Outlier Suppression+: Accurate quantization of large language models by
equivalent and optimal shifting and scaling, EMNLP 2023 (arXiv 2304.09145), equations 4 to 9.
There an attention's error is that of the product of queries and keys; here each layer's own counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from codegen.ptq.methods import _equivalent

if TYPE_CHECKING:
    from codegen.models import SpeechModel
    from codegen.ptq.observe import Observations
    from codegen.ptq.recipe import Recipe

_THRESHOLDS = tuple(1 - n / 20 for n in range(20))


def transform(model: SpeechModel, observed: Observations, recipe: Recipe) -> SpeechModel:
    """The model with activations centred and outliers moved into weights."""
    made = model.copied()
    for norm, group in _equivalent.norm_groups(model, observed, recipe):
        shifts = np.float32(0.5) * (group.seen.highest + group.seen.lowest)
        extents = np.float32(0.5) * (group.seen.highest - group.seen.lowest)
        widest = max(float(extents.max()), 1e-30)
        scales = [np.maximum(extents / np.float32(widest * t), np.float32(1)) for t in _THRESHOLDS]
        tried = [_equivalent.Change(each, shifts) for each in scales]
        _equivalent.change_norm(made, norm, group.readers, group.best(tried))
    return made
