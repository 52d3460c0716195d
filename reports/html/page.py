"""The page: one HTML file that opens from disk, with no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from robustness.errors import InputError, suggest
from robustness.files import check_output, check_writable, write_text
from robustness.reports import words
from robustness.reports.data import datatable, row_data
from robustness.reports.data.claims import ORDER, ROBUST_ORDER
from robustness.reports.data.expected import failures, required, verdicts_of
from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.gallery import Gallery, encoded_pictures, make_gallery
from robustness.reports.data.run_tables import read_runs
from robustness.reports.exports.annex import write_prompts
from robustness.reports.figures.catalogue import drawings
from robustness.reports.figures.figure import FigureText
from robustness.reports.figures.registry import figure_entries
from robustness.reports.sections import report as content
from robustness.reports.sections.overview import NOTHING_JUDGED
from robustness.reports.sections.report import Edition, Report

EDITIONS = ("auditor", "regulatory")


class Elsewhere(Protocol):
    """Parts of a page that another process makes meanwhile; a part that failed is None, and is made here."""

    def ready(self) -> bool:
        """Return whether `pictures` need not wait."""

    def pictures(self) -> Mapping[str, str] | None:
        """Return the images of the page, as `encoded_pictures` does."""

    def draw(self, captions: Sequence[FigureText], frames: Frames) -> None:
        """Begin with the `drawings` of these."""

    def drawings(self) -> Mapping[str, Any] | None:
        """Return them."""


def write_report(
    run_dirs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    title: str | None = None,
    edition: Edition = "auditor",
    images: bool = True,
    compare_first: bool = False,
    published: bool = False,
    answers: Mapping[str, str] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Path:
    """Write the page of one run or of several side by side.

    Args:
        run_dirs: run folder(s) as DESIGN section 3 describes them.
        out: the HTML file; its folder is made. The file appears atomically, after ``NAME-prompts.csv`` beside it: every
            text that was asked, with counts.
        title: the heading; made from models and data sets where it is None.
        edition: "auditor" leads with prompt reliance, "regulatory" has the fifteen sections that regulators ask for.
        images: False leaves every image out, for data that must not leave.
        compare_first: the paired differences, worst first, come before all else.
        published: add the benchmark's published figures, labelled and apart from what was measured.
        answers: what the submitter states in the regulatory edition, by the keys of a plan's ``[report]``.
        elsewhere: makes images and drawings meanwhile; None: all is made here. The page is the same.

    Returns:
        The path of the page.

    Raises:
        InputError: a run cannot be read, `out` cannot be written, or there is no such edition.
    """
    if edition not in EDITIONS:
        raise InputError(f"edition: expected one of {', '.join(EDITIONS)}, got {edition!r}{suggest(edition, EDITIONS)}")
    out = Path(out)
    # Before the work, so that a wrong path is reported at once.
    check_output(out, "out", ".html", ".htm")
    check_writable(out, "out")
    runs = read_runs(run_dirs)
    frames = merge(runs)
    figures = content.figures_of(runs, frames, published=published)
    parts = _Parts(figures.captions, frames, elsewhere, images=images)
    # What needs no image comes first, in case another process is still at them.
    prompts, rows = write_prompts(frames.results, out), row_data.packed_rows(row_data.row_data(frames))
    report = content.build(
        runs,
        title=title,
        gallery=parts.gallery,
        edition=edition,
        images=images,
        published=published,
        compared=compare_first,
        answers=answers,
        frames=frames,
        figures=figures,
    )
    report = replace(report, prompts_file=prompts.name)
    page = render(report, frames, parts.gallery(), compare_first=compare_first, rows=rows, drawn=parts.drawings)
    # A report is meant to be read by others, whatever the mask of the process.
    write_text(out, page, mode=0o644)
    return out


class _Parts:
    """Thumbnails and drawings of one page, made here or shared with another process; each is made when asked for."""

    def __init__(
        self, captions: Sequence[FigureText], frames: Frames, elsewhere: Elsewhere | None, *, images: bool
    ) -> None:
        self._left, self._frames, self._elsewhere, self._images = list(captions), frames, elsewhere, images
        self._drawn: dict[str, Any] = {}
        self._gallery: Gallery | None = None

    def gallery(self) -> Gallery:
        """Return the thumbnails; this process draws until the other one has encoded them, and that draws the rest."""
        if self._gallery is not None:
            return self._gallery
        encoded = None
        if self._elsewhere:
            while self._left and not self._elsewhere.ready():
                self._drawn |= drawings([self._left.pop(0)], self._frames)
            # Also where no image is shown: what comes first is taken first.
            encoded = self._elsewhere.pictures()
            self._elsewhere.draw(self._left, self._frames)
        self._gallery = make_gallery(self._frames.gallery, encoded=encoded) if self._images else Gallery()
        return self._gallery

    def drawings(self) -> Mapping[str, Any]:
        """Return every figure, as `drawings` does."""
        self.gallery()
        drawn = self._elsewhere.drawings() if self._elsewhere else None
        if drawn is None:
            drawn = drawings(self._left, self._frames)
        return {**self._drawn, **drawn}


# Controls that turn the direction of what follows: a name with one would show the rest of its sentence backwards.
_TURNS = {chr(n): f"\\u{n:04x}" for n in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def parts_elsewhere(file: Path) -> Generator[Mapping[str, Any], tuple[Sequence[FigureText], Frames], None]:
    """Yield images and `drawings` of one run's page: those of its gallery.parquet, then those that are sent."""
    captions, frames = yield encoded_pictures(file)
    yield drawings(captions, frames)


