# SPDX-License-Identifier: Apache-2.0
"""A float model and a copy of it whose weights become integers, layer by layer, over kept inputs.

Stages run one after another, so that what is kept is one stage's input of each window, for both
models: 2 * windows * frames * width floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.models import SpeechModel, Stage

if TYPE_CHECKING:
    import torch

#: One window in so many is held out.
HELD_OUT = 8
#: Norms have this or less of it.
_EPSILON = 1e-5

Doubles = NDArray[np.float64]
_Pair = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Sums:
    """What a layer is fed and adds to, X (rows, in) and R (rows, out) in the float model.

    In the copy they are X^ and R^: `moments` are X^^T X^ and `drift` (X - X^)^T X^, both (in, in),
    `carried` is (R - R^)^T X^ (out, in), or 0 of a layer that does not write to a stream. Of one
    that does, rows are divided by the deviation that the stream has behind it in the float model:
    all that read it are norms, which do so.
    """

    moments: Doubles
    drift: Doubles
    carried: Doubles | float

    def __add__(self, other: Sums) -> Sums:
        """Over the rows of both."""
        return Sums(
            self.moments + other.moments, self.drift + other.drift, self.carried + other.carried
        )


class SideBySide:
    """Both `models`, the float one first, fed the same windows: the first graph's inputs.

    Raises UserError where there are none. Sums are taken in the order of the windows, by one
    thread, so the same windows give the same values.
    """

    def __init__(self, model: SpeechModel, windows: Iterable[NDArray[np.float32]]):
        import torch

        torch.set_num_threads(1)
        shape = model.graphs[0].sample_inputs[0].shape
        heard = (np.ascontiguousarray(rows, np.float32).reshape(shape) for rows in windows)
        self._kept: list[_Pair] = [(rows, rows) for rows in map(torch.from_numpy, heard)]
        if not self._kept:
            raise UserError("Calibration needs at least one sample, but got none; check the data.")
        self.models = model, model.copied()
        self._writers = {path for stream in model.streams for path in stream.writers}
        self._norms = [path for stream in model.streams for path in stream.norms]

    def stages(self) -> Iterator[Stage]:
        """Each stage of the model; its layers are to be rounded before the next is asked for."""
        *earlier, last = self.models[0].stages
        for stage in earlier:
            yield stage
            modules = [model.module(stage.module) for model in self.models]
            for number, fed in enumerate(self._kept):
                self._kept[number] = _both(modules, fed)
        yield last

    def put(self, path: str, integers: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        """Give the copy's layer weights of these integers (out, in) and scales (out, blocks)."""
        import torch

        weight = integers.reshape(*scales.shape, -1) * scales[..., None]
        layer = self.models[1].module(path)
        layer.weight = torch.nn.Parameter(
            torch.from_numpy(weight.reshape(integers.shape)), requires_grad=False
        )

    def sums(self, stage: Stage, layers: Sequence[str]) -> tuple[Sums, Sums]:
        """Those of layers that read the same: of most windows, and of those held out.

        One window alone is in both. Raises UserError for values that are not finite.
        """
        every = min(HELD_OUT, len(self._kept))
        parts: list[Sums | None] = [None, None]
        for number, fed in enumerate(self._kept):
            found, held = self._sums(stage, layers[0], fed), number % every == every - 1
            before = parts[held]
            parts[held] = found if before is None else before + found
        fitted, held_out = parts
        assert held_out is not None
        return fitted or held_out, held_out

    def _sums(self, stage: Stage, path: str, fed: _Pair) -> Sums:
        (x, r), (y, q) = (
            self._reached(model, stage, path, rows)
            for model, rows in zip(self.models, fed, strict=True)
        )
        writes = path in self._writers
        if writes:
            share = _normalizer(r + _run(self.models[0].module(path), x))
            x, r, y, q = (each * share for each in (x, r, y, q))
        carried = _double((r - q).T @ y) if writes else 0.0
        moments, drift = _double(y.T @ y), _double((x - y).T @ y)
        if not all(np.isfinite(each).all() for each in (moments, drift, carried)):
            raise UserError(
                f"The linear layer '{path}' is fed values that are not finite, or too large to be"
                " squared, in a calibration window; only finite values can be quantized: check the"
                " model and the data."
            )
        return Sums(moments, drift, carried)

    def _reached(
        self, model: SpeechModel, stage: Stage, path: str, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a layer of a stage is fed, and the last that a norm before it read of a stream."""
        stream = rows

        def read(_: Any, inputs: tuple[torch.Tensor]) -> None:
            nonlocal stream
            (stream,) = inputs

        def reach(_: Any, inputs: tuple[torch.Tensor]) -> None:
            raise _Reached(inputs[0])

        within = [norm for norm in self._norms if norm.startswith(f"{stage.module}/")]
        hooks = [model.module(norm).register_forward_pre_hook(read) for norm in within]
        hooks.append(model.module(path).register_forward_pre_hook(reach))
        try:
            _run(model.module(stage.module), rows)
        except _Reached as reached:
            return reached.fed, stream
        finally:
            for hook in hooks:
                hook.remove()
        raise AssertionError(f"{stage.module} does not run {path}")


class _Reached(Exception):  # noqa: N818
    """What a layer is fed; what comes behind it need not run."""

    def __init__(self, fed: torch.Tensor):
        super().__init__()
        self.fed = fed


def _both(modules: Sequence[Any], fed: _Pair) -> _Pair:
    one, other = (_run(module, rows) for module, rows in zip(modules, fed, strict=True))
    return one, other


def _run(module: Any, rows: torch.Tensor) -> torch.Tensor:
    import torch

    with torch.no_grad():
        made: torch.Tensor = module(rows)
    return made


def _normalizer(stream: torch.Tensor) -> torch.Tensor:
    """What a norm multiplies each row (rows, width) with, (rows, 1)."""
    return (stream.var(-1, correction=0, keepdim=True) + _EPSILON).rsqrt()


def _double(values: torch.Tensor) -> Doubles:
    result: Doubles = values.double().numpy()
    return result
