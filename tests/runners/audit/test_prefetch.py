"""Work ahead of time: the same things in the same order, errors at their place, never more than there is room for."""

import threading
import time

import pytest

from robustness.runners.audit.prefetch import Prefetch


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


@pytest.mark.parametrize("ahead", [0, 1, 3, 8])
def test_values_order_and_errors_are_those_of_asking_one_by_one(ahead):
    maker = Maker()
    prefetch = Prefetch(maker, ahead=ahead)
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
    prefetch = Prefetch(maker, ahead=2)
    prefetch.expect(range(10))
    assert settled(maker, 2) == [0, 1]
    assert prefetch.take(0) == 0
    prefetch.expect(range(1, 10))
    assert settled(maker, 3) == [0, 1, 2]
    prefetch.close()


def test_the_work_is_done_in_one_other_thread():
    maker = Maker()
    prefetch = Prefetch(maker, ahead=4)
    prefetch.expect([0, 1])
    assert [prefetch.take(n) for n in (0, 1, 5)] == [0, 10, 50]
    assert len(maker.threads) == 1
    assert threading.get_ident() not in maker.threads
    prefetch.close()
    assert not any(t.name.startswith("prefetch") for t in threading.enumerate())


def test_without_room_nothing_is_done_ahead_and_no_thread_is_made():
    maker = Maker()
    prefetch = Prefetch(maker, ahead=0)
    prefetch.expect(range(5))
    assert maker.made == []
    assert prefetch.take(3) == 30
    assert maker.threads == {threading.get_ident()}
    prefetch.close()


def test_reading_goes_on_while_the_consumer_works():
    gate = threading.Event()
    prefetch = Prefetch(lambda number: gate.set() or number if number else number, ahead=2)
    prefetch.expect([0, 1])
    assert prefetch.take(0) == 0
    assert gate.wait(10), "the second thing was not begun while the first one was being used"
    prefetch.close()
