# SPDX-License-Identifier: Apache-2.0
"""Rewritings of a graph that may lower its peak of live bytes, or raise it: one file each."""
