"""Code of others that is called in this process: what it raises is its error, and never the end of this program."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

# What ends a program, or the piece of work that it is in, without being an error; an interrupt is the user's.
_ENDINGS: Final = (BaseException, GeneratorExit)


class ExitedError(RuntimeError):
    """Code of others called `sys.exit`, or raised what is no error."""


@contextlib.contextmanager
def foreign_code() -> Iterator[None]:
    """Turn a call of `sys.exit` in a block, and the like, into an error that the caller handles as any other.

    A signal that ends the program is raised as a kind of `SystemExit` and passes, and so does an interrupt.

    Raises:
        ExitedError: the block called `sys.exit`, or raised `BaseException`, `GeneratorExit` or a cancellation.
    """
    try:
        yield
    except SystemExit as error:
        if type(error) is not SystemExit:
            raise
        raise ExitedError(f"it called sys.exit({'' if error.code is None else repr(error.code)})") from error
    except BaseException as error:
        # Where nothing imported asyncio, nothing can be cancelled; importing it here would slow every start.
        cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", None)
        if type(error) not in (*_ENDINGS, cancelled):
            raise
        raise ExitedError(f"it raised {type(error).__name__}: {error}") from error
