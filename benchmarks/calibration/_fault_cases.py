"""Single cases that misled, item by item: what a checkout says of each, in a few words."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.misleading import ABSENT, IMAGE, SWAP, condition, image_rows, prompt_rows


def one(table: pd.DataFrame, claim: str = "robustness", **options: Any) -> str:
    """Return the verdict on the first claim of a kind, with its n; else the error's name."""
    rb = importlib.import_module("robustness")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = rb.verdicts(table, resamples=199, **options)
    except Exception as error:  # what the case shows
        return f"{type(error).__name__}"
    found = found[found["claim"] == claim]
    if not len(found):
        return "no such claim"
    row = found.iloc[0]
    needed = "" if pd.isna(row["n_needed"]) else f", needs {int(row['n_needed']):,}"
    return f"{row['verdict']}, n = {row['n_subjects']}{needed}"


def sentence(table: pd.DataFrame, *, says: str) -> str:
    """Return whether the first prompt sentence contains some words."""
    rb = importlib.import_module("robustness")
    found = rb.verdicts(table, resamples=199)
    text = str(found[found["claim"] == "prompt"].iloc[0]["sentence"])
    return f'{"says" if says in text else "does not say"} "{says}"'


def two_patients() -> str:
    """Item 1: Dice .9 and .9 in both runs."""
    return one(image_rows(np.zeros(2)))


def untrained() -> str:
    """Item 2: clean Dice about .09, nothing lost."""
    return one(image_rows(np.zeros(40), np.random.default_rng(0).normal(0.09, 0.03, 40).clip(0, 1)))


def empty_references() -> str:
    """Item 2: every reference and every prediction is empty: Dice 1."""
    return one(image_rows(np.zeros(40), 1.0).assign(both_empty=True))


def half_missing() -> str:
    """Item 3: half of the perturbed rows are NaN."""
    return one(image_rows(np.where(np.arange(30) < 15, 0.0, np.nan)))


def infinite_distances() -> str:
    """Item 3: HD95 is infinite for 10 of 30 missed objects, else worse by .5."""
    moved = condition(IMAGE, 30, hd95=np.where(np.arange(30) < 10, np.inf, 3.5))
    return one(pd.concat([condition("clean", 30, hd95=3.0), moved]), margins={"hd95": 2.0})


def few_paraphrases() -> str:
    """Item 3: paraphrases of 2 of 80 patients, who hold still."""
    table = prompt_rows(np.full(80, 0.3), np.zeros(80))
    late = (table["condition"] == "paraphrase") & (table["case_id"] >= "p0002")
    return one(table[~late], "prompt")


def three_patients() -> str:
    """Item 5: three patients who lose .2 to .4."""
    return one(image_rows(np.array([0.2, 0.3, 0.4])))


def on_the_margin() -> str:
    """Item 6: mask change .3, 0, 0, 0, 0, 0 twice: mean on the margin up to rounding."""
    change = np.tile(np.r_[0.3, np.zeros(5)], 2)
    return one(pd.concat([condition("clean", 12, mask_change=0.0), condition(IMAGE, 12, mask_change=change)]))


def margin_within_noise() -> str:
    """Item 7: 30 patients whose mean lies .0005 under the margin: a number of patients?"""
    values = np.random.default_rng(0).normal(0, 0.1, 30)
    return one(image_rows(values - values.mean() + 0.0995))


def rerun_noise() -> str:
    """Item 7: two identical runs differ by more than the margin: a number of patients?"""
    rows = [condition(name, 30, mask_change=v) for name, v in (("clean", 0.0), ("rerun", 0.06), (IMAGE, 0.3))]
    return one(pd.concat(rows))


def who_moved() -> str:
    """Item 10: 4 of 200 patients react a little, the sentence of IGNORES."""
    return sentence(prompt_rows(np.r_[np.full(4, 0.06), np.zeros(196)], np.zeros(200)), says="4 of 200")


def level_of_sentence() -> str:
    """Item 10: does a sentence state the level of its interval?"""
    return sentence(prompt_rows(np.full(60, 0.9), np.zeros(60)), says="% interval")


def painted() -> str:
    """Item 12: asked for another class, 354 of 372 paint."""
    area = np.where(np.arange(372) < 354, 0.1, 0.0)
    asked = condition(ABSENT, 372, dice=0.0, mask_change=1.0, area_fraction=area, expectation="abstain")
    paraphrase = condition("paraphrase", 372, dice=0.9, mask_change=0.0, area_fraction=0.1)
    clean = condition("clean", 372, dice=0.9, mask_change=0.0, area_fraction=0.1)
    table = pd.concat([clean, paraphrase, asked])
    found = one(table, "abstention")
    return found if found != "no such claim" else one(table, "prompt")


def two_clean_rows() -> str:
    """Item 13: each case has two clean rows, Dice .8 and .4; the effect by row order."""
    rb, table = importlib.import_module("robustness"), image_rows(np.full(12, 0.1), 0.8)
    again = condition("clean", 12, dice=0.4)
    try:
        effects = [
            rb.effects(pd.concat(parts), resamples=99)["effect"].iloc[0] for parts in ([table, again], [again, table])
        ]
    except Exception as error:  # what the case shows
        return type(error).__name__
    return f"effect {effects[0]:.2f} or {effects[1]:.2f}"


def spellings() -> str:
    """Item 13: subjects written 3, 3.0 and with a trailing blank: 12 patients of 24 images."""
    rb, table = importlib.import_module("robustness"), image_rows(np.zeros(24))
    number = table["case_id"].str[1:].astype(int)
    table["subject_id"] = [f"{n // 2}.0" if n % 2 else f"{n // 2} " for n in number]
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        n = rb.effects(table, resamples=99)["n_subjects"].iloc[0]
    return f"{n} patients, {'warned' if raised else 'no warning'}"


def minimum_of_a_distance() -> str:
    """Item 14: `minimum` with `at_least = 5` on a mean HD95 of 26.8."""
    runs = importlib.import_module("tests.gate_runs")
    with tempfile.TemporaryDirectory() as folder:
        dice = np.full(40, 0.8)
        rows = runs.rows("clean", dice, 0.0, hd95=np.full(40, 26.8) + np.linspace(-1, 1, 40))
        changed = runs.rows("image:blur@3", dice, 0.1, hd95=30.0)
        run = runs.write_run(Path(folder) / "run", pd.concat([rows, changed], ignore_index=True))
        gates = Path(folder) / "gates.toml"
        gates.write_text('[[gate]]\ntest = "minimum"\nmetric = "hd95"\nat_least = 5\n')
        try:
            return str(run.gate(gates)["outcome"].iloc[0])
        except Exception as error:  # what the case shows
            return "refused: use at_most" if "at_most" in str(error) else type(error).__name__


def swapped(n: int = 30) -> str:
    """Item 10: REACTS on `antonym:size`, in percentage points?"""
    return sentence(prompt_rows(np.full(n, 0.9), np.zeros(n)), says="percentage points") if SWAP else ""
