# SPDX-License-Identifier: Apache-2.0
"""The kernels as source text: names, params structs, and three compilers' warnings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen.data import data_folder
from codegen.lower import lower
from codegen.program import Constant, Params
from codegen.program import c_type as type_in_c
from codegen.registry import plugins
from tests.kernels.harness import WARNINGS, kernel_sources

INCLUDE = data_folder("firmware") / "include"
COMPILERS = {
    "gcc": "gcc -O2",
    "m4": "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os",
    "m55": "arm-none-eabi-gcc -mcpu=cortex-m55 -mthumb -mfloat-abi=hard -O2",
    "zig": f"{sys.executable} -m ziglang cc -target thumb-freestanding-eabihf -mcpu=cortex_m55 -Os",
}


def structs(header: str) -> dict[str, list[tuple[str, str]]]:
    """The (type, name) fields of each params struct in a header."""
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.DOTALL)
    found = {}
    for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text, re.DOTALL):
        fields = [line.strip() for line in body.split(";") if line.strip()]
        found[name] = [(f.rsplit(maxsplit=1)[0], f.rsplit(maxsplit=1)[1]) for f in fields]
    return found


@pytest.mark.parametrize("name", sorted(plugins("codegen.ops")))
def test_params_are_the_headers_fields_in_order(name: str) -> None:
    rng = np.random.default_rng(5)
    for graph in islice(plugins("codegen.ops")[name].cases(rng), 40):
        for step in lower(graph, None).steps:
            for params in (o for o in step.operands if isinstance(o, Params)):
                declared = structs(step.header)[params.struct]
                assert [f.lstrip("*") for _, f in declared] == [f for f, _ in params.fields]
                for (c_type, field), (_, value) in zip(declared, params.fields, strict=True):
                    if field.startswith("*"):
                        assert isinstance(value, Constant)
                        assert c_type == f"const {type_in_c(value.values.dtype.name)}"
                    elif isinstance(value, float):
                        assert c_type == "float"
                        assert np.isfinite(np.float32(value))
                    else:
                        assert c_type == "int32_t"
                        assert isinstance(value, int)
                        assert -(2**31) <= value < 2**31


def test_each_file_defines_the_kernel_it_is_named_after() -> None:
    for source in kernel_sources():
        defined = re.findall(r"^void (\w+)\(", source.read_text(), re.MULTILINE)
        assert defined == [source.stem]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    command = COMPILERS[compiler].split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    together = tmp_path / "all.c"
    includes = [f'#include "{path}"\n' for path in kernel_sources()]
    # The files' static helpers have different names, so that they compile as one.
    together.write_text("".join(includes))
    options = [*WARNINGS, f"-I{INCLUDE}", "-c", "-o", str(tmp_path / "all.o"), str(together)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_headers_of_the_compiler() -> None:
    allowed = {"<stdint.h>", "<stddef.h>", "<limits.h>"}
    for path in [*kernel_sources(), *(INCLUDE / "stapes").glob("*.h")]:
        for header in re.findall(r"#include (\S+)", path.read_text()):
            assert header in allowed or header.startswith('"stapes/'), path.name


def test_no_function_is_defined_twice() -> None:
    names = []
    for folder in ("kernels/portable", "runtime", "speech"):
        for path in sorted((data_folder("firmware") / folder).glob("*.c")):
            names += re.findall(r"^\w[\w ]*[ *](stapes_\w+)\([^;{]*\)\s*\{", path.read_text(), re.M)
    assert len(set(names)) > 20
    again = sorted(name for name in set(names) if names.count(name) > 1)
    assert len(set(names)) == len(names), again
