# SPDX-License-Identifier: Apache-2.0
"""Models over several memories of the emulated M55: LiteRT's bits, and the bytes predicted."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen import pipeline
from codegen.emit.project import emit
from codegen.errors import StapesError
from codegen.memory_plan import UNATTRIBUTED
from codegen.package import load_package
from codegen.target import Target, load_target
from codegen.tflite.write import write
from codegen.toolchain.project import build, run
from tests.e2e._models import MICRO_SPEECH, PERSON_DETECT, expected, payloads
from tests.kernels.harness import Reference, random_inputs
from tests.kernels.nets import Net
from tests.unit.test_regions import with_region

TCM = load_target("mps3-an547-tcm")


def with_rooms(**rooms: int) -> Target:
    """The target with so many bytes in some of its regions."""
    target = TCM
    for name, room in rooms.items():
        size = target.region(name).size_bytes
        target = with_region(target, name, reserve_bytes=size - room)
    return target


CASES = {
    "person_detect": (PERSON_DETECT, with_rooms(itcm=30_000, dtcm=12_000)),
    "micro_speech": (MICRO_SPEECH, with_rooms(itcm=4_000, dtcm=5_000)),
}


@pytest.mark.parametrize("weights", ["array", "incbin", "bin"])
@pytest.mark.parametrize("name", CASES)
def test_bits_and_bytes_of_several_regions(tmp_path: Path, name: str, weights: str) -> None:
    source, target = CASES[name]
    if weights != "array" and name != "person_detect":
        pytest.skip("one model is enough for other kinds of weights")
    compiled = pipeline.compile_model(pipeline.open_model(source), target)
    assert {"dtcm", "sram"} <= {region for region, _ in compiled.plan.arena_bytes}
    assert "itcm" in compiled.plan.moved(0).values()
    copies = [step.kernel for step in compiled.programs[0].steps].count("stapes_copy")
    assert copies == [b.role for b in compiled.programs[0].buffers].count("copy")
    assert copies > 5 or name != "person_detect"
    emit(pipeline.emit_inputs(compiled, None, weights), tmp_path / "c")
    firmware = build(tmp_path / "c")
    inputs = payloads(source, 3)
    answers = run(tmp_path / "c", inputs, firmware=firmware)
    assert [answer.outputs for answer in answers] == expected(source, inputs)
    predicted = pipeline.predicted_footprint(compiled, weights)
    linked = pipeline.linked_footprint(firmware, compiled, None, weights)
    for region in ("itcm", "dtcm", "sram", "ddr"):
        known = {(r.component, r.section) for r in predicted.rows if r.region == region}
        there = [r for r in linked.rows if r.region == region]
        rest = sum(
            r.size_bytes
            for r in there
            if r.kind != "code" and (r.component, r.section) not in known
        )
        same = sum(r.size_bytes for r in there if (r.component, r.section) in known)
        if weights != "bin" or region != "ddr":  # there steps' parameters are elsewhere
            assert 0 <= same - predicted.total_bytes(region) < 16, region
        assert rest < 200, region  # vectors, the board's variables, padding
    assert not [r for r in linked.rows if r.component == UNATTRIBUTED and r.size_bytes > 100]


def test_attention_over_two_regions(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1), (1, 60, 8), "int8")
    graph = net.graph(net.feed_forward(net.attention(net.input, 2)))
    source = tmp_path / "net.tflite"
    source.write_bytes(write(graph))
    target = with_rooms(itcm=100, dtcm=1_500)
    compiled = pipeline.compile_model(pipeline.open_model(source), target)
    assert {"dtcm", "sram"} <= {region for region, _ in compiled.plan.arena_bytes}
    emit(pipeline.emit_inputs(compiled), tmp_path / "c")
    inputs = list(islice(random_inputs(np.random.default_rng(3), graph), 4))
    sent = [values.tobytes() for (values,) in inputs]
    answers = run(tmp_path / "c", sent, firmware=build(tmp_path / "c"))
    reference = Reference(source.read_bytes())
    assert [each.outputs for each in answers] == [reference(each)[0].tobytes() for each in inputs]


def test_speech_over_two_regions_is_that_of_the_host(tmp_path: Path, package: Path) -> None:
    loaded = load_package(package)
    noise = np.random.default_rng(4).normal(0, 8000, (3, loaded.window_samples))
    sent = [pcm.clip(-32768, 32767).astype(np.int16).tobytes() for pcm in noise]
    heard = []
    for target in (load_target("host"), with_rooms(itcm=600, dtcm=3_000)):
        compiled = pipeline.compile_model(pipeline.packaged_model(loaded), target)
        folder = tmp_path / target.name
        emit(pipeline.emit_inputs(compiled), folder)
        answers = run(folder, sent, firmware=build(folder))
        heard.append([(answer.text, answer.outputs) for answer in answers])
    assert [region for region, _ in compiled.plan.arena_bytes] == ["dtcm", "sram"]
    assert heard[0] == heard[1]
    assert len({outputs for _, outputs in heard[0]}) == 3


def test_a_smaller_region_is_refused_by_compiler_and_linker(tmp_path: Path) -> None:
    compiled = pipeline.compile_model(pipeline.open_model(MICRO_SPEECH), CASES["micro_speech"][1])
    emit(pipeline.emit_inputs(compiled), tmp_path / "c")
    flags = "-DMICRO_SPEECH_QUANTIZED_DTCM_REGION_BYTES=400"
    with pytest.raises(StapesError, match="do not fit the memory dtcm"):
        build(tmp_path / "c", extra_cflags=flags)
    script = tmp_path / "c" / "board" / "board.ld"
    text = script.read_text()
    short = text.replace("0x30000000, LENGTH = 0x00080000", "0x30000000, LENGTH = 0x00000800")
    assert short != text
    script.write_text(short)
    with pytest.raises(StapesError, match="dtcm' overflowed"):
        build(tmp_path / "c")


def test_both_compilers_and_an_arena_of_one_region(tmp_path: Path) -> None:
    compiled = pipeline.compile_model(pipeline.open_model(MICRO_SPEECH), TCM)
    assert [region for region, _ in compiled.plan.arena_bytes] == ["dtcm"]
    emit(replace(pipeline.emit_inputs(compiled), weights="array"), tmp_path / "c")
    inputs = payloads(MICRO_SPEECH, 3)
    firmware = build(tmp_path / "c", tmp_path / "zig", toolchain="zig")
    answers = run(tmp_path / "c", inputs, firmware=firmware)
    assert [answer.outputs for answer in answers] == expected(MICRO_SPEECH, inputs)
