"""Hundreds of odd and hostile inputs, made when they are tried: each is used, flagged or refused by one line.

Nothing else may come of one: no traceback, no wait, no file run. A fresh process for each would take an hour, so the
library is called here; `tests/robustness/cli` tries a sample through the command line.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.robustness.fuzz import annotations, by_hand, pictures, plans, runs, texts, weights
from tests.robustness.fuzz.trial import FLAGGED, REFUSED, USED, Trial, outcome

TRIALS = [trial for part in (texts, annotations, pictures, weights, plans, runs, by_hand) for trial in part.trials()]

# Every fifth is tried each time, the others with the slow tests.
PARAMETERS = [pytest.param(trial, marks=[pytest.mark.slow] if i % 5 else []) for i, trial in enumerate(TRIALS)]

# Ways to feel the machine: a trial that needs more than this waits for something that never comes.
LIMIT_S = 60


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "trial", PARAMETERS, ids=lambda t: f"{t.category}-{t.name}".encode("ascii", "replace").decode()
)
def test_an_input_is_used_flagged_or_refused(trial: Trial, tmp_path: Path):
    folder = tmp_path / "trial"
    folder.mkdir()
    assert outcome(trial, folder) in (USED, FLAGGED, REFUSED)
    assert weights.MARKER not in os.environ


def test_there_are_at_least_four_hundred_of_many_kinds_and_none_twice():
    counts = Counter(trial.category for trial in TRIALS)
    assert sum(counts.values()) >= 400
    assert len(counts) >= 10
    assert min(counts.values()) >= 10
    assert len({(trial.category, trial.name) for trial in TRIALS}) == len(TRIALS)


def test_trials_are_the_same_each_time():
    before = random.getstate()
    again = [trial for part in (texts, annotations) for trial in part.trials()]
    assert [t.name for t in again] == [t.name for t in TRIALS[: len(again)]]
    assert random.getstate() == before
