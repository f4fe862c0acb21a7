# SPDX-License-Identifier: Apache-2.0
"""What stapes claims, measured: `python -m benchmarks.results` writes docs/results.md."""
