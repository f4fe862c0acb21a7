# SPDX-License-Identifier: Apache-2.0
"""stapes: speech-recognition checkpoints in, firmware out."""

__version__ = "0.1.0"
