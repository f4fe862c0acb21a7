# SPDX-License-Identifier: Apache-2.0
"""Ways to choose the integers of a weight, one file a method.

Each has quantize(weight, bits, block_size, moments) -> (integers, scales): weight (out, in)
float32, bits 8, 4, 3 or 2, block_size 0 for one scale a row or the length of the blocks that a row
is cut into; moments (in, in) float64, X^T X of the rows X that calibration multiplied with the
weight, or None; integers (out, in) int8 and scales (out, 1) or (out, blocks) float32, so that
weight is about integers * scales, with no zero point. A method with NEEDS_MOMENTS = True is given
moments for the weights of matrices, which takes recordings; others always get None.
"""