def render(
    report: Report,
    frames: Frames,
    gallery: Gallery,
    *,
    compare_first: bool = False,
    rows: Mapping[str, Any] | None = None,
    drawn: Callable[[], Mapping[str, Any]] | None = None,
) -> str:
    """Return the page of `report` as HTML.

    Args:
        report: what it says.
        frames: feed the tables of rows.
        gallery: the thumbnails.
        compare_first: as in `write_report`.
        rows: the packed `row_data`, where the caller has it already.
        drawn: returns the `drawings` of its figures, asked when the rest of the page is written; None: made here.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    drawn = drawn or partial(drawings, report.figures, frames)
    rows = row_data.packed_rows(row_data.row_data(frames)) if rows is None else rows
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_asset)
    )
    environment.filters.update(
        number=words.number,
        shown=datatable.shown,
        style=words.verdict_style,
        metric=words.metric_words,
        words=words.condition_words,
        short=words.short_words,
        interval=words.interval,
        count=words.count,
        listing=words.listing,
    )
    environment.globals.update(
        anchor=row_data.anchors(frames),
        verdict_styles=words.VERDICTS,
        report=report,
        figure_entries=figure_entries(),
        nothing_judged=NOTHING_JUDGED,
    )
    page = environment.get_template("page.html.j2").render(
        css=_markup(_asset("page.css")),
        compare_first=compare_first,
        prompt_verdicts=_occurring(frames, ("prompt", "abstention"), ORDER),
        robust_verdicts=_occurring(frames, ("robustness",), ROBUST_ORDER),
        data=_Late(lambda: safe_json(_data(report, frames, gallery, rows, drawn()))),
        **_scripts(),
    )
    # Megabytes without any of them: looking for each is faster than translating every character.
    for turn, escaped in _TURNS.items():
        page = page.replace(turn, escaped)
    return page


def _occurring(frames: Frames, claims: Sequence[str], order: Sequence[str]) -> list[str]:
    """Return the verdicts that a key has to explain: those of `claims` that occur, in page order."""
    rows = frames.verdicts[frames.verdicts["claim"].isin(claims)]
    return [verdict for verdict in order if verdict in set(rows["verdict"])]


class _Late:
    """Markup that is asked for where it stands in a template."""

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text

    def __html__(self) -> str:
        return self._text()


def _scripts() -> dict[str, Any]:
    """Return the inline scripts and the policy that allows exactly them: no other script can run, injected or not."""
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script")
    page = _asset("page.js") + _asset("rows.js")
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in (plotly, page))
    return {
        "plotly": _markup(plotly),
        "script": _markup(page),
        "policy": f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'",
    }


def _data(
    report: Report, frames: Frames, gallery: Gallery, rows: Mapping[str, Any], drawn: Mapping[str, Any]
) -> dict[str, Any]:
    from robustness.reports.figures import theme

    figures: dict[str, Any] = {}
    links: dict[str, list[Any]] = {}
    for text in report.figures:
        figure = drawn[text.id]
        # Names that lead to rows stay apart from what plotly renders.
        links[text.id] = [trace.get("meta") for trace in figure["data"]]
        traces = [{key: value for key, value in trace.items() if key != "meta"} for trace in figure["data"]]
        layout = {key: value for key, value in figure["layout"].items() if key != "template"}
        figures[text.id] = {**figure, "data": traces, "layout": layout}
    return {
        "figures": figures,
        "links": links,
        "templates": {"light": theme.LIGHT, "dark": theme.DARK},
        "pictures": row_data.packed_records([asdict(p) for p in gallery.pictures]),
        "images": gallery.images,
        "verdicts": verdicts_of(frames),
        "required": required(frames.results),
        "failed": [f"{series}\n{condition}" for series, condition in failures(frames)],
        "rows": rows,
    }


def safe_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in, whatever text it carries."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    # Only this package's own assets and `safe_json` output come here; data-born text goes through autoescape.
    return Markup(text)


def _asset(name: str) -> str:
    return files("robustness.reports.html").joinpath("assets", name).read_text(encoding="utf-8")
