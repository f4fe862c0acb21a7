# SPDX-License-Identifier: Apache-2.0
"""The stages in order; what one room needs of another is handed over here."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codegen import encoder_decoder
from codegen.errors import StapesError, UserError
from codegen.graph import Graph, Tensor
from codegen.measure import front_end, read_clips, window_features
from codegen.memory_plan import Footprint, FootprintRow, MemoryPlan
from codegen.package import (
    MAX_MODEL_BYTES,
    PackagedGraph,
    SpeechPackage,
    load_package,
    read_bytes,
)
from codegen.program import Program
from codegen.target import Target, load_board, load_target, read_target

if TYPE_CHECKING:
    from codegen.emit.inputs import EmitInputs
    from codegen.emit.speech import SpeechInputs
    from codegen.evaluate.engines import EngineFactory
    from codegen.ptq.recipe import Recipe

#: A caller who feeds PCM as it arrives holds 10 ms of it.
BLOCKS_A_SECOND = 100

#: Told what is about to be done.
Notify = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Model:
    """Integer graphs, and the package that they come from when they make a speech model."""

    name: str
    source_name: str
    sha256: str
    graphs: tuple[Graph, ...]
    package: SpeechPackage | None = None


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model for one target: programs, where their buffers lie, and the bytes that this takes."""

    model: Model
    target: Target
    programs: tuple[Program, ...]
    plan: MemoryPlan
    footprint: Footprint


def find_target(name: str) -> Target:
    """The target of that name, or in that file when `name` ends in .toml."""
    return read_target(Path(name)) if name.endswith(".toml") else load_target(name)


def open_model(source: Path) -> Model:
    """Read a package's folder or a .tflite file; raises UserError for anything else."""
    from codegen.emit.inputs import default_name
    from codegen.tflite.read import read

    if source.is_dir():
        return packaged_model(load_package(source))
    data = read_bytes(source, MAX_MODEL_BYTES)
    name = default_name(source.stem)
    return Model(name, source.name, hashlib.sha256(data).hexdigest(), read(data))


def packaged_model(package: SpeechPackage) -> Model:
    """The model in a package; its hash is the .tflite's where it has only one."""
    from codegen.emit.inputs import default_name
    from codegen.tflite.read import read
    from codegen.tflite.speech import check_speech

    if package.wired:
        graphs = encoder_decoder.read_graphs(package)
        return Model(default_name(package.name), package.name, package.sha256, graphs, package)
    graphs = tuple(graph for part in package.graphs for graph in read(part.data))
    log_mel = front_end(package)
    frames, classes = log_mel.frames(package.window_samples), len(package.vocabulary)
    check_speech(graphs[0], package.name, frames, log_mel.bands, classes)
    sha256 = package.graphs[0].sha256 if len(package.graphs) == 1 else package.sha256
    return Model(default_name(package.name), package.name, sha256, graphs, package)


def quantize(
    source: Path, manifest: Path, recipe: Recipe, notify: Notify = lambda _: None
) -> SpeechPackage:
    """Export the checkpoint in `source`, calibrate on the manifest's recordings, make integers.

    Raises UserError for a wrong checkpoint, manifest or recipe.
    """
    from codegen.evaluate.corpus import digest, read_manifest
    from codegen.models import load_model
    from codegen.tflite.convert import convert
    from codegen.tflite.quantize import quantize as quantized
    from codegen.tflite.read import read

    clips = read_manifest(manifest)
    model = load_model(source)
    recipe = recipe.with_int16(model.int16_scopes)
    package = SpeechPackage(
        name=model.name,
        graphs=(),
        phases=model.phases,
        front_end=model.front_end.to_dict(),
        decoding=model.decoding,
        vocabulary=model.vocabulary,
        recipe=recipe.as_dict(),
        calibration={
            "utterances": len(clips),
            "source": manifest.parent.name or manifest.name,
            "sha256": digest(clips),
        },
        source={"name": model.name, "sha256": model.sha256},
        window_samples=model.window_samples,
    )
    recordings = read_clips(package, clips, model.front_end.sample_rate_hz)
    if model.tables:
        return encoder_decoder.quantize(model, package, recordings, recipe, notify)
    graphs = []
    for graph in model.graphs:
        notify(f"exporting {graph.name} as a float .tflite")
        exported = convert(graph.module, graph.sample_inputs, graph.name)
        (network,) = read(exported)
        tensor = network.tensors[network.inputs[0]]

        def features(pcm: np.ndarray, tensor: Tensor = tensor) -> Mapping[str, np.ndarray]:
            heard = window_features(model.front_end, pcm, model.window_samples)
            values = model.front_end.normalized(heard)
            return {tensor.name: values.reshape(tensor.shape)}

        notify(f"calibrating {graph.name} on {len(clips)} recordings and quantizing")
        data = quantized(exported, map(features, recordings), recipe)
        graphs.append(PackagedGraph(graph.name, graph.phase, data, exported))
    return replace(package, graphs=tuple(graphs))


def compile_model(model: Model, target: Target) -> Compiled:
    """Lower, plan, check the plan, place and predict; whether it fits is `check_fit`'s question.

    Raises UserError for an operator that is not supported.
    """
    from codegen.emit.wired import wire
    from codegen.footprint.predict import predict
    from codegen.lower import lower
    from codegen.memory.liveness import graph_peak_bytes
    from codegen.memory.place import place
    from codegen.memory.plan import plan
    from codegen.memory.validate import validate

    programs = tuple(lower(graph, target) for graph in model.graphs)
    extras: tuple[FootprintRow, ...] = ()
    if model.package is not None:
        speech = _speech_inputs(model.package, model.graphs)
        if model.package.wired:
            programs = wire(model.package, programs)
        else:
            buffers = programs[0].buffers + front_end(model.package).buffers()
            programs = (replace(programs[0], buffers=buffers), *programs[1:])
        extras = _speech_rows(target, speech)
    peak = max(graph_peak_bytes(graph) for graph in model.graphs)
    memory = plan(programs, unmodified_peak_bytes=peak)
    validate(programs, memory)
    memory = place(memory, target)
    return Compiled(model, target, programs, memory, predict(programs, memory, target, extras))


