# SPDX-License-Identifier: Apache-2.0
"""A file whose steps are moved: fewer bytes, and LiteRT's outputs bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.tflite.write import write
from tests.e2e._stapes import stapes, succeeded

WIDE, NARROW, BRANCHES = 60, 5, 3


def _side_by_side() -> Graph:
    """x, each branch's x twice by a scale of its own, then a piece of each, then all pieces."""
    shape = (1, 16, WIDE)
    tensors = [Tensor("x", shape, "int8", Quantization((0.5,), (3,)))]
    starts = [np.array([0, 4 * i, 7 * i], np.int32) for i in range(BRANCHES)]
    sizes = np.array([1, 8, NARROW], np.int32)
    wide, narrow = [], []
    for i in range(BRANCHES):
        tensors.append(Tensor(f"w{i}", shape, "int8", Quantization((0.7 + i,), (i,))))
        wide.append(Operator(i, "ADD", (0, 0), (len(tensors) - 1,), {}))
    for i, start in enumerate(starts):
        source = wide[i].outputs[0]
        tensors.append(Tensor(f"start{i}", (3,), "int32", None, start))
        tensors.append(Tensor(f"size{i}", (3,), "int32", None, sizes))
        tensors.append(Tensor(f"n{i}", (1, 8, NARROW), "int8", tensors[source].quantization))
        last = len(tensors) - 1
        narrow.append(Operator(BRANCHES + i, "SLICE", (source, last - 2, last - 1), (last,), {}))
    operators = [*wide, *narrow]
    total = narrow[0].outputs[0]
    for each in narrow[1:]:
        tensors.append(
            Tensor(f"t{len(tensors)}", (1, 8, NARROW), "int8", Quantization((3.0,), (1,)))
        )
        inputs, outputs = (total, each.outputs[0]), (len(tensors) - 1,)
        operators.append(Operator(len(operators), "ADD", inputs, outputs, {}))
        (total,) = outputs
    return Graph("wide", tuple(tensors), tuple(operators), (0,), (total,))


def test_moved_steps_take_fewer_bytes_and_give_the_interpreters_outputs(tmp_path: Path) -> None:
    from codegen.evaluate.interpreter import Interpreter

    graph = _side_by_side()
    source, project = tmp_path / "wide.tflite", tmp_path / "project"
    source.write_bytes(write(graph))
    shown = json.loads(succeeded(stapes("plan", source, "-t", "host", "--json")))
    steps = [step["name"] for step in shown["timelines"][0]["steps"]]
    assert steps != [f"{o.kind.lower()}_{o.index}" for o in graph.operators]
    assert shown["given_order_bytes"] == (1 + BRANCHES) * 16 * WIDE  # x lives to the last of them
    assert sum(shown["arena_bytes"].values()) == shown["any_order_bytes"] < 2 * 16 * WIDE + 200
    succeeded(stapes("emit", source, "--target", "host", "-o", project))
    inputs = np.random.default_rng(5).integers(-128, 128, (3, 16 * WIDE), dtype=np.int8)
    arguments: list[str | Path] = []
    for number, values in enumerate(inputs):
        (tmp_path / f"{number}.bin").write_bytes(values.tobytes())
        arguments += ["--input", tmp_path / f"{number}.bin"]
    records = json.loads(succeeded(stapes("run", project, *arguments, "--json")))["records"]
    interpreter = Interpreter(source.read_bytes())
    expected = [interpreter.run([values])[0].tobytes().hex() for values in inputs]
    assert [record["outputs"] for record in records] == expected
    assert len(set(expected)) == 3
