"""Progress on stderr: rate and time left, a bar in a terminal, plain lines elsewhere."""

import sys

import pytest

from robustness.progress import Lines, Pace, bar, shown


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_count_from_the_first_call() -> None:
    clock = Clock()
    pace = Pace(clock)
    # A resumed run: 5,000 rows were there before.
    assert pace.words(5000, 8000) == ""
    clock.now += 10
    assert pace.words(6000, 8000) == "100/s, 0:20 left"
    clock.now += 10
    assert pace.words(8000, 8000) == "150/s"


def test_counts_slower_than_one_a_second_say_the_seconds_of_each() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.words(0, 9)
    clock.now += 4
    assert pace.words(1, 9) == "4.0 s each, 0:32 left"
    clock.now += 120
    assert pace.words(2, 9) == "1:02 each, 7:14 left"


def lines_of(steps: list[tuple[float, int, int]]) -> list[str]:
    clock, written = Clock(), []
    lines = Lines("audit: rows", written.append, clock)
    for now, done, total in steps:
        clock.now = now
        lines.show(done, total)
    return written


def test_a_log_gets_a_line_for_each_tenth_and_the_end() -> None:
    written = lines_of([(0.01 * i, 10 * i, 10_000) for i in range(1001)])
    assert len(written) == 11
    assert written[0] == "audit: rows 0 of 10,000"
    assert written[1].startswith("audit: rows 1,000 of 10,000, 1,000/s, 0:09 left")
    assert written[-1].startswith("audit: rows 10,000 of 10,000")


def test_a_slow_audit_gets_a_line_every_half_minute() -> None:
    written = lines_of([(float(i), i, 100_000) for i in range(100)])
    assert [line.split()[2] for line in written] == ["0", "30", "60", "90"]


def test_short_counts_are_told_step_by_step() -> None:
    assert lines_of([(0, 0, 2), (1, 1, 2), (2, 2, 2)]) == [
        "audit: rows 0 of 2",
        "audit: rows 1 of 2, 1.0/s, 0:01 left",
        "audit: rows 2 of 2, 1.0/s",
    ]


def test_the_end_is_told_once() -> None:
    assert len(lines_of([(0, 100, 100), (1, 100, 100)])) == 1


def test_without_a_terminal_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("demo: audit") as show:
        show(1, 2)
    captured = capsys.readouterr()
    assert captured.err == "demo: audit 1 of 2\n"
    assert captured.out == ""


def test_in_a_terminal_a_bar_is_drawn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with bar("audit: rows") as show:
        show(10, 4000)
        show(4000, 4000)
    assert "4,000 of 4,000" in capsys.readouterr().err


def test_true_shows_and_a_function_is_handed_through() -> None:
    with shown(print) as show:
        assert show is print
    with shown(None) as show:
        assert show is None
    with shown(False) as show:
        assert show is None
    with shown(True) as show:
        assert callable(show)
