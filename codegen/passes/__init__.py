# SPDX-License-Identifier: Apache-2.0
"""Rewritings of a graph before it is lowered: one file a pass, in alphabetical order."""
