"""Lines on the terminal: one line each whatever a name holds, fewer with ``--quiet``, more with ``--verbose``."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from robustness.errors import escaped
from robustness.run_log import listen

QUIET, NORMAL, VERBOSE = range(3)
_state: Final = {"verbosity": NORMAL}


_Quiet = Annotated[bool, typer.Option("--quiet", help="Results, warnings and errors only.")]
_Verbose = Annotated[bool, typer.Option("--verbose", help="Tell each step with its time and memory.")]


def with_verbosity(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command's function with ``--quiet`` and ``--verbose`` beside its own options."""

    @functools.wraps(command)
    def run(*arguments: Any, quiet: bool, verbose: bool, **options: Any) -> Any:
        set_verbosity(QUIET if quiet else VERBOSE if verbose else NORMAL)
        return command(*arguments, **options)

    flags = {"quiet": _Quiet, "verbose": _Verbose}
    # Evaluated here: of a signature that is set by hand nobody resolves the names.
    own = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in flags.items()
    ]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, **flags}
    return run


def set_verbosity(level: int) -> None:
    """Say less or more from now on: `QUIET`, `NORMAL` or `VERBOSE`."""
    _state["verbosity"] = level
    listen((lambda line: print(escaped(line), file=sys.stderr, flush=True)) if level == VERBOSE else None)


def is_quiet() -> bool:
    """Return whether only results, warnings and errors are wanted."""
    return _state["verbosity"] == QUIET


def echo(line: str) -> None:
    """Print a result; a line break in a name cannot begin a line of its own, which CI servers would read as theirs."""
    typer.echo(escaped(line))


def warn(line: str) -> None:
    """Print a warning on stderr."""
    typer.echo(escaped(line), err=True)


def note(line: str) -> None:
    """Print on stderr what is good to know; nothing with ``--quiet``."""
    if not is_quiet():
        typer.echo(escaped(line), err=True)
