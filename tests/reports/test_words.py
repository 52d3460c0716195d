"""Numbers and names as the page writes them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from robustness.reports.data.datatable import plain, shown
from robustness.reports.words import (
    VERDICTS,
    condition_words,
    count,
    friendly,
    interval,
    levels,
    listing,
    number,
    p_value,
    short_words,
)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.500"),
        (-0.0001, "0.000"),
        (12, "12"),
        (12345, "12,345"),
        (math.nan, "–"),
        (None, "–"),
        (pd.NA, "–"),
        (math.inf, "∞"),
    ],
)
def test_numbers(value: object, written: str) -> None:
    assert number(value) == written


def test_small_p_values_are_bounds() -> None:
    assert p_value(0.0001) == "< 0.001"
    assert p_value(0.04) == "0.040"


def test_an_interval_without_an_end_is_a_dash() -> None:
    assert interval(0.1, 0.2, level=0.95) == "[0.100, 0.200] (95% interval)"
    assert interval(0.1, math.nan, level=0.95) == "–"


def test_a_level_that_no_run_records_is_said_to_be_unknown() -> None:
    assert interval(0.1, 0.2, level=math.nan) == "[0.100, 0.200] (interval, level not recorded)"
    assert levels([0.99, 0.9, 0.95]) == "90% to 99%"
    assert (levels([0.95, 0.95]), levels([]), levels([None])) == ("95%", "", "not recorded")


@pytest.mark.parametrize(
    ("condition", "long", "short"),
    [
        ("antonym:size", "size words swapped for their opposite", "size: opposite"),
        ("image:jpeg@5", "JPEG, severity 5", "JPEG 5"),
        (
            "image:gaussian_blur@3+antonym:size",
            "gaussian blur, severity 3 + size words swapped for their opposite",
            "gaussian blur 3 + size: opposite",
        ),
        ("image:kspace_spikes@1", "k-space spikes, severity 1", "k-space spikes 1"),
        ("image:mri_motion@5", "MRI motion, severity 5", "MRI motion 5"),
        ("paraphrase", "prompt paraphrased", "paraphrase"),
        ("vendor_thing:side", "vendor thing of side", "vendor thing of side"),
    ],
)
def test_conditions_are_said_in_words(condition: str, long: str, short: str) -> None:
    assert (condition_words(condition), short_words(condition)) == (long, short)


def test_lists_and_counts_read_as_sentences() -> None:
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert (count(1, "case"), count(2, "case")) == ("1 case", "2 cases")


def test_verdicts_differ_in_shape_where_they_share_a_colour() -> None:
    looks = [(style.symbol, style.colour) for style in VERDICTS.values()]
    assert len(set(looks)) == len(looks)
    assert len({style.symbol for style in VERDICTS.values()}) == len(looks)


def test_cells_become_json_values() -> None:
    assert plain(pd.NA) is None
    assert plain(float("nan")) is None
    assert plain(pd.Series([3], dtype="Int64")[0]) == 3
    assert shown(True, "text") == "yes"


def test_sentences_name_conditions_and_metrics_in_plain_words() -> None:
    stored = "net is fragile under image:gamma_down@5: dice worsens by 0.2, beyond the margin of 0.1."
    said = friendly(stored, "image:gamma_down@5")
    assert said == "net is fragile under gamma down, severity 5: Dice worsens by 0.2, beyond the margin of 0.1."


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (
            "net seems robust to drop:size: Dice worsens by -0.089 [-0.120, 0.010], under the margin of 0.1; more.",
            "improves by 0.089 [-0.010, 0.120]; the margin for a loss is 0.1; more.",
        ),
        (
            "Whether net is robust is open: HD95 worsens by -2.500 (margin 1); more.",
            "HD95 improves by 2.500 (margin 1); more.",
        ),
        (
            "net seems robust: Dice worsens by -0.000 [-0.001, -0.000], under the margin of 0.1; more.",
            "Dice worsens by 0.000 [-0.001, 0.000], under the margin of 0.1; more.",
        ),
        (
            "net is fragile: Dice worsens by 0.200 [-0.010, 0.300], beyond.",
            "Dice worsens by 0.200 [-0.010, 0.300], beyond.",
        ),
    ],
)
def test_a_loss_below_none_is_said_as_a_gain(stored: str, said: str) -> None:
    assert friendly(stored, "").endswith(said)


def test_one_of_several_takes_the_verb_of_one() -> None:
    assert friendly("1 of 12 patients react by more than 5%, 11 of 12 patients lose more", "") == (
        "1 of 12 patients reacts by more than 5%, 11 of 12 patients lose more"
    )