def emit_inputs(compiled: Compiled, name: str | None = None) -> EmitInputs:
    """What emit is given; raises UserError where the model does not fit the target."""
    from codegen.emit.inputs import EmitInputs
    from codegen.footprint.fit import check_fit

    model = compiled.model
    check_fit(compiled.footprint, compiled.target, model.source_name)
    return EmitInputs(
        name or model.name,
        compiled.target,
        compiled.programs,
        compiled.plan,
        model.sha256,
        model.source_name,
        None if model.package is None else _speech_inputs(model.package, model.graphs),
    )


def _speech_rows(target: Target, speech: SpeechInputs) -> tuple[FootprintRow, ...]:
    from codegen.emit.speech import CtcDecoder, LogMelInput
    from codegen.footprint.predict import greedy_rows, speech_rows

    block_bytes = 2 * speech.sample_rate_hz // BLOCKS_A_SECOND
    decoder = speech.decoder
    if isinstance(decoder, CtcDecoder):
        assert isinstance(speech.input, LogMelInput)
        tables = speech.input.tables
        return speech_rows(target, tables, decoder.words, speech.text_bytes, block_bytes)
    rows = {table.name: table.values for table in decoder.tables}
    states = len(decoder.states)
    return greedy_rows(target, rows, decoder.words, states, speech.text_bytes, block_bytes)


def _speech_inputs(package: SpeechPackage, graphs: Sequence[Graph]) -> SpeechInputs:
    """Front end and decoding around the graphs."""
    from codegen.emit.speech import CtcDecoder, LogMelInput, SpeechInputs
    from codegen.emit.wired import wired_speech

    if package.wired:
        return wired_speech(package, graphs)
    graph = graphs[0]
    log_mel = front_end(package)
    features, logits = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert features.quantization is not None  # as check_speech has seen
    scale, zero_point = features.quantization.scale, features.quantization.zero_point
    rescale = log_mel.rescale(scale, zero_point, features.dtype)
    return SpeechInputs(
        LogMelInput(
            tables=log_mel.tables(),
            frame_samples=log_mel.frame_samples,
            hop_samples=log_mel.hop_samples,
            bands=log_mel.bands,
            multiplier=rescale.multiplier,
            offset=rescale.offset,
            shift=rescale.shift,
            frames=features.elements // log_mel.bands,
            value_bytes=features.size_bytes // features.elements,
        ),
        CtcDecoder(
            words=package.vocabulary,
            separator=str(package.decoding["separator"]),
            blank=int(package.decoding["blank"]),
            frames=logits.elements // len(package.vocabulary),
            logit_bytes=logits.size_bytes // logits.elements,
        ),
        log_mel.sample_rate_hz,
    )


@contextmanager
def native_engine(package: SpeechPackage) -> Iterator[EngineFactory]:
    """The package's C, compiled for this computer in a folder that goes away again."""
    from codegen.emit.project import emit
    from codegen.evaluate.native import Native
    from codegen.toolchain.project import build

    with tempfile.TemporaryDirectory(prefix="stapes-native-") as scratch:
        folder = Path(scratch) / "project"
        emit(emit_inputs(compile_model(packaged_model(package), load_target("host"))), folder)
        yield Native(_Transcribe(folder, build(folder)))


@dataclass(frozen=True)
class _Transcribe:
    """Runs a compiled project on one recording; raises StapesError unless it says ok."""

    folder: Path
    firmware: Path

    def __call__(self, pcm: bytes) -> str:
        from codegen.toolchain.project import run

        (record,) = run(self.folder, [pcm], firmware=self.firmware)
        if record.status != 0:
            raise StapesError(f"the compiled model says: {record.status_text}")
        return record.text


def linked_footprint(elf: Path, target: Target, name: str) -> Footprint:
    """What the linker placed where, by the target's regions as they lie on its board."""
    from codegen.emit.layout import lay_out
    from codegen.footprint.elf import model_prefixes, read_elf

    data = read_bytes(elf, MAX_MODEL_BYTES)
    memories = lay_out(target, load_board(target.board)).memories
    regions = [(m.name, m.origin, m.length) for m in memories]
    return read_elf(data, regions, model_prefixes(name))


def find_recipe(mode: str | None, path: Path | None) -> Recipe:
    """The recipe in a TOML, or a mode's plain one; raises UserError where both are given."""
    from codegen.ptq.recipe import Recipe, load_recipe

    if path is None:
        return Recipe.for_mode(mode or "static8")
    if mode is not None:
        raise UserError(f"{path} sets the mode already; leave out --mode, or --recipe")
    return load_recipe(path)


def calibration_manifest(path: Path | None) -> Path:
    """The manifest that --calibration names; raises UserError where there is none."""
    if path is None:
        raise UserError(
            "a checkpoint is quantized on recordings; give --calibration MANIFEST, JSON lines "
            'like {"audio": "a.wav", "text": "lights on"}; '
            "`python -m examples.commands_ctc.data FOLDER` makes some for the bundled checkpoint"
        )
    return path
