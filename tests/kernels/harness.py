# SPDX-License-Identifier: Apache-2.0
"""Runs a Program's steps on the host's build of the kernels, without generated code."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codegen.data import data_folder
from codegen.emit.project import FLOAT_FLAGS
from codegen.graph import NUMPY_TYPES, Graph, Tensor
from codegen.ops import _cases
from codegen.program import (
    BufferRef,
    Constant,
    Group,
    Operand,
    Params,
    Program,
    Row0,
    Rows,
    Scratch,
    Step,
)

WARNINGS = "-std=c11 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Werror".split()
#: -fwrapv-free: any overflow, wild shift or misaligned access aborts the process.
SANITIZE = "-fsanitize=undefined -fno-sanitize-recover=all".split()
_GUARD_BYTES = 64
_GUARD = 0xA5


def kernel_sources() -> list[Path]:
    """Every portable kernel."""
    return sorted((data_folder("firmware") / "kernels" / "portable").glob("*.c"))


def build_library(folder: Path, *options: str) -> ctypes.CDLL:
    """All portable kernels as one shared library."""
    library = folder / "kernels.so"
    include = data_folder("firmware") / "include"
    command = ["gcc", *WARNINGS, *FLOAT_FLAGS, *options, "-fPIC", "-shared", f"-I{include}"]
    command += ["-o", str(library)]
    subprocess.run([*command, *map(str, kernel_sources())], check=True)
    return ctypes.CDLL(str(library))


class Runner:
    """One Program with memory for each of its buffers: no plan, guard bytes behind each."""

    def __init__(self, library: ctypes.CDLL, graph: Graph, program: Program) -> None:
        self._library = library
        self._graph = graph
        self._program = program
        self._memory = [
            np.full(buffer.size_bytes + _GUARD_BYTES, _GUARD, np.uint8)
            for buffer in program.buffers
        ]
        self._params: dict[int, tuple[Params, ctypes.Structure]] = {}

    def __call__(
        self, inputs: Sequence[np.ndarray], stripe: int | None = None, in_place: bool = False
    ) -> list[np.ndarray]:
        """The outputs, with every step run `stripe` rows at a time, in place where it may."""
        memory = list(self._memory)
        for position, data in zip(self._program.inputs, inputs, strict=True):
            view = memory[position][: data.nbytes]
            view[:] = np.frombuffer(data.tobytes(), np.uint8)
        grouped = dict[int, Group]()
        for group in self._program.groups:
            grouped |= dict.fromkeys(range(group.first_step, group.last_step + 1), group)
        for number, step in enumerate(self._program.steps):
            if number in grouped:
                if grouped[number].first_step == number:
                    self._loop(grouped[number], memory)
                continue
            for source, target in step.in_place if in_place else ():
                if step.reads.count(source) == 1 and memory[source].size >= memory[target].size:
                    memory[target] = memory[source].copy()
                    with _substituted(memory, source, memory[target]):
                        self._run(step, memory, stripe)
                    break
            else:
                self._run(step, memory, stripe)
        for buffer, block in zip(self._program.buffers, memory, strict=True):
            assert (block[buffer.size_bytes :][-_GUARD_BYTES:] == _GUARD).all(), buffer.name
        tensors = [self._graph.tensors[index] for index in self._graph.outputs]
        return [
            _view(memory[position], tensor)
            for position, tensor in zip(self._program.outputs, tensors, strict=True)
        ]

    def _run(self, step: Step, memory: list[np.ndarray], stripe: int | None) -> None:
        striped = any(isinstance(operand, Row0) for operand in step.operands)
        size = stripe if stripe and striped else step.rows
        for row0 in range(0, step.rows, size):
            rows = min(size, step.rows - row0)
            accesses = step.by_row or [None] * len(step.operands)
            self._call(
                step, memory, row0, rows, [each.start_bytes(0) if each else 0 for each in accesses]
            )

    def _loop(self, group: Group, memory: list[np.ndarray]) -> None:
        """The steps of a group as the emitted loop calls them."""
        for row, rows in group.stripes():
            for number in range(group.first_step, group.last_step + 1):
                step = self._program.steps[number]
                first, count = group.taken(number, step.rows, row, rows)
                if count:
                    self._call(
                        self._edged(step, first), memory, 0, count, self._starts(step, group, first)
                    )

    def _starts(self, step: Step, group: Group, first: int) -> list[int]:
        """The bytes of each operand before what the row `first` takes; none of what is held."""
        return [
            access.start_bytes(first)
            if access and not (isinstance(operand, BufferRef) and operand.index in group.held)
            else 0
            for operand, access in zip(step.operands, step.by_row, strict=True)
        ]

    def _edged(self, step: Step, first: int) -> Step:
        """The step with the parameters of its edges for a call from row `first` on."""
        windows = [access for access in step.by_row if access and access.window > 1]
        if step.edges is None or not windows:
            return step
        unit = windows[0].units(first)[0]
        above, there = step.edges

        def changed(operand: Operand) -> Operand:
            if not isinstance(operand, Params):
                return operand
            fields = dict(operand.fields)
            fields |= {above: max(0, -unit), there: int(fields[there]) - max(0, unit)}  # type: ignore[arg-type]
            return replace(operand, fields=tuple(fields.items()))

        return replace(step, operands=tuple(map(changed, step.operands)))

    def _call(
        self, step: Step, memory: list[np.ndarray], row0: int, rows: int, starts: Sequence[int]
    ) -> None:
        function = getattr(self._library, step.kernel)
        function.restype = None
        scratch = np.full(step.scratch_bytes + _GUARD_BYTES, _GUARD, np.uint8)
        function(
            *(
                self._argument(operand, memory, scratch, row0, rows, at)
                for operand, at in zip(step.operands, starts, strict=True)
            )
        )
        assert (scratch[step.scratch_bytes :] == _GUARD).all(), step.name

    def _argument(
        self,
        operand: Operand,
        memory: list[np.ndarray],
        scratch: np.ndarray,
        row0: int,
        rows: int,
        at: int,
    ) -> object:
        match operand:
            case BufferRef():
                return ctypes.c_void_p(memory[operand.index].ctypes.data + at)
            case Constant():
                return ctypes.c_void_p(operand.values.ctypes.data + at)
            case Params():
                return ctypes.byref(self._struct(operand))
            case Row0():
                return ctypes.c_int32(row0)
            case Rows():
                return ctypes.c_int32(rows)
            case Scratch():
                return ctypes.c_void_p(scratch.ctypes.data)
        # Zero stands for a pointer as well as for a number: pass all of the register.
        return ctypes.c_int32(operand) if operand else ctypes.c_void_p(0)

    def _struct(self, params: Params) -> ctypes.Structure:
        kept = self._params.get(id(params))
        if kept is None:
            types = {int: ctypes.c_int32, float: ctypes.c_float}
            kinds = [(name, types.get(type(v), ctypes.c_void_p)) for name, v in params.fields]
            cls = type(params.struct, (ctypes.Structure,), {"_fields_": kinds})
            values = (
                v.values.ctypes.data if isinstance(v, Constant) else v for _, v in params.fields
            )
            kept = self._params[id(params)] = params, cls(*values)
        return kept[1]


@contextmanager
def _substituted(memory: list[np.ndarray], index: int, block: np.ndarray) -> Iterator[None]:
    kept = memory[index]
    memory[index] = block
    try:
        yield
    finally:
        memory[index] = kept


def _view(block: np.ndarray, tensor: Tensor) -> np.ndarray:
    raw = block[: tensor.size_bytes].tobytes()
    return np.frombuffer(raw, NUMPY_TYPES[tensor.dtype]).reshape(tensor.shape)


def random_inputs(rng: np.random.Generator, graph: Graph) -> Iterator[list[np.ndarray]]:
    """Inputs of a graph: all least, all greatest, alternating, then random without end."""
    tensors = [graph.tensors[index] for index in graph.inputs]
    for pattern in ((0, 0), (1, 1), (0, 1)):
        yield [
            np.resize(np.array(_limits(t), NUMPY_TYPES[t.dtype])[list(pattern)], t.shape)
            for t in tensors
        ]
    while True:
        yield [_random(rng, t) for t in tensors]


def _limits(tensor: Tensor) -> tuple[float, float]:
    if tensor.dtype == "float32":
        return -20.0, 20.0
    limits = np.iinfo(np.dtype(NUMPY_TYPES[tensor.dtype]).name)
    return limits.min, limits.max


def _random(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    if tensor.dtype == "float32":
        return _cases.values(rng, tensor.shape, tensor.dtype)
    least, most = map(int, _limits(tensor))
    dtype: Any = NUMPY_TYPES[tensor.dtype]
    return np.asarray(rng.integers(least, most, tensor.shape, dtype, endpoint=True))


def is_hybrid(graph: Graph) -> bool:
    """Whether float32 activations meet integer weights."""
    return any(t.data is not None and t.dtype in ("int4", "int8") for t in graph.tensors) and any(
        graph.tensors[index].dtype == "float32" for index in graph.inputs
    )


class Reference:
    """LiteRT's reference kernels on a .tflite file; XNNPACK's for hybrid arithmetic."""

    def __init__(self, data: bytes, xnnpack: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_REF
        self._interpreter = Interpreter(
            model_content=data, experimental_op_resolver_type=kernels, num_threads=1
        )
        self._interpreter.allocate_tensors()
        self._inputs: list[Mapping[str, int]] = self._interpreter.get_input_details()
        self._outputs: list[Mapping[str, int]] = self._interpreter.get_output_details()

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs in the file's order."""
        for detail, data in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], data)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]
