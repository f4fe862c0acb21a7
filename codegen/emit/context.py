# SPDX-License-Identifier: Apache-2.0
"""Programs and their plan as the plain values that templates print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod

from codegen.emit.filters import c_call, c_ident, c_int, c_number
from codegen.emit.inputs import EmitInputs
from codegen.emit.shares import arenas_of, sections_of, shares
from codegen.emit.speech_context import Places, SpeechContext, speech_context
from codegen.emit.stripes import Start, Stripe, whole
from codegen.emit.values import Arena, Data, Share, Slot
from codegen.emit.weights import ALIGNMENT_BYTES, HEADER_BYTES, Piece, pack
from codegen.errors import StapesError
from codegen.memory_plan import SCRATCH, Placement
from codegen.program import (
    BufferRef,
    Constant,
    Group,
    Operand,
    Params,
    Program,
    Row0,
    RowAccess,
    Rows,
    Scratch,
    Step,
)

_BYTE_TYPES = ("int8_t", "uint8_t", "void")
_WHOLE = Start()


@dataclass(frozen=True)
class Struct:
    """A const parameter struct, its fields as C expressions."""

    symbol: str
    struct: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Call:
    """One step; `fields` of its parameter struct are known only where it is called."""

    index: int
    kernel: str
    arguments: tuple[str, ...]
    hint: str
    macs: int
    struct: Struct | None = None
    fields: tuple[tuple[str, str], ...] = ()
    stripe: Stripe | None = None

    @property
    def margin(self) -> str:
        """What its lines start with."""
        return " " * (8 if self.stripe else 4)

    @property
    def opening(self) -> str:
        """What begins its block, if it has one of its own."""
        if self.stripe and self.stripe.pace.once_a_block:
            return f"if (row % {self.stripe.group.block_rows} == 0) {{"
        return "{" if self.fields or self.lines else ""

    @property
    def lines(self) -> str:
        """The rows that it has of those that its pace asks for, if they may be fewer."""
        return self.stripe.lines if self.stripe and self.stripe.clipped else ""

    @property
    def text(self) -> str:
        """The call in C, further in where it has a block of its own."""
        indent = len(self.margin) + (4 if self.opening else 0)
        return c_call(self.kernel, self.arguments, indent)


@dataclass(frozen=True)
class Run:
    """Calls one after another; those of a group once for each of its stripes."""

    group: Group | None
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class GraphContext:
    """One program: its function is `run`, its tensors lie in `inputs` and `outputs`."""

    index: int
    hint: str
    run: str
    arenas: tuple[Arena, ...]
    structs: tuple[Struct, ...]
    runs: tuple[Run, ...]
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in their order."""
        return tuple(call for run in self.runs for call in run.calls)


@dataclass(frozen=True, eq=False)
class ModelContext:
    """Everything that the templates of model/ print; `pieces` of weights that are bound."""

    name: str
    upper: str
    headers: tuple[str, ...]
    arenas: tuple[Arena, ...]
    slots: tuple[Slot, ...]
    data: tuple[Data, ...]
    graphs: tuple[GraphContext, ...]
    speech: SpeechContext | None
    payload: bytes = b""
    pieces: tuple[Piece, ...] = ()
    shares: tuple[Share, ...] = ()

    @property
    def bound_bytes(self) -> int:
        """Bytes of the file that stapes_bind takes, 0 where weights are compiled in."""
        return HEADER_BYTES + len(self.payload) if self.pieces else 0

    @property
    def initializers(self) -> dict[str, str]:
        """Each array's symbol -> the stapes_constant that leads to it."""
        bound = {piece.symbol: f"{{.offset = {piece.macro}}}" for piece in self.pieces}
        return {each.symbol: f"{{.data = {each.symbol}}}" for each in self.data} | bound

    @property
    def data_bytes(self) -> int:
        """Bytes of all const arrays."""
        return sum(each.size_bytes for each in self.data)


def model_context(inputs: EmitInputs) -> ModelContext:
    """The values of one model's templates; StapesError where programs and plan do not match."""
    upper = inputs.name.upper()
    arenas = arenas_of(inputs, upper)
    every = [_Names(inputs, number, arenas) for number in range(len(inputs.programs))]
    data = [each for names in every for each in names.data]
    speech = None
    if inputs.speech:
        places = [names.places() for names in every]
        speech = speech_context(inputs.speech, inputs.name, inputs.programs, places, data)
        data += speech.data
    bound = data if inputs.weights == "bin" else []
    payload, pieces = pack(bound, ALIGNMENT_BYTES)
    macros = {piece.symbol: piece.macro for piece in pieces}
    return ModelContext(
        inputs.name,
        upper,
        tuple(sorted({step.header for program in inputs.programs for step in program.steps})),
        arenas,
        tuple(slot for names in every for slot in names.slots),
        tuple(data),
        tuple(
            _graph(program, number, names, macros)
            for number, (program, names) in enumerate(zip(inputs.programs, every, strict=True))
        ),
        speech,
        payload,
        pieces,
        shares(inputs, arenas, [] if pieces else data),
    )


