# SPDX-License-Identifier: Apache-2.0
"""An encoder-decoder's float graphs transcribe recordings, and methods look at what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codegen.errors import UserError
from codegen.registry import plugins

if TYPE_CHECKING:
    from codegen.evaluate.corpus import Clip
    from codegen.evaluate.loop import Run
    from codegen.graph import Graph, Operator
    from codegen.models import SpeechModel
    from codegen.ptq.calibrate import Chosen, Moments, Watched
    from codegen.ptq.observe import Observations
    from codegen.ptq.recipe import Recipe, Rule

#: The rows of every other table are looked up by the number of the step.
BY_TOKEN = "embedding"

#: Less sound than this sets no ranges worth having.
LEAST_S = 1.0

#: Told what is about to be done.
Notify = Callable[[str], None]


def table_by(name: str) -> str:
    """What the rows of a model's table are looked up by."""
    return "token" if name == BY_TOKEN else "position"


def check_audible(recordings: Sequence[np.ndarray], silence: int) -> None:
    """Raise UserError for a recording whose text would be empty without any graph run."""
    from codegen.evaluate.greedy import is_silent

    for number, pcm in enumerate(recordings):
        if is_silent(pcm, silence):
            raise UserError(
                f"recording {number} of the calibration manifest is silent (mean square below"
                f" {silence}); leave it out, or make it louder"
            )


def check_heard(recordings: Sequence[np.ndarray], silence: int, rate_hz: int) -> None:
    """Raise UserError for a silent recording, or where all of them are shorter than LEAST_S."""
    check_audible(recordings, silence)
    seconds = sum(map(len, recordings)) / rate_hz
    if recordings and seconds < LEAST_S:
        raise UserError(
            f"the calibration manifest has {len(recordings)} recordings of {seconds:.3f} s in all;"
            f" at least {LEAST_S:g} s are needed, and 200 recordings are advised: add some"
        )


def provenance(manifest: Path | None, clips: Sequence[Clip]) -> dict[str, str | int]:
    """What package.json says of the recordings that were looked at; nothing where none were."""
    from codegen.evaluate.corpus import digest

    if manifest is None:
        return {}
    source = manifest.parent.name or manifest.name
    return {"utterances": len(clips), "source": source, "sha256": digest(tuple(clips))}


def rounded_plainly(
    graph: Graph, names: Sequence[str], moments: Moments, recipe: Recipe
) -> Iterator[str]:
    """A line for each operator whose weights are rounded to the nearest for want of moments."""
    from codegen.tflite.weights import float_weights

    if not recipe.needs_moments:
        return
    for operator, name in zip(graph.operators, names, strict=True):
        if float_weights(graph, operator) is None:
            continue
        seen = moments.get(operator.inputs[1])
        if seen is None or not seen.any():
            why = "no matrix" if seen is None else "fed nothing but zeros"
            yield f"{operator.kind} '{name}' is {why}: rounded to the nearest, not {recipe.method}"


def transformed(
    model: SpeechModel, recordings: Sequence[np.ndarray], recipe: Recipe, notify: Notify
) -> SpeechModel:
    """The model behind the recipe's transforms, each of which sees what those before it made.

    Raises UserError where one looks at recordings and there are none, or none that are finite.
    """
    from codegen.ptq.observe import NO_OBSERVATIONS
    from codegen.ptq.recipe import METHODS

    for name in recipe.transforms:
        observed = NO_OBSERVATIONS
        if name in recipe.observing:
            notify(f"looking at the inputs of linear layers over {len(recordings)} recordings")
            observed = observe(model, recordings)
        notify(f"transforming the model by {name}")
        kept = recipe.keeping(model.int8_scopes)
        before, model = model, plugins(METHODS)[name].transform(model, observed, kept)
        if left := _unchanged(before, model):
            notify(f"{name} does not apply to, or does not pay for, {', '.join(left)}")
    return model


def _unchanged(before: SpeechModel, after: SpeechModel) -> list[str]:
    """The linear layers whose weights and bias are what they were."""
    from codegen.ptq.observe import linear_layers

    found = []
    for old, new in zip(before.graphs, after.graphs, strict=True):
        layers = linear_layers(old)
        for path, layer in linear_layers(new).items():
            was = layers[path].state_dict() if path in layers else {}
            now = layer.state_dict()
            if was.keys() == now.keys() and all(was[k].equal(now[k]) for k in now):
                found.append(path)
    return found


def observe(model: SpeechModel, recordings: Sequence[np.ndarray]) -> Observations:
    """What the linear layers are fed while the torch modules transcribe the recordings.

    Raises UserError where nothing ran, or for values that are not finite.
    """
    from codegen.ptq.observe import Observer

    with Observer(model) as observer:
        transcribe(model, observer.runs, recordings)
    return observer.observations()


