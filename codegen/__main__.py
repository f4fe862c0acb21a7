# SPDX-License-Identifier: Apache-2.0
"""`python -m codegen` is `stapes`."""

import sys

from codegen.cli import main

sys.exit(main())
