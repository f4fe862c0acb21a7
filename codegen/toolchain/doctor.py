# SPDX-License-Identifier: Apache-2.0
"""What this machine has of what stapes can use, and which command brings the rest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

_TOOL_SECONDS = 20


@dataclass(frozen=True)
class Finding:
    """One thing looked for: `found` is its version or place, None when missing."""

    name: str
    purpose: str
    found: str | None
    remedy: str
    required: bool = True


def _run(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else None


def _first_line(text: str | None) -> str | None:
    return text.splitlines()[0] if text else None


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _present(command: str) -> str | None:
    return "present" if shutil.which(command) else None


def _newlib() -> str | None:
    library = _run("arm-none-eabi-gcc", "-print-file-name=libc.a")
    # gcc prints the bare name when it has no such file
    return library if library and library != "libc.a" else None


def _python() -> str | None:
    text = ".".join(map(str, sys.version_info[:3]))
    return text if sys.version_info >= (3, 11) else None


def examine() -> tuple[Finding, ...]:
    """Look for every tool and package, in the order in which a build needs them."""

    def apt(package: str) -> str:
        return f"apt-get install {package}"

    quantize = "pip install torch==2.13.0, then pip install 'stapes[torch]'"
    qemu = _run("qemu-system-arm", "-machine", "help")
    return (
        Finding("Python 3.11 or newer", "everything", _python(), apt("python3")),
        Finding(
            "ai-edge-litert",
            "host interpreter: quantize, wer",
            _package("ai-edge-litert"),
            "pip install stapes",
        ),
        Finding("torch", "quantize a checkpoint", _package("torch"), quantize, required=False),
        Finding("litert-torch", "quantize a checkpoint", _package("litert-torch"), quantize, False),
        Finding(
            "ai-edge-quantizer",
            "quantize a checkpoint",
            _package("ai-edge-quantizer"),
            quantize,
            False,
        ),
        Finding(
            "gcc or cc",
            "run on the host, wer --engine native",
            _first_line(_run("gcc", "--version") or _run("cc", "--version")),
            apt("gcc libc6-dev"),
        ),
        Finding(
            "arm-none-eabi-gcc",
            "compile for Cortex-M",
            _first_line(_run("arm-none-eabi-gcc", "--version")),
            apt("gcc-arm-none-eabi"),
        ),
        Finding(
            "newlib for arm-none-eabi",
            "compile for Cortex-M",
            _newlib(),
            apt("libnewlib-arm-none-eabi"),
        ),
        Finding(
            "qemu-system-arm",
            "run on an emulated Cortex-M",
            _first_line(_run("qemu-system-arm", "--version")),
            apt("qemu-system-arm"),
        ),
        Finding(
            "QEMU machine mps3-an547",
            "run on an emulated Cortex-M55",
            "present" if qemu and "mps3-an547" in qemu else None,
            "install qemu-system-arm 6.2 or newer",
        ),
        Finding(
            "ziglang",
            "a second compiler for the tests",
            _package("ziglang"),
            "pip install ziglang",
            False,
        ),
        Finding(
            "flite",
            "voices of examples/commands_ctc",
            _present("flite"),
            apt("flite"),
            False,
        ),
        Finding(
            "espeak-ng",
            "voices of examples/commands_ctc",
            _first_line(_run("espeak-ng", "--version")),
            apt("espeak-ng"),
            False,
        ),
    )