def watch(
    model: SpeechModel,
    exported: Sequence[bytes],
    graphs: Sequence[Graph],
    recordings: Sequence[np.ndarray],
    recipe: Recipe,
) -> list[Watched]:
    """The exported float graphs, having transcribed the recordings, with what the recipe needs.

    Ranges are those of the reference kernels; moments alone, those of the optimised ones.
    """
    from codegen.ptq.calibrate import Watched
    from codegen.ptq.importance import Importance
    from codegen.ptq.moments import WatchedMoments
    from codegen.ptq.recipe import DYNAMIC
    from codegen.quiet import quiet

    fast = recipe.mode == DYNAMIC
    kind = WatchedMoments if recipe.needs_moments else Watched
    look: Callable[[bytes, Graph, str], Watched] = partial(kind, fast=fast)
    ended = None
    if recipe.least_weight is not None:
        importance = Importance(recipe.least_weight, fast=fast)
        look, ended = importance.watch, importance.ended
    with quiet():  # the optimised kernels say that they are there
        watched = [look(*part, recipe.ranges) for part in zip(exported, graphs, strict=True)]
    transcribe(model, [part.run for part in watched], recordings, ended)
    return watched


def transcribe(
    model: SpeechModel,
    runs: Sequence[Run],
    recordings: Sequence[np.ndarray],
    ended: Callable[[], None] | None = None,
) -> None:
    """Run the float graphs, each by one of `runs`, over all recordings in the decoding loop.

    `ended` is called after each piece that a recording is cut into.
    """
    from codegen.evaluate.greedy import most_steps
    from codegen.evaluate.loop import Loop, Network

    rule, spec = model.decoding, model.front_end
    loop = Loop(
        tuple(
            Network(part.inputs, part.outputs, run)
            for part, run in zip(model.graphs, runs, strict=True)
        ),
        model.state,
        {name: np.asarray(table, np.float32) for name, table in model.tables.items()},
        {name: table_by(name) for name in model.tables},
        {buffer.name: np.float32(0) for buffer in model.state},
        (np.float32(rule["float_masked"]), np.float32(0)),
        rule,
    )
    rate = spec.sample_rate_hz
    for pcm in audible(model, recordings):
        loop.tokens(heard(model, pcm), most_steps(rule, len(pcm), rate))
        if ended is not None:
            ended()


def audible(model: SpeechModel, recordings: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The pieces that recordings are cut into, but for silent ones."""
    from codegen.evaluate.greedy import is_silent
    from codegen.evaluate.split import cut

    for whole in recordings:
        for pcm in cut(whole, model.window_samples, model.front_end.sample_rate_hz):
            if not is_silent(pcm, model.decoding["silence"]):
                yield pcm


def heard(model: SpeechModel, pcm: np.ndarray) -> np.ndarray:
    """What the first graph is fed of a piece of a recording."""
    spec = model.front_end
    rows: np.ndarray = spec.normalized(spec.rows(pcm, model.window_samples))
    return rows


def chosen_in_sequence(
    model: SpeechModel,
    graphs: Sequence[Graph],
    rules: Sequence[Sequence[Rule]],
    recordings: Sequence[np.ndarray],
    recipe: Recipe,
    notify: Notify,
) -> list[Chosen]:
    """Of each exported graph, the integers that a method chooses layer after layer; none of most.

    `rules` are those of the graphs' operators. Raises UserError where nothing is heard, or for
    values that are not finite.
    """
    from codegen.ptq.recipe import METHODS

    method = plugins(METHODS)[recipe.method]
    found: list[dict[int, tuple[np.ndarray, np.ndarray]]] = [{} for _ in graphs]
    if not hasattr(method, "sequence"):
        return list(found)
    layers = [path for stage in model.stages for group in stage.layers for path in group]
    places = {path: at for path in layers if (at := _place(model, graphs, path)) is not None}
    asked = {path: rules[number][operator.index] for path, (number, operator) in places.items()}
    pieces = list(audible(model, recordings))
    spread = pieces[:: -(-len(pieces) // method.MOST_WINDOWS) or 1]
    notify(f"choosing integers of {len(asked)} layers one after another on {len(spread)} windows")
    made = method.sequence(model, (heard(model, pcm) for pcm in spread), asked)
    for path, (number, operator) in places.items():
        found[number][operator.inputs[1]] = made[path]
    return list(found)


def _place(model: SpeechModel, graphs: Sequence[Graph], path: str) -> tuple[int, Operator] | None:
    """The number of the graph that a linear layer became part of, and its operator there.

    The converter's names are not always the modules', so weights tell; None where several operators
    have these.
    """
    from codegen.tflite.weights import float_weights

    number = [part.name for part in model.graphs].index(path.partition("/")[0])
    weight, graph = model.module(path).weight.numpy(), graphs[number]
    same = [
        operator
        for operator in graph.operators
        if (tensor := float_weights(graph, operator)) is not None
        and tensor.data is not None
        and np.array_equal(tensor.data, weight)
    ]
    return (number, same[0]) if len(same) == 1 else None
