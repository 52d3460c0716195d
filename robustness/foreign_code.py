"""Code of others that is called in this process: what it raises is its error, and never the end of this program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class ExitedError(RuntimeError):
    """Code of others called `sys.exit`."""


@contextlib.contextmanager
def foreign_code() -> Iterator[None]:
    """Turn a call of `sys.exit` in a block into an error that the caller handles as any other.

    A signal that ends the program is raised as a kind of `SystemExit` too and passes.

    Raises:
        ExitedError: the block called `sys.exit`.
    """
    try:
        yield
    except SystemExit as error:
        if type(error) is not SystemExit:
            raise
        raise ExitedError(f"it called sys.exit({'' if error.code is None else repr(error.code)})") from error
