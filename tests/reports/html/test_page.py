"""The page as a file: complete in itself, true to the tables, safe whatever the data says."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.reports.data.run_tables import RunTables
from robustness.reports.html import page as page_module
from robustness.reports.html.page import safe_json, write_report
from robustness.reports.words import VERDICTS
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
