"""``python -m robustness``, and the command `robustness`."""

from __future__ import annotations

import sys
from typing import NoReturn


def run_command() -> NoReturn:
    """Be the process of a command, also while the command line is imported: Ctrl-C is one line then, too."""
    try:
        from robustness.cli.main import run_command as run
    except KeyboardInterrupt:
        print("error: interrupted before anything was begun", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    run_command()
