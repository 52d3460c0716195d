"""Directional tests: masks that obey, ignore or break, built row by row."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.metrics.reliance.directional import directional_tests
from robustness.metrics.reliance.outcomes import Mask, Swap, judge, place_of
from tests.metrics.tables import rows_of

CENTRE = Mask(50.0, 50.0, 0.1, 1.0, 100.0, 100.0)


def outcome(swap, moved, *, clean=CENTRE, change=0.8):
    return judge(swap, clean, moved, change, still=0.1, least_growth=0.1)


def rows(condition, masks, *, change=0.0, params=None, **columns):
    frame = rows_of(condition, np.full(len(masks), change), metric="mask_change")
    names = ("centroid_row", "centroid_col", "area_fraction", "components")
    for i, name in enumerate(names):
        frame[name] = [mask[i] for mask in masks]
    return frame.assign(params="{}" if params is None else [json.dumps(p) for p in params], **columns)


def swap_params(kind, old, new, n):
    return [{"kind": kind, "old": old, "new": new}] * n


class TestWords:
    @pytest.mark.parametrize(
        ("words", "place"),
        [
            ("top left", (-1, -1)),
            ("upper right", (-1, 1)),
            ("bottom", (1, None)),
            ("center", (0, 0)),
            ("middle left", (0, -1)),
            ("cortex", None),
            ("left, right", None),
            ("top bottom", None),
        ],
    )
    def test_places(self, words, place):
        assert place_of(words) == place


class TestJudge:
    left = Mask(50.0, 80.0, 0.1, 1.0, 100.0, 100.0)

    def test_location_is_a_region_where_the_size_is_known(self):
        swap = Swap("location", "right", "left")
        there, short = self.left._replace(column=20.0), self.left._replace(column=60.0)
        assert outcome(swap, there, clean=self.left) == "obeys"
        assert outcome(swap, short, clean=self.left) == "breaks", "it moved left, but not into the left half"

    def test_location_is_a_direction_where_the_size_is_unknown(self):
        unknown = self.left._replace(height=math.nan, width=math.nan)
        swap = Swap("location", "right", "left")
        assert outcome(swap, unknown._replace(column=60.0), clean=unknown) == "obeys"
        assert outcome(swap, unknown._replace(row=90.0), clean=unknown) == "breaks"
        assert outcome(swap, unknown._replace(column=95.0), clean=unknown) == "breaks"

    def test_a_mask_that_is_there_already_tells_nothing(self):
        assert outcome(Swap("location", "left", "right"), CENTRE, clean=self.left) == "excluded"
        assert outcome(Swap("number", "several", "one"), CENTRE) == "excluded"

    @pytest.mark.parametrize(
        ("new", "area", "said"),
        [("large", 0.2, "obeys"), ("large", 0.105, "breaks"), ("large", 0.05, "breaks"), ("large", 0.0, "breaks")],
    )
    def test_size_grows_or_breaks(self, new, area, said):
        assert outcome(Swap("size", "small", new), CENTRE._replace(area=area)) == said

    def test_size_shrinks_but_does_not_vanish(self):
        swap = Swap("size", "large", "tiny")
        assert outcome(swap, CENTRE._replace(area=0.05)) == "obeys"
        assert outcome(swap, CENTRE._replace(area=0.0)) == "breaks"

    def test_number(self):
        assert outcome(Swap("number", "one", "several"), CENTRE._replace(components=3.0)) == "obeys"
        assert outcome(Swap("number", "one", "two"), CENTRE._replace(components=3.0)) == "breaks"

    def test_a_mask_that_hardly_changes_ignores(self):
        assert outcome(Swap("size", "small", "large"), CENTRE, change=0.1) == "ignores"

    @pytest.mark.parametrize(
        "swap", [Swap("size", "small", "melic"), Swap("location", "left", "left"), Swap("side", "left", "right")]
    )
    def test_words_without_a_direction_are_excluded(self, swap):
        assert outcome(swap, CENTRE) == "excluded"

    def test_an_empty_clean_mask_is_excluded(self):
        assert outcome(Swap("size", "small", "large"), CENTRE, clean=CENTRE._replace(area=0.0)) == "excluded"


class TestTable:
    @staticmethod
    def table(moved, *, n=20, reworded=None, change=0.8):
        start = [(50.0, 80.0, 0.1, 1.0)] * n
        params = swap_params("location", "right", "left", n)
        parts = [rows("clean", start), rows("antonym:location", moved, change=change, params=params)]
        if reworded is not None:
            parts.append(rows("paraphrase", reworded, change=0.5))
        return pd.concat(parts, ignore_index=True)

    def test_shares_and_intervals(self):
        moved = [(50.0, 20.0, 0.1, 1.0)] * 15 + [(90.0, 80.0, 0.1, 1.0)] * 5
        found = directional_tests(self.table(moved)).iloc[0]
        assert (found["obeys"], found["breaks"], found["ignores"]) == (0.75, 0.25, 0.0)
        assert found["obeys_low"] < 0.75 < found["obeys_high"]
        assert found["ignores_high"] == pytest.approx(1 - 0.025 ** (1 / 20)), "none of 20 is not none at all"
        assert math.isnan(found["net"])

    def test_what_rewording_does_as_well_is_taken_off(self):
        moved = [(50.0, 20.0, 0.1, 1.0)] * 20
        found = directional_tests(self.table(moved, reworded=moved)).iloc[0]
        assert found["obeys"] == 1.0
        assert found["by_rewording"] == 1.0
        assert found["net"] == 0.0
        still = directional_tests(self.table(moved, reworded=[(50.0, 80.0, 0.1, 1.0)] * 20)).iloc[0]
        assert still["net"] == 1.0

    def test_image_size_columns_make_it_a_region(self):
        moved = [(50.0, 60.0, 0.1, 1.0)] * 20
        table = self.table(moved)
        assert directional_tests(table)["obeys"].iloc[0] == 1.0
        sized = table.assign(image_height=100, image_width=100)
        assert directional_tests(sized)["breaks"].iloc[0] == 1.0

    @pytest.mark.parametrize(("left_is", "said"), [("right", "obeys"), ("left", "breaks"), (None, "obeys")])
    def test_sides_follow_the_convention_of_the_pictures(self, left_is, said):
        n = 10
        left, right = (50.0, 80.0, 0.1, 1.0), (50.0, 20.0, 0.1, 1.0)
        table = pd.concat(
            [
                rows("clean", [left] * n + [right] * n),
                rows(
                    "antonym:side",
                    [right] * n + [left] * n,
                    change=1.0,
                    params=swap_params("side", "left", "right", n) + swap_params("side", "right", "left", n),
                ),
            ]
        )
        assert directional_tests(table, left_is=left_is)[said].iloc[0] == 1.0

    def test_an_unknown_convention_excludes(self):
        same = [(50.0, 50.0, 0.1, 1.0)] * 6
        table = pd.concat(
            [
                rows("clean", same),
                rows("antonym:side", same, change=1.0, params=swap_params("side", "left", "right", 6)),
            ]
        )
        found = directional_tests(table).iloc[0]
        assert (found["n_images"], found["n_excluded"]) == (0, 6)
        assert found["note"] == "every image is excluded"
        assert math.isnan(found["obeys"])

    def test_only_swaps_of_kinds_with_a_direction_have_a_row(self):
        masks = [(50.0, 50.0, 0.1, 1.0)] * 4
        params = swap_params("size", "small", "melic", 4)
        parts = [
            rows("clean", masks),
            rows("rare:size", masks, params=params),
            rows("antonym:shape", masks, params=params),
        ]
        assert directional_tests(pd.concat(parts)).empty

    def test_a_missing_column_is_named(self):
        with pytest.raises(InputError, match="params missing"):
            directional_tests(self.table([(50.0, 20.0, 0.1, 1.0)] * 20).drop(columns="params"))
