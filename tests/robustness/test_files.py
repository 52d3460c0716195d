import os

import pytest

from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, sha256_file, write_atomic, write_text


def test_a_failed_write_leaves_the_old_file_and_no_leftover(tmp_path):
    path = tmp_path / "table"
    write_text(path, "old")

    def broken(temporary):
        temporary.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomic(path, broken)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".part.x1.tmp").write_text("half")
    (tmp_path / "part").write_text("whole")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["part"]


def test_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: expected a folder that can be written to"):
        make_folder(tmp_path / "file", "out")
    with pytest.raises(InputError, match="choose one"):
        make_folder(tmp_path / "file" / "below", "out")


def test_new_files_are_as_readable_as_others(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