def bound_bytes(inputs: EmitInputs) -> int:
    """Bytes of the file that the firmware binds, 0 where weights are compiled in."""
    return model_context(inputs).bound_bytes if inputs.weights == "bin" else 0


class _Names:
    """The C names of one program's buffers, scratch, constants and parameter structs."""

    def __init__(self, inputs: EmitInputs, number: int, arenas: tuple[Arena, ...]) -> None:
        several = len(inputs.programs) > 1
        self.program = inputs.programs[number]
        self.prefix = f"{inputs.name}_{number}" if several else inputs.name
        self.step_prefix = f"graph_{number}_step" if several else "step"
        self.arenas = {arena.region: arena for arena in arenas}
        placements = inputs.plan.placements[number]
        self.slots = tuple(map(self._slot, placements))
        at = dict(zip(placements, self.slots, strict=True))
        self.buffers = {p.buffer: slot for p, slot in at.items() if p.buffer != SCRATCH}
        self.scratch = {p.first_use: slot for p, slot in at.items() if p.buffer == SCRATCH}
        self.symbols = {c.name: f"{self.prefix}_{c_ident(c.name)}" for c in self.program.constants}
        taken = {f"{inputs.name}_model", f"{inputs.name}_speech"} & set(self.symbols.values())
        if taken or len(set(self.symbols.values())) != len(self.program.constants):
            raise StapesError(f"program '{self.program.name:.60}': constants share a name of C.")
        sections = sections_of(inputs, number)
        self.data = tuple(
            replace(Data.of(self.symbols[c.name], c.values), section=sections.get(c.name, ""))
            for c in self.program.constants
        )

    def _slot(self, placement: Placement) -> Slot:
        buffer, steps = placement.buffer, len(self.program.steps)
        kind = f"SCRATCH_{placement.first_use}" if buffer == SCRATCH else self._kind(buffer)
        first = "before" if placement.first_use < 0 else f"step {placement.first_use}"
        last = "after" if placement.last_use >= steps else f"step {placement.last_use}"
        return Slot(
            f"{self.prefix.upper()}_{kind}",
            self.arenas[placement.region],
            placement.offset_bytes,
            placement.size_bytes,
            "" if buffer == SCRATCH else self.program.buffers[buffer].name,
            first if placement.last_use == placement.first_use else f"{first} to {last}",
        )

    def _kind(self, buffer: int) -> str:
        """AT_ and the buffer's name, its number first where another one has that name."""
        idents = [c_ident(each.name).upper() for each in self.program.buffers]
        unique = idents.count(idents[buffer]) == 1
        return f"AT_{idents[buffer]}" if unique else f"AT_{buffer}_{idents[buffer]}"

    def places(self) -> Places:
        """Where inputs, outputs and named buffers lie."""
        named = {buffer.name: index for index, buffer in enumerate(self.program.buffers)}
        return Places(
            [self.buffers[index] for index in self.program.inputs],
            [self.buffers[index] for index in self.program.outputs],
            lambda name: self.buffers[named[name]],
        )

    def step(self, index: int) -> str:
        """The symbol of a step's parameter struct."""
        return f"{self.step_prefix}_{index}"


