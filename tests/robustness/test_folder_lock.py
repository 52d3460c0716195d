"""One writer at a time; the second is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from robustness.errors import InputError
from robustness.folder_lock import folder_lock

_HOLD = """
import sys
from pathlib import Path
from robustness.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_refused_and_the_holder_is_named(tmp_path):
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"another process \({other.pid}\) is writing"), folder_lock(tmp_path):
            pass
        other.kill()
    # The system frees the lock of a process that was killed.
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to(p.parent / "elsewhere")])
def test_a_lock_that_is_no_file_is_refused_and_nothing_is_followed(make, tmp_path):
    make(tmp_path / ".lock")
    with pytest.raises(InputError, match=r"expected a file .lock in .*; remove it"), folder_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
