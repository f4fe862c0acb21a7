# SPDX-License-Identifier: Apache-2.0
"""What quantizing each layer of a package costs."""
