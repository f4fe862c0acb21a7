# SPDX-License-Identifier: Apache-2.0
"""LiteRT on the host: its reference kernels, with its optimised ones as a cross-check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.errors import UserError
from codegen.evaluate.engines import Engine
from codegen.evaluate.trace import Traced
from codegen.quiet import quiet

#: What an engine is called in reports -> LiteRT's name for its set of kernels.
RESOLVERS = {
    "reference": "BUILTIN_REF",
    "xnnpack": "AUTO",
}


class Interpreter:
    """One .tflite under LiteRT, one thread, with the kernels that `resolver` names."""

    def __init__(self, tflite: bytes, resolver: str = "reference") -> None:
        from ai_edge_litert.interpreter import Interpreter as LiteRt
        from ai_edge_litert.interpreter import OpResolverType

        if resolver not in RESOLVERS:
            raise UserError(
                f"resolver {resolver!r} is unknown; one of {', '.join(sorted(RESOLVERS))}"
            )
        try:
            with quiet():  # the optimised kernels say that they are there
                self._interpreter: Any = LiteRt(
                    model_content=tflite,
                    experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[resolver]),
                    num_threads=1,
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"LiteRT refuses this .tflite: {error}") from None
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs for inputs of the file's own shapes and types, both in the file's order."""
        for detail, value in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value.reshape(detail["shape"]))
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(detail["index"]) for detail in self._outputs)


@dataclass(frozen=True)
class Recognizer:
    """Makes engines that run one network: PCM by `features` to its input, its output by `decode`.

    `features` gives an array of the network's input type and size, `decode` takes its first output;
    both must be picklable, since engines are made in other processes.
    """

    tflite: bytes
    features: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], str]
    resolver: str = "reference"

    def __call__(self) -> Engine:
        """A new engine with an interpreter of its own."""
        traced = self.traced()
        return lambda pcm: traced(pcm)[0]

    def traced(self) -> Traced:
        """The same engine, giving the outputs' bytes beside the text."""
        interpreter = Interpreter(self.tflite, self.resolver)

        def engine(pcm: np.ndarray) -> tuple[str, bytes]:
            outputs = interpreter.run([self.features(pcm)])
            return self.decode(outputs[0]), b"".join(output.tobytes() for output in outputs)

        return engine
