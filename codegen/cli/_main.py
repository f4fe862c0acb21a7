# SPDX-License-Identifier: Apache-2.0
"""Gathers the commands of this folder and turns every failure into one sentence."""

from __future__ import annotations

import os
import sys

import typer

import codegen
from codegen.errors import StapesError, UserError
from codegen.registry import plugins

_INTERRUPTED = 130


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stapes {codegen.__version__}")
        raise typer.Exit


def _root(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """From a small speech recogniser to C on a Cortex-M: quantize, measure, generate, run."""


def application() -> typer.Typer:
    """The command line, with one subcommand for each file of this folder."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
    app.callback()(_root)
    for name, module in plugins("codegen.cli").items():
        app.command(name.replace("_", "-"))(module.command)
    return app


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (failure) or 2 (the caller's mistake)."""
    app = application()
    try:
        status = app(arguments, standalone_mode=False, prog_name="stapes")
        sys.stdout.flush()
    except StapesError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(_describe(error), StapesError.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "codegen").startswith("codegen"):
            raise
        needed = f"Python's package '{error.name}' is not installed, and this command needs it"
        return _fail(f"{needed}; `stapes doctor` says what brings it", UserError.exit_code)
    except MemoryError:
        return _fail("out of memory", StapesError.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: a wrong option or argument
            hint = "run stapes --help"
            context = getattr(error, "ctx", None)
            if context is not None:
                hint = f"run {context.command_path} --help"
            message = str(error.format_message())
            if not message:  # no arguments at all: the help has been printed
                return 2
            return _fail(f"{message} ({hint})", 2)
        if type(error).__name__ == "Abort":
            return _fail("interrupted", _INTERRUPTED)
        if sys.flags.dev_mode:  # python -X dev -m codegen ...
            raise
        return _fail(
            f"internal error, please report it: {type(error).__name__}: {error}",
            StapesError.exit_code,
        )
    if status == _INTERRUPTED:  # typer has caught KeyboardInterrupt and says so by this
        return _fail("interrupted", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _fail(message: str, code: int) -> int:
    print(f"stapes: {_one_line(message)}", file=sys.stderr)
    return code
