# SPDX-License-Identifier: Apache-2.0
"""Ways to choose an activation's range from what calibration saw of it, one file each.

    chosen(seen: Seen, bits: int) -> Range

gives the smallest and the largest value that integers of 8 or 16 bits are to hold; what lies beyond
is clipped. `NEEDS_HISTOGRAM` says whether it looks at `seen.counts`. A range is widened to hold 0
by who makes integers of it: int8 has a zero point, int16 is symmetric.
"""
