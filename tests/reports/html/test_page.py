"""The page as a file: complete in itself, true to the tables, safe whatever the data says; numbers and names in it."""

from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.reports.data.datatable import levels, plain, shown
from robustness.reports.data.run_tables import RunTables
from robustness.reports.html import page as page_module
from robustness.reports.html.page import safe_json, write_report
from robustness.reports.words import (
    VERDICTS,
    condition_words,
    count,
    friendly,
    interval,
    listing,
    number,
    p_value,
    short_words,
)
from tests.reports.conftest import HOSTILE


def markup(page: Path) -> str:
    """Return the page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def embedded(page: Path) -> dict:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found
    return json.loads(found.group(1))


def table_rows(page: Path, name: str) -> list[dict[str, str]]:
    """Return the raw values of one of the page's tables."""
    body = re.search(rf'<table class="data" id="{name}-table">(.*?)</table>', markup(page), re.DOTALL)
    assert body
    columns = re.findall(r'data-name="(\w+)"', body.group(1))
    rows = []
    for line in re.findall(r"<tr id=.*?</tr>", body.group(1), re.DOTALL):
        cells = re.findall(r"<td([^>]*)>(.*?)</td>", line, re.DOTALL)
        values = [
            found[0] if (found := re.findall(r'data-v="([^"]*)"', tag)) else re.sub("<.*?>", "", text).strip()
            for tag, text in cells
        ]
        rows.append(dict(zip(columns, map(html.unescape, values), strict=True)))
    return rows


def test_nothing_refers_outside(page: Path) -> None:
    text = markup(page)
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text) == []
    assert "@import" not in text
    assert "url(" not in text


def test_plotly_is_inlined_once_and_the_page_stays_small(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("plotly.js v") == 1
    assert page.stat().st_size < 8e6


def test_the_policy_names_every_script_by_its_hash(page: Path) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.read_text(encoding="utf-8"))
    assert policy
    assert html.unescape(policy.group(1)).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline'; img-src" in html.unescape(policy.group(1))
    assert "unsafe-eval" not in policy.group(1)


@pytest.mark.parametrize("name", ["verdicts", "effects"])
def test_every_number_in_the_tables_equals_the_stored_one(page: Path, run_folders: list[Path], name: str) -> None:
    stored = pd.concat([pd.read_parquet(f / f"{name}.parquet") for f in run_folders], ignore_index=True)
    shown = table_rows(page, name)
    assert len(shown) == len(stored)
    for row, (_, truth) in zip(shown, stored.iterrows(), strict=True):
        for column in set(row) & {"estimate", "effect", "ci_low", "ci_high", "clean_mean", "p_adjusted", "n_subjects"}:
            expected = truth[column]
            assert row[column] == "–" if pd.isna(expected) else float(row[column]) == float(expected)


class Parts:
    """Parts of a page as another process makes them, after `fails_at` of which it fails.

    The first is there when it was looked for `looked` times; `sent` is what is to be drawn.
    """

    def __init__(self, gallery: Path, fails_at: int, looked: int) -> None:
        self.steps = page_module.parts_elsewhere(gallery)
        self.sent: Any = None
        self.left, self.looked = fails_at, looked

    def _next(self) -> Any:
        self.left -= 1
        return self.steps.send(self.sent) if self.left >= 0 else None

    def ready(self) -> bool:
        self.looked -= 1
        return self.looked < 0

    def pictures(self) -> Any:
        return self._next()

    def draw(self, captions: object, frames: object) -> None:
        self.sent = (captions, frames)

    def drawings(self) -> Any:
        return self._next()


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize(("fails_at", "looked"), [(0, 0), (1, 2), (2, 0), (2, 3), (2, 1000)])
def test_a_page_is_the_same_whoever_makes_its_parts(
    runs: tuple[RunTables, ...], run_folders: list[Path], tmp_path: Path, fails_at: int, looked: int, images: bool
) -> None:
    runs[0].gallery.drop(columns="series").to_parquet(tmp_path / "gallery.parquet")
    plain = write_report(run_folders[0], tmp_path / "page.html", images=images)
    before, figures = plain.read_bytes(), len(embedded(plain)["figures"])
    parts = Parts(tmp_path / "gallery.parquet", fails_at, looked)
    again = write_report(run_folders[0], tmp_path / "page.html", images=images, elsewhere=parts)
    assert again.read_bytes() == before
    # Here until the images were there, the rest elsewhere.
    assert len(parts.sent[0]) == max(0, figures - looked)


