"""The suite's own files: whatever happened to one, the message names it and says how to go on."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.own_files import parse_json, read_json, read_parquet

NEEDS = {"parts": int, "names": list}


def read(path):
    return read_json(path, "run", needs=NEEDS, fix="run it again")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected a JSON object, got a list"),
        (b"null", "expected a JSON object, got nothing"),
        (b'{"parts": 1}', "it lacks 'names'"),
        (b'{"parts": "1", "names": []}', "expected a whole number under 'parts', got a text"),
        (b'{"parts": true, "names": []}', "expected a whole number under 'parts', got true or false"),
        (b'{"parts": 1, "names": []', "Expecting ',' delimiter"),
        (b"\xff\xfe", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_damaged_document_is_one_line(content, reason, tmp_path):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "state.json")
    message = str(caught.value)
    assert message.startswith("run: state.json is damaged")
    assert reason in message
    assert message.endswith("; run it again")
    assert "\n" not in message


def test_an_absent_document_and_one_of_another_kind(tmp_path):
    with pytest.raises(InputError, match=r"run: expected state.json in .*, found none; run it again"):
        read(tmp_path / "state.json")
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(InputError, match=r"run: state.json: expected a regular file, got a pipe; run it again"):
        read(tmp_path / "state.json")


def test_a_whole_document_is_returned(tmp_path):
    (tmp_path / "state.json").write_text('{"parts": 1, "names": ["a"], "more": null}')
    assert read(tmp_path / "state.json") == {"parts": 1, "names": ["a"], "more": None}


def test_json_of_any_depth_is_a_value_error_and_no_recursion_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 200_000)


def test_tables(tmp_path):
    path = tmp_path / "effects.parquet"
    with pytest.raises(InputError, match="found none; again"):
        read_parquet(path, "run", fix="again")
    path.write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match=r"effects.parquet is damaged and cannot be read; again"):
        read_parquet(path, "run", fix="again")
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="it lacks the column 'b'; again"):
        read_parquet(path, "run", columns=["a", "b"], fix="again")
    assert read_parquet(path, "run", columns=["a"], fix="again")["a"].tolist() == [1]
