# SPDX-License-Identifier: Apache-2.0
"""Methods of quantizing weights, one file each: some choose integers, some change the model first.

Those that round have quantize(weight, bits, block_size, moments) -> (integers, scales): weight
(out, in) float32, bits 8, 4, 3 or 2, block_size 0 for one scale a row or the length of the blocks
that a row is cut into; moments (in, in) float64, X^T X of the rows X that calibration multiplied
with the weight, or None; integers (out, in) int8 and scales (out, 1) or (out, blocks) float32, so
that weight is about integers * scales, with no zero point. A method with NEEDS_MOMENTS = True is
given moments for the weights of matrices, which takes recordings; others always get None. One with
a LEAST_WEIGHT gets those of frames that are weighed, from that to 1, by what the decoder attends
to.

One with sequence(model, windows, rules) -> {path: (integers, scales)} as well chooses those of the
linear layers in the model's stages one after another, knowing what came of those before: `windows`
are the first graph's inputs (rows of recordings, MOST_WINDOWS of them at most), `rules` say by
"graph/module/path" which layers, with what bits and blocks. All others are rounded by its quantize.

Equivalent transforms have transform(model, observed, recipe) -> model: a SpeechModel of the same
float function, with modules of its own, whose weights round better; the given one is left as it is.
`observed` is what recordings do to the linear layers of that very model (observe.py), so that each
transform sees the work of those before it; `recipe` says what the weights will be rounded to. One
with NEEDS_OBSERVATIONS = False takes no recordings and is given NO_OBSERVATIONS.

A file with both functions transforms wherever a recipe lists it, and rounds where it is the last.
"""
