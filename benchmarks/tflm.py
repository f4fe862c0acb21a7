# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro's figures for the same models, for scale.

`python -m benchmarks.tflm FILE.tflite...` prints the arena that its interpreter takes on this
computer; it needs `pip install --no-deps tflite-micro==0.dev20261023182759`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

_SCRIPT = """
import sys
from tflite_micro.python.tflite_micro import runtime
runtime.Interpreter.from_file(
    sys.argv[1], intrepreter_config=runtime.InterpreterConfig.kAllocationRecording
).print_allocations()
"""


@dataclass(frozen=True)
class Tflm:
    """Bytes: activations ("head"), the arena (activations and interpreter, no stack), and text."""

    activations: int
    arena: int
    text: int | None = None


#: Built with CMSIS-NN for M4 and M55 by GCC 12 -O2, the smaller arena and text of the two; of the
#: commands model as printed by this module, where pointers have 64 bits.
FIGURES = {
    "commands static8": Tflm(41_472, 65_456),
    "commands static16": Tflm(82_944, 106_928),
    "micro_speech_quantized": Tflm(5_968, 6_836, 81_200),
    "person_detect": Tflm(55_296, 82_308),
}


def main() -> None:
    """Print what each file's interpreter allocates."""
    for path in sys.argv[1:]:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, path], capture_output=True, text=True, check=True
        )
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "Arena" in line]
        print(path, *lines, sep="\n  ")


if __name__ == "__main__":
    main()
