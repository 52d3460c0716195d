"""An audit reads ahead: the same rows in the same order, and errors with the case that they belong to."""

import threading
import time

import pandas as pd
import pytest

import robustness as rb
from robustness.runners.audit.reader import AuditStoppedError, Prefetch
from robustness.runners.data.dataset import Dataset
from tests.synthetic import reads_side, write_dataset


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "set", images=7)


def audit(data, out, *, predict=reads_side, strict=False, **engine):
    return rb.audit(
        rb.segmenter(predict, name="reader"),
        rb.load_dataset(data, split="test", prompt="p5"),
        perturbations=["drop", "horizontal_flip"],
        out=out,
        engine={"images_per_part": 2, **engine},
        report=False,
        statistics={"resamples": 99},
        strict=strict,
    )


def break_image(data, number):
    images = sorted((data / "images").iterdir())
    images[number].write_bytes(images[number].read_bytes()[:40])
    return images[number].stem


@pytest.mark.slow
def test_rows_and_their_order_do_not_depend_on_what_was_read_ahead(data, tmp_path):
    broken = break_image(data, 3)
    tables = [audit(data, tmp_path / str(n), prefetch=n).results() for n in (0, 1, 3, 64)]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    failed = tables[0][tables[0]["error"] != ""]
    assert len(failed)
    assert failed["error"].str.contains(broken).all()


def test_a_strict_audit_stops_at_the_broken_case_with_the_parts_before_it(data, tmp_path):
    break_image(data, 5)
    with pytest.raises(AuditStoppedError, match="stopped: strict"):
        audit(data, tmp_path / "run", strict=True, prefetch=8)
    assert len(list((tmp_path / "run" / "results").glob("part-*.parquet"))) == 2


@pytest.mark.slow
def test_images_are_read_in_another_thread_while_the_model_runs(data, tmp_path, monkeypatch):
    readers, during = set(), []
    working = threading.Event()
    original = Dataset.decode

    def decode(self, index):
        readers.add(threading.current_thread().name.split("_")[0])
        for _ in range(20):
            time.sleep(0.002)
            during.append(working.is_set())
        return original(self, index)

    def predict(images, prompts):
        working.set()
        time.sleep(0.02)
        found = reads_side(images, prompts)
        working.clear()
        return found

    monkeypatch.setattr(Dataset, "decode", decode)
    audit(data, tmp_path / "run", predict=predict, prefetch=4)
    assert readers == {"prefetch"}
    assert any(during)


@pytest.mark.slow
def test_a_run_that_was_begun_without_reading_ahead_goes_on_with_it(data, tmp_path):
    out = tmp_path / "run"
    whole = audit(data, out, prefetch=0).results()
    (out / "results" / "part-00002.parquet").unlink()
    pd.testing.assert_frame_equal(audit(data, out, prefetch=8).results(), whole)


def test_each_file_is_hashed_once_per_audit(data, tmp_path, monkeypatch):
    from robustness.runners.data import dataset

    hashed = []
    original = dataset.sha256_or_missing
    monkeypatch.setattr(dataset, "sha256_or_missing", lambda path: hashed.append(path) or original(path))
    run = audit(data, tmp_path / "run")
    # The check before the audit compares the lists of all splits for itself.
    pixels = [path for path in hashed if path.suffix != ".json"]
    assert len(pixels) == len(set(pixels))
    assert len(pixels) == sum(not name.endswith(".json") for name in run.manifest["dataset"]["files"])


def test_a_file_that_changed_is_hashed_again(data):
    loaded = rb.load_dataset(data, split="test", prompt="p5")
    before = loaded.fingerprint()
    changed = next(name for name in before if name.startswith("images/"))
    (data / changed).write_bytes(b"another image")
    after = loaded.fingerprint()
    assert {name for name in before if before[name] != after[name]} == {changed}


class Maker:
    """Counts what it made; number 2 fails."""

    def __init__(self):
        self.made, self.threads = [], set()

    def __call__(self, number):
        self.made.append(number)
        self.threads.add(threading.get_ident())
        if number == 2:
            raise ValueError("number 2 is broken")
        return number * 10


def settled(maker, count):
    """Wait until so many things were made, and a little longer for one too many."""
    deadline = time.monotonic() + 10
    while len(maker.made) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    return maker.made


@pytest.mark.parametrize("depth", [0, 1, 3, 8])
def test_values_order_and_errors_are_those_of_asking_one_by_one(depth):
    maker = Maker()
    prefetch = Prefetch(maker, depth=depth)
    found = []
    for number in range(6):
        prefetch.expect(range(number, 6))
        try:
            found.append(prefetch.take(number))
        except ValueError as error:
            found.append(str(error))
    prefetch.close()
    assert found == [0, 10, "number 2 is broken", 30, 40, 50]
    assert maker.made == list(range(6))


def test_no_more_wait_than_there_is_room_for():
    maker = Maker()
    prefetch = Prefetch(maker, depth=2)
    prefetch.expect(range(10))
    assert settled(maker, 2) == [0, 1]
    assert prefetch.take(0) == 0
    prefetch.expect(range(1, 10))
    assert settled(maker, 3) == [0, 1, 2]
    prefetch.close()


def test_the_work_is_done_in_one_other_thread():
    maker = Maker()
    prefetch = Prefetch(maker, depth=4)
    prefetch.expect([0, 1])
    assert [prefetch.take(n) for n in (0, 1, 5)] == [0, 10, 50]
    assert len(maker.threads) == 1
    assert threading.get_ident() not in maker.threads
    prefetch.close()
    assert not any(t.name.startswith("prefetch") for t in threading.enumerate())


def test_without_room_nothing_is_done_ahead_and_no_thread_is_made():
    maker = Maker()
    prefetch = Prefetch(maker, depth=0)
    prefetch.expect(range(5))
    assert maker.made == []
    assert prefetch.take(3) == 30
    assert maker.threads == {threading.get_ident()}
    prefetch.close()


def test_reading_goes_on_while_the_consumer_works():
    gate = threading.Event()
    prefetch = Prefetch(lambda number: gate.set() or number if number else number, depth=2)
    prefetch.expect([0, 1])
    assert prefetch.take(0) == 0
    assert gate.wait(10), "the second thing was not begun while the first one was being used"
    prefetch.close()
