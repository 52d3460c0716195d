"""A disk's error is one line that says how to go on; an error of another kind stays what it is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from robustness.disk_errors import DiskError, disk_errors, disk_reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EFBIG, "File too large"), "File too large"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device"),
        (RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter: File too large"), "File too large"),
    ],
)
def test_errors_of_disks_are_known_whoever_raises_them(error, reason):
    assert disk_reason(error) == reason
    with (
        pytest.raises(
            DiskError, match=rf"^disk: part.parquet could not be written \({reason}\); .* goes on from there"
        ),
        disk_errors(Path("part.parquet")),
    ):
        raise error


@pytest.mark.parametrize("error", [ValueError("No such column"), RuntimeError("size mismatch"), KeyError("a")])
def test_other_errors_pass(error):
    assert disk_reason(error) is None
    with pytest.raises(type(error)), disk_errors(Path("part.parquet")):
        raise error