class _Arguments:
    """Operands of one step as C expressions; `macros` are the offsets of arrays that are bound."""

    def __init__(self, names: _Names, step: Step, index: int, macros: Mapping[str, str]) -> None:
        self.names, self.step, self.index, self.macros = names, step, index, macros
        groups = names.program.groups
        group = next((group for group in groups if index in group), None)
        self.stripe = Stripe(group, group.pace(index), step) if group else None

    def all(self) -> tuple[str, ...]:
        """Every argument."""
        accesses = self.step.by_row or (None,) * len(self.step.operands)
        pairs = zip(self.step.operands, accesses, strict=True)
        return tuple(self.text(operand, self._start(operand, access)) for operand, access in pairs)

    def _start(self, operand: Operand, access: RowAccess | None) -> Start:
        """Where the rows of a stripe start in an operand: with it, in what is held for a stripe."""
        if self.stripe is None:
            return whole(access)
        held = isinstance(operand, BufferRef) and operand.index in self.stripe.group.held
        return Start() if held else self.stripe.start(access)

    def constant(self, constant: Constant, at: Start = _WHOLE) -> str:
        """The array, or where it lies in the bound weights, from a row on."""
        symbol = self.names.symbols[constant.name]
        macro = self.macros.get(symbol)
        if macro:
            return f"stapes_bound(context, {macro}{at.unsigned()})"
        return f"{symbol}{at.text(constant.values.itemsize)}"

    def struct(self) -> Struct | None:
        """The step's parameter struct."""
        for each in self.step.operands:
            if isinstance(each, Params):
                fields = tuple(map(self._field, each.fields))
                return Struct(self.names.step(self.index), each.struct, fields)
        return None

    def own_fields(self) -> tuple[tuple[str, str], ...]:
        """Its fields that are known only where it is called: edges, and what weights are bound."""
        return (*(self.stripe.edge_fields() if self.stripe else ()), *self._bound_fields())

    def _bound_fields(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, self.constant(value))
            for each in self.step.operands
            if isinstance(each, Params) and self.macros
            for name, value in each.fields
            if isinstance(value, Constant)
        )

    def _field(self, field: tuple[str, int | float | Constant | None]) -> tuple[str, str]:
        name, value = field
        if value is None or (isinstance(value, Constant) and self.macros):
            return name, "NULL"
        return name, self.constant(value) if isinstance(value, Constant) else c_number(value)

    @singledispatchmethod
    def text(self, operand: object, at: Start) -> str:
        """The argument; StapesError for an operand of unknown kind."""
        raise StapesError(f"step '{self.step.name:.60}': unknown operand {operand!r:.60}.")

    @text.register
    def _(self, operand: int, at: Start) -> str:
        return c_int(operand)

    @text.register
    def _(self, operand: BufferRef, at: Start) -> str:
        return _pointer(self.names.buffers[operand.index], operand.c_type, at)

    @text.register
    def _(self, operand: Constant, at: Start) -> str:
        return self.constant(operand, at)

    @text.register
    def _(self, operand: Params, at: Start) -> str:
        return "&params" if self.own_fields() else f"&{self.names.step(self.index)}"

    @text.register
    def _(self, operand: Row0, at: Start) -> str:
        return "0"

    @text.register
    def _(self, operand: Rows, at: Start) -> str:
        return self.stripe.rows if self.stripe else c_int(self.step.rows)

    @text.register
    def _(self, operand: Scratch, at: Start) -> str:
        slot = self.names.scratch.get(self.index)
        return _pointer(slot, "void") if slot else "NULL"


def _pointer(slot: Slot, c_type: str, at: Start = _WHOLE) -> str:
    """A pointer into the arena; by way of void for types whose alignment the offsets keep."""
    c_type = c_type.replace("const", "").replace("*", "").strip()
    cast = f"({c_type} *)" if c_type in _BYTE_TYPES else f"({c_type} *)(void *)"
    return f"{cast}({slot.arena.variable} + {slot.macro}{at.text()})"


def _graph(program: Program, number: int, names: _Names, macros: Mapping[str, str]) -> GraphContext:
    calls = []
    used: dict[int, Arena] = {}
    for index, step in enumerate(program.steps):
        arguments = _Arguments(names, step, index, macros)
        calls.append(
            Call(
                index,
                step.kernel,
                arguments.all(),
                step.name,
                program.macs_of(index),
                arguments.struct(),
                arguments.own_fields(),
                arguments.stripe,
            )
        )
        used |= {slot.arena.index: slot.arena for slot in _slots_of(step, index, names)}
    return GraphContext(
        number,
        program.name,
        f"run_{number}" if names.step_prefix != "step" else "run",
        tuple(used[index] for index in sorted(used)),
        tuple(call.struct for call in calls if call.struct),
        tuple(_runs(program, calls)),
        tuple(names.buffers[buffer] for buffer in program.inputs),
        tuple(names.buffers[buffer] for buffer in program.outputs),
    )


def _runs(program: Program, calls: Sequence[Call]) -> Iterator[Run]:
    """The calls, those of each group together."""
    done = 0
    for group in program.groups:
        yield Run(None, tuple(calls[done : group.first_step]))
        done = group.last_step + 1
        yield Run(group, tuple(calls[group.first_step : done]))
    yield Run(None, tuple(calls[done:]))


def _slots_of(step: Step, index: int, names: _Names) -> Iterator[Slot]:
    for operand in step.operands:
        if isinstance(operand, BufferRef):
            yield names.buffers[operand.index]
        elif isinstance(operand, Scratch) and index in names.scratch:
            yield names.scratch[index]