def test_figures_hold_the_numbers_of_the_tables(page: Path, run_folders: list[Path]) -> None:
    figures = embedded(page)["figures"]
    verdicts = pd.read_parquet(run_folders[0] / "verdicts.parquet")
    drawn = sorted(x for trace in figures["reliance-0"]["data"] for x in trace["x"])
    assert drawn == sorted(verdicts[verdicts["claim"] == "prompt"]["estimate"].dropna())
    effects = pd.read_parquet(run_folders[0] / "effects.parquet")
    noise = effects[(effects["metric"] == "dice") & effects["condition"].str.startswith("image:gaussian_noise")]
    curve = figures["severity-gaussian_noise"]["data"][1]
    assert curve["x"] == [0, 1, 3, 5]
    assert curve["y"] == [noise["clean_mean"].iloc[0], *noise["perturbed_mean"]]


def test_every_verdict_sentence_is_on_the_page(page: Path, run_folders: list[Path]) -> None:
    text = html.unescape(markup(page))
    for folder in run_folders:
        for sentence in pd.read_parquet(folder / "verdicts.parquet")["sentence"]:
            assert sentence in text


def test_each_figure_has_an_alternative_and_a_table(page: Path) -> None:
    text = markup(page)
    figures = embedded(page)["figures"]
    for name in figures:
        assert re.search(rf'id="fig-{name}" data-figure="{name}" role="img" aria-label="[^"]{{20,}}"', text)
        assert f'id="t-{name}-table"' in text


def test_the_unit_of_inference_is_said_loudly(page: Path) -> None:
    warning = re.search(r'<aside class="warning".*?</aside>', markup(page), re.DOTALL)
    assert warning
    assert "not the patient" in warning.group(0)
    assert "A template is one brain" in warning.group(0)


@pytest.mark.slow
def test_data_born_markup_is_escaped_everywhere(hostile_page: Path) -> None:
    text = hostile_page.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text
    assert "<b onclick" not in text
    assert text.count("<script") == 3
    prompts = {"".join(w for _, w in p) for p in embedded(hostile_page)["pictures"]["clean_prompt"]["values"]}
    assert HOSTILE in prompts


def test_plotly_labels_are_escaped(hostile_page: Path) -> None:
    figures = json.dumps(embedded(hostile_page)["figures"])
    assert "<b onclick" not in figures
    assert "&lt;b onclick" in figures


def test_json_cannot_end_its_element() -> None:
    text = safe_json({"a": "</script><!-- & \u2028"})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028"}


@pytest.mark.slow
def test_a_page_of_one_run_has_no_comparison(run_folders: list[Path], tmp_path: Path) -> None:
    page = write_report(run_folders[0], tmp_path / "deep" / "one.html", title="My <model>")
    assert "<h1>My &lt;model&gt;</h1>" in markup(page)
    assert "heatmap" not in embedded(page)["figures"]


def test_a_folder_without_results_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run: expected a run folder with results/\*\.parquet, found none in"):
        write_report(tmp_path, tmp_path / "page.html")


def test_an_unwritable_place_is_one_clear_error(run_folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: expected a folder that can be written to"):
        write_report(run_folders[0], tmp_path / "file" / "page.html")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.1."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_and_icons_stand_out_in_both_themes() -> None:
    css = (Path(page_module.__file__).parent / "assets" / "page.css").read_text(encoding="utf-8")
    blocks = [dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block)) for block in css.split("}")[:2]]
    for theme in (blocks[0], blocks[0] | blocks[1]):
        grounds = [theme[name] for name in ("paper", "card", "shade")]
        assert min(contrast(theme[text], g) for text in ("ink", "soft", "link") for g in grounds) >= 4.5
        assert contrast(theme["warn-ink"], theme["warn"]) >= 4.5
        assert contrast(theme["ink"], theme["mark"]) >= 4.5
        assert min(contrast(style.colour, theme["card"]) for style in VERDICTS.values()) >= 3.0


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
