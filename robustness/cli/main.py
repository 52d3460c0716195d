"""The command line. Exit codes: 0 held, 1 a gate or check failed, 2 bad usage or input (one line on stderr)."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from robustness import __version__
from robustness.cli import (
    audit,
    calibrate,
    check,
    demo,
    doctor,
    evidence,
    exchange,
    finetune,
    gate,
    init,
    list_,
    model,
    plan,
    prepare,
    prompts,
    replay,
    report,
    split,
    study,
)
from robustness.cli.echo import with_verbosity
from robustness.disk_errors import disk_reason, message
from robustness.errors import CaseError, DoubtWarning, InputError, escaped
from robustness.lazy import be_command, collect_rarely

# In the order in which the help lists them.
COMMANDS = (
    demo,
    doctor,
    init,
    plan,
    audit,
    finetune,
    study,
    report,
    gate,
    evidence,
    replay,
    exchange,
    prepare,
    check,
    split,
    calibrate,
    prompts,
    model,
    list_,
)

app = typer.Typer(
    name="robustness",
    help="Audit vision-language segmentation models: which words they use, and which image shifts they are robust to.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    command.add_to(app)
for registered in app.registered_commands:
    if registered.callback is not None:
        registered.callback = with_verbosity(registered.callback)


def _say_version(shown: bool) -> None:
    if shown:
        typer.echo(f"robustness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Audit vision-language segmentation models: which words they use, and which image shifts they are robust to."""


_KEPT = "what was done is kept, the same command goes on from there"


class TerminatedError(SystemExit):
    """SIGTERM came; the code is the one that a shell gives."""


# What a signal raises here, and how long after it was ignored it comes again.
_SIGNALS = {KeyboardInterrupt: signal.SIGINT, TerminatedError: signal.SIGTERM}
_SHORTLY_S = 0.02


def run_command() -> NoReturn:
    """Be the process of a command: `main`, but what it imported is not unloaded at its end, which takes 0.2 seconds."""
    be_command()
    codes: list[int] = []
    # What is registered first is called last, when threads are joined and all else is put away.
    atexit.register(_leave, codes)
    try:
        main()
    except SystemExit as error:
        if isinstance(error.code, int):
            codes.append(error.code)
        raise


def _leave(codes: list[int]) -> None:
    """End this process with the code of its command; one that ends otherwise, or cannot be heard, ends as any other."""
    with contextlib.suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if codes:
            os._exit(codes[0])


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line on stderr and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    atexit.register(_ignore_signals)
    sys.unraisablehook = partial(signal_again, sys.unraisablehook)
    warnings.showwarning = partial(_show_warning, warnings.showwarning, set())
    collect_rarely()
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except CaseError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail(f"interrupted; {_KEPT}", 130)
    except TerminatedError:
        _fail(f"ended by SIGTERM; {_KEPT}", 143)
    except SystemExit as error:
        # Typer answers a KeyboardInterrupt with this code and without a word.
        if error.code != 130:
            raise
        _fail(f"interrupted; {_KEPT}", 130)
    except OSError as error:
        reason = disk_reason(error)
        if reason is None:
            raise
        _fail(message(None if error.filename is None else Path(str(error.filename)), reason), 2)
    finally:
        # The interpreter searches all objects several times while it ends: half a second where torch was imported.
        gc.freeze()
    sys.exit(0)


def _show_warning(
    otherwise: Callable[..., None],
    said: set[str],
    message: Warning | str,
    category: type[Warning],
    *where: Any,
    **more: Any,
) -> None:
    """Print a warning of this package on one line, once wherever it comes from, others as Python does."""
    if not issubclass(category, DoubtWarning):
        otherwise(message, category, *where, **more)
    elif str(message) not in said:
        said.add(str(message))
        print(f"warning: {escaped(str(message))}", file=sys.stderr)


def signal_again(otherwise: Callable[[Any], None], ignored: Any) -> None:
    """Send the signal again whose exception Python ignored, since it met code whose errors go nowhere.

    So it is in callbacks of weak references, which the import of a module calls: the command would go on as if nobody
    had stopped it. It comes when this hook, whose errors are ignored as well, has returned.
    """
    number = next((n for raised, n in _SIGNALS.items() if issubclass(ignored.exc_type, raised)), None)
    if number is None:
        otherwise(ignored)
        return
    again = threading.Timer(_SHORTLY_S, _send_to_main_thread, [number])
    again.daemon = True
    again.start()


def _send_to_main_thread(number: int) -> None:
    if sys.platform == "win32":  # pragma: no cover - Windows
        import _thread

        _thread.interrupt_main(number)
    else:
        # Sent to the thread that handles it, it ends what that thread waits for.
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    # An exception and not the default: temporary files are removed and child processes ended on the way out.
    raise TerminatedError(143)


def _ignore_signals() -> None:
    """Ignore signals once nothing is left to be done.

    What is registered first is called last, when all threads are joined. Python then takes its own handlers away, and
    a signal in the half second that libraries take to unload would end a command that is done without a word.
    """
    for number in _SIGNALS.values():
        signal.signal(number, signal.SIG_IGN)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    run_command()
