"""The suite's own files: whatever happened to one, the message names it and says how to go on."""

from __future__ import annotations

import json
import logging
import os

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.own_files import parse_json, read_json, read_parquet
from robustness.run_log import LOG, RunLog, listen
from tests.synthetic import bright, write_dataset

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


def lines(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def audit(tmp_path, **options):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=2))
    model = rb.segmenter(lambda images, prompts: [bright(i).astype(np.float32) for i in images], name="m")
    settings = {"engine": {"images_per_part": 1}, "statistics": {"resamples": 99}, "report": False, **options}
    return rb.audit(model, data, perturbations=["empty"], out=tmp_path / "run", **settings)


def test_an_audit_tells_its_stages_parts_warnings_times_and_memory(tmp_path):
    run = audit(tmp_path)
    events = lines(run.path)
    assert [e["event"] for e in events if e["event"] != "warning"] == [
        "start",
        "part",
        "part",
        "predict",
        "conclude",
        "end",
    ]
    assert {e["pid"] for e in events} == {os.getpid()}
    assert all(e["peak_mib"] > 0 for e in events)
    parts = [e for e in events if e["event"] == "part"]
    assert sum(part["rows"] for part in parts) == len(run.results())
    assert all(part["seconds"] >= 0 and part["failed"] == 0 for part in parts)
    assert [e["message"] for e in events if e["event"] == "warning"] == run.manifest["warnings"]
    assert events[-1]["outcome"] == "finished"
    assert run.verify()["ok"].all()


def test_a_second_session_is_appended_and_a_failed_one_says_why(tmp_path):
    audit(tmp_path)
    before = len(lines(tmp_path / "run"))
    with pytest.raises(rb.InputError):
        audit(tmp_path, seed=1)
    events = lines(tmp_path / "run")[before:]
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "end"
    assert events[-1]["outcome"] == "failed"
    assert "another plan" in events[-1]["error"]


@pytest.mark.parametrize("obstacle", ["folder", "pipe", "device", "link"])
def test_a_log_that_cannot_be_written_ends_nothing(obstacle, tmp_path):
    path = tmp_path / LOG
    {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/full"),
        "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
    }[obstacle]()
    RunLog(tmp_path).event("something")
    assert not (tmp_path / "elsewhere").exists()


def test_warnings_that_are_logged_in_a_session_stand_in_it(tmp_path, caplog):
    with RunLog(tmp_path).session():
        logging.getLogger("robustness.somewhere").warning("%d texts are cut", 3)
    logging.getLogger("robustness.somewhere").warning("later")
    warnings = [e for e in lines(tmp_path) if e["event"] == "warning"]
    assert [(e["message"], e["module"]) for e in warnings] == [("3 texts are cut", "robustness.somewhere")]
    assert "3 texts are cut" in caplog.text


def test_a_line_break_in_a_name_begins_no_line(tmp_path):
    RunLog(tmp_path).event("part", name="a\n{}\u2028b\ud800")
    assert lines(tmp_path)[0]["name"] == "a\n{}\u2028b\ud800"


def test_a_listener_hears_each_event_in_one_line(tmp_path):
    heard = []
    listen(heard.append)
    try:
        RunLog(tmp_path).event("part", index=3)
    finally:
        listen(None)
    assert len(heard) == 1
    assert "part: index 3 [" in heard[0]
