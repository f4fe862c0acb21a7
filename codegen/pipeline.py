# SPDX-License-Identifier: Apache-2.0
"""The stages in order; what one room needs of another is handed over here."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codegen import encoder_decoder, transcriber
from codegen.calibration import check_heard, provenance
from codegen.errors import UserError
from codegen.graph import Graph, Tensor
from codegen.measure import front_end, read_clips, window_features
from codegen.memory_plan import Footprint, MemoryPlan
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
    from codegen.models import SpeechModel
    from codegen.ptq.recipe import Recipe
    from codegen.regions import Unsettled

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
    unsettled: Unsettled

    def check_fit(self, footprint: Footprint) -> None:
        """Raise UserError where a footprint exceeds the target, with what would make it fit."""
        from codegen.footprint.fit import check_fit

        nearest = partial(self.unsettled.nearest_change, self.target)
        check_fit(footprint, self.target, self.model.source_name, nearest)


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
        graphs = transcriber.read_graphs(package)
        return Model(default_name(package.name), package.name, package.sha256, graphs, package)
    graphs = tuple(graph for part in package.graphs for graph in read(part.data))
    log_mel = front_end(package)
    frames, classes = log_mel.frames(package.window_samples), len(package.vocabulary)
    check_speech(graphs[0], package.name, frames, log_mel.bands, classes)
    sha256 = package.graphs[0].sha256 if len(package.graphs) == 1 else package.sha256
    return Model(default_name(package.name), package.name, sha256, graphs, package)


def quantize(
    source: str | Path,
    manifest: Path | None,
    recipe: Recipe,
    notify: Notify = lambda _: None,
    *,
    window_samples: int | None = None,
    language: str | None = None,
) -> SpeechPackage:
    """Export the checkpoint in `source`, calibrate on the manifest's recordings, make integers.

    `source` is a folder, or a model of the hub as ORG/NAME[@REVISION]; dynamic8 takes None for the
    manifest. Raises UserError for a wrong checkpoint, window, language, manifest or recipe.
    """
    from codegen.evaluate.corpus import read_manifest
    from codegen.evaluate.split import cut
    from codegen.ptq.recipe import DYNAMIC
    from codegen.tflite.convert import convert
    from codegen.tflite.quantize import quantize as quantized
    from codegen.tflite.read import read

    clips = read_manifest(manifest) if manifest is not None else ()
    model, origin = load_checkpoint(str(source), window_samples, language, notify)
    recipe = recipe.with_int16(model.int16_scopes)
    package = SpeechPackage(
        name=model.name,
        graphs=(),
        phases=model.phases,
        front_end=model.front_end.to_dict(),
        decoding=model.decoding,
        vocabulary=model.vocabulary,
        recipe=recipe.as_dict(),
        calibration={},
        source={"name": model.name, **origin, "sha256": model.sha256},
        window_samples=model.window_samples,
    )
    recordings = read_clips(package, clips, model.front_end.sample_rate_hz)
    package = replace(package, calibration=provenance(manifest, clips))
    check_heard(recordings, model.decoding.get("silence", 1), model.front_end.sample_rate_hz)
    if model.tables:
        return encoder_decoder.quantize(model, package, recordings, recipe, notify)
    if recipe.mode == DYNAMIC:
        raise UserError(
            f"'{model.name}' in {recipe.mode}: a model of one graph runs in integers here. Use"
            " --mode static8 or static16."
        )
    of_matrices = (*recipe.transforms, *recipe.observing)
    if of_matrices:
        raise UserError(
            f"'{model.name}' with the method {of_matrices[0]}: it is for the matrices of"
            " encoder-decoders, and this model has convolutions. Use --method round_mse."
        )
    rate = model.front_end.sample_rate_hz
    pieces = [piece for pcm in recordings for piece in cut(pcm, model.window_samples, rate)]
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
        data = quantized(exported, map(features, pieces), recipe)
        graphs.append(PackagedGraph(graph.name, graph.phase, data, exported))
    return replace(package, graphs=tuple(graphs))


def load_checkpoint(
    source: str, window_samples: int | None, language: str | None, notify: Notify
) -> tuple[SpeechModel, dict[str, str]]:
    """The checkpoint, and what package.json says of where it came from."""
    from codegen.models import find_checkpoint, load_model

    checkpoint = find_checkpoint(source, notify)
    model = load_model(checkpoint.folder, window_samples, language)
    if checkpoint.name is not None:
        model = replace(model, name=checkpoint.name)
    if window_samples not in (None, model.window_samples):
        seconds = model.window_samples / model.front_end.sample_rate_hz
        notify(f"the window is rounded up to {seconds:g} s, whole frames of the model")
    return model, checkpoint.origin


def compile_model(model: Model, target: Target) -> Compiled:
    """Lower, stripe, order, plan, check, place, predict; whether it fits is `check_fit`'s question.

    Raises UserError for an operator that is not supported.
    """
    from codegen.emit.wired import wire_all
    from codegen.lower import variants
    from codegen.memory.arrange import arrange
    from codegen.memory.liveness import graph_peak_bytes
    from codegen.memory.stripe import smallest
    from codegen.memory.validate import validate, validate_order
    from codegen.memory.validate_stripes import validate_values

    if model.package is not None:
        target = target.with_speech()
    lowered = [tuple(variants(graph, target)) for graph in model.graphs]
    if model.package is not None and model.package.wired:
        lowered = wire_all(model.package, transcriber.front_end(model.package), lowered)
    pairs = list(map(smallest, lowered))
    validate_values(*zip(*pairs, strict=True))
    programs = tuple(striped for _, striped in pairs)
    if model.package is not None and not model.package.wired:
        buffers = programs[0].buffers + front_end(model.package).buffers()
        programs = (replace(programs[0], buffers=buffers), *programs[1:])
    peak = max(graph_peak_bytes(graph) for graph in model.graphs)
    given = programs
    programs, memory = arrange(given, unmodified_peak_bytes=peak)
    validate_order(given, programs)
    validate(programs, memory)
    unsettled = _unsettled(model, programs, memory)
    found = unsettled.on(target)
    return Compiled(model, target, found.programs, found.plan, found.footprint, unsettled)


def emit_inputs(compiled: Compiled, name: str | None = None, weights: str = "auto") -> EmitInputs:
    """What emit is given; raises UserError where the model does not fit the target."""
    inputs = _emit_inputs(compiled, name, weights)
    compiled.check_fit(_placed(compiled.footprint, inputs))
    return inputs


def predicted_footprint(compiled: Compiled, weights: str) -> Footprint:
    """The footprint with the weights where `emit` puts them."""
    return _placed(compiled.footprint, _emit_inputs(compiled, None, weights))


def _placed(footprint: Footprint, inputs: EmitInputs) -> Footprint:
    from codegen.emit.context import bound_bytes
    from codegen.footprint.predict import with_weights_file

    file_bytes = bound_bytes(inputs)
    return with_weights_file(footprint, inputs.target, file_bytes) if file_bytes else footprint


def _emit_inputs(compiled: Compiled, name: str | None, weights: str) -> EmitInputs:
    from codegen.emit.inputs import EmitInputs

    model = compiled.model
    return EmitInputs(
        name or model.name,
        compiled.target,
        compiled.programs,
        compiled.plan,
        model.sha256,
        model.source_name,
        None if model.package is None else _speech_inputs(model.package, model.graphs),
        weights,
    )


def _unsettled(model: Model, programs: tuple[Program, ...], plan: MemoryPlan) -> Unsettled:
    """What is still to be put into the regions of a target."""
    from codegen.regions import Unsettled, speech_rows

    if model.package is None:
        return Unsettled(programs, plan, (1,) * len(programs), lambda _: ())
    speech = _speech_inputs(model.package, model.graphs)
    again = int(model.package.decoding.get("most_tokens", 1))
    runs = tuple(again if program.repeats else 1 for program in programs)
    rows = partial(speech_rows, speech=speech, programs=programs)
    return Unsettled(programs, plan, runs, rows)


def _speech_inputs(package: SpeechPackage, graphs: Sequence[Graph]) -> SpeechInputs:
    """Front end and decoding around the graphs."""
    from codegen.emit.speech import CtcDecoder, SpeechInputs
    from codegen.emit.wired import wired_speech

    if package.wired:
        return wired_speech(package, transcriber.front_end(package), graphs)
    graph = graphs[0]
    log_mel = front_end(package)
    features, logits = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert features.quantization is not None  # as check_speech has seen
    scale, zero_point = features.quantization.scale, features.quantization.zero_point
    frames = features.elements // log_mel.bands
    return SpeechInputs(
        log_mel.runtime(frames, scale, zero_point, features.dtype),
        CtcDecoder(
            words=package.vocabulary,
            separator=str(package.decoding["separator"]),
            blank=int(package.decoding["blank"]),
            frames=logits.elements // len(package.vocabulary),
            logit_bytes=logits.size_bytes // logits.elements,
        ),
        log_mel.sample_rate_hz,
    )


def linked_footprint(
    elf: Path, compiled: Compiled, name: str | None = None, weights: str = "auto"
) -> Footprint:
    """What the linker placed where, by the target's regions as they lie on its board.

    A file of weights, which no linker sees, has its predicted rows.
    """
    from codegen.emit.context import bound_bytes
    from codegen.emit.layout import lay_out
    from codegen.footprint.elf import model_prefixes, read_elf
    from codegen.footprint.predict import WEIGHTS_FILE_SECTION

    data, target = read_bytes(elf, MAX_MODEL_BYTES), compiled.target
    inputs = _emit_inputs(compiled, name, weights)
    board, used = load_board(target.board), [use.region for use in compiled.plan.uses]
    memories = lay_out(target, board, bound_bytes(inputs), used).memories
    regions = [(m.name, m.origin, m.length) for m in memories]
    linked = read_elf(data, regions, model_prefixes(inputs.name))
    placed = _placed(compiled.footprint, inputs).rows
    file = tuple(row for row in placed if row.section == WEIGHTS_FILE_SECTION)
    return replace(linked, rows=linked.rows + file)


def find_recipe(
    mode: str | None,
    path: Path | None,
    weight_bits: int | None = None,
    block_size: int | None = None,
    methods: Sequence[str] | None = None,
    ranges: str | None = None,
) -> Recipe:
    """The recipe in a TOML, or one of the options; raises UserError where both are given.

    Each of `methods` may be several names with commas between them.
    """
    from codegen.ptq.recipe import Recipe, load_recipe

    if path is None:
        names = tuple(name.strip() for each in methods or () for name in each.split(","))
        plain = Recipe(mode or "static8", weight_bits or 8, block_size or 0, names)
        return plain if ranges is None else replace(plain, ranges=ranges)
    given = {"mode": mode, "weight-bits": weight_bits, "block-size": block_size, "ranges": ranges}
    for option, value in {**given, "method": methods or None}.items():
        if value is not None:
            raise UserError(f"{path} sets the {option} already; leave out --{option}, or --recipe")
    return load_recipe(path)


def calibration_manifest(path: Path | None, recipe: Recipe) -> Path | None:
    """The manifest that --calibration names; UserError where there is none and the recipe needs it.

    dynamic8 has no ranges to set, and its manifest is left alone unless a method looks at inputs.
    """
    if not recipe.needs_recordings:
        return None
    if path is None and recipe.observing:
        raise UserError(
            f"the method {recipe.observing[0]} looks at what recordings do to the model; give"
            ' --calibration MANIFEST, JSON lines like {"audio": "a.wav", "text": "lights on"}, or'
            " another --method"
        )
    if path is None:
        raise UserError(
            "a checkpoint is quantized on recordings; give --calibration MANIFEST, JSON lines "
            'like {"audio": "a.wav", "text": "lights on"}; '
            "`python -m examples.commands_ctc.data FOLDER` makes some for the bundled checkpoint"
        )
    return path


def find_window(text: str | None) -> int | None:
    """The samples of a window that --window gives in seconds; raises UserError for anything else.

    >>> find_window("2.5s")
    40000
    """
    from codegen.models import SAMPLE_RATE_HZ

    if text is None:
        return None
    seconds = re.fullmatch(r"([0-9]{1,4}(\.[0-9]{1,6})?) ?s", text)
    if seconds is None:
        raise UserError(f"--window is {text!r:.40}; give seconds, such as 5s or 2.5s")
    return math.ceil(Fraction(seconds[1]) * SAMPLE_RATE_HZ)
