"""Pages of the site that come from the code: the registries, the API, the findings, CONTRIBUTING and the changelog.

A hook of MkDocs (`mkdocs.yml`). Links out of docs/ lead to the generated pages, or become plain text where the target
is a file of the repository that is no page.
"""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
AUTHORS = {
    "robustness.perturb": ("BasePerturbation", "ImagePerturbation", "PromptPerturbation"),
    "robustness.metrics": ("MaskMetric", "DistanceMetric", "ShapeMetric", "MaskPair"),
    "robustness.runners": ("ModelEntry", "SplitNetwork", "Preprocess"),
}
# Rooms of the picture: centre of each box, and what it is.
_BOXES = {
    "compose": (360, 40, "robustness: workflows, cli, gates, runs, ...", "composes everything"),
    "runners": (180, 150, "runners", "data, models, audits, training"),
    "reports": (560, 150, "reports", "tables, figures, pages"),
    "perturb": (180, 260, "perturb", "changes of prompts and images"),
    "metrics": (560, 260, "metrics", "scores, intervals, verdicts"),
    "language": (360, 370, "robustness: types, registry, results, plans, errors", "the language of all"),
}
_COMPOSING = ("__main__", "workflows", "cli", "gates", "runs", "forecasts", "pytest_plugin")
_DRAWING = re.compile(r"<!-- not run: a drawing -->\n```\n.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+|docs/)?([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/perturbations.md": perturbations(),
        "reference/metrics.md": metrics(),
        "reference/networks.md": networks(),
        "reference/api.md": api(),
        "reference/authors.md": authors(),
        "findings.md": findings(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text("utf-8"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Return the page with links that lead somewhere on the site."""
    parent = Path(page.file.src_uri).parent
    if page.file.src_uri == "architecture.md":
        # The repository shows the drawing in letters, which every viewer can.
        markdown = _DRAWING.sub(lambda _: house(), markdown)

    def mended(match: re.Match[str]) -> str:
        text, up, target, anchor = match[1], match[2] or "", match[3], match[4] or ""
        if not up and page.file.src_uri not in ("contributing.md", "changelog.md"):
            return match[0]
        name = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}.get(target, target)
        known = files.get_file_from_path(name)
        if known is None:
            return f"{text} (`{target}`)"
        return f"[{text}]({'../' * len(parent.parts)}{name}{anchor})"

    return _LINK.sub(mended, markdown)


def first_line(entry: Any) -> str:
    """Return the first line of a docstring, fit for a cell of a table."""
    text = (entry.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table of Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def perturbations() -> str:
    """Return every registered perturbation, by its room's folder."""
    from robustness import PERTURBATIONS

    rows = []
    for name in PERTURBATIONS.names():
        entry = PERTURBATIONS.get(name)
        folder = "/".join(entry.__module__.split(".")[2:-1])
        levels = ", ".join(map(str, entry.severities)) if entry.severities != (0,) else "none"
        rows.append((f"`{name}`", folder, entry.target, levels, str(entry.expectation), first_line(entry)))
    header = ("name", "folder", "changes", "severity levels", "expectation", "what it does")
    lead = f"{len(rows)} entries, as `robustness list perturbations` prints them."
    sheets = sorted((ROOT / "docs").glob("shifts-*.jpg"))
    shown = "\n\n".join(
        f"![{sheet.stem.removeprefix('shifts-')}: the changes of its devices at five severities](../{sheet.name})"
        for sheet in sheets
    )
    made = "`robustness list perturbations --sheet` made these, one for each device; see [images](../images.md)."
    return f"# Perturbations\n\n{lead}\n\n{table(header, rows)}\n{made}\n\n{shown}\n"


def metrics() -> str:
    """Return every registered metric with its definition."""
    from robustness import METRICS

    better = {True: "higher", False: "lower", None: "no direction"}
    rows = []
    for name in METRICS.names():
        entry = METRICS.get(name)
        high = "" if entry.high is None else f"{entry.high:g}"
        definition = entry.definition.replace("|", "\\|")
        rows.append((f"`{name}`", definition, better[entry.higher_is_better], entry.units, f"{entry.low:g} to {high}"))
    return "# Metrics\n\n" + table(("name", "definition", "better", "units", "range"), rows)


def networks() -> str:
    """Return every registered model."""
    from robustness import MODELS

    rows = []
    for name in MODELS.names():
        entry = MODELS.get(name)
        # Black boxes are entries without a network: whether they read a text is asked of them at each audit.
        reads = {True: "yes", False: "no", None: "asked"}[getattr(entry, "takes_text", None)]
        weights = getattr(entry, "published", None)
        rows.append(
            (f"`{name}`", reads, f"`{weights}`" if weights else "", getattr(entry, "title", "") or first_line(entry))
        )
    return "# Networks\n\n" + table(("name", "reads text", "published weights", "what it is"), rows)


def api() -> str:
    """Return the reference of the public names."""
    import robustness

    names = [name for name in robustness.__all__ if name != "__version__"]
    names.sort(key=str.lower)
    blocks = "\n".join(f"::: {robustness._MODULES[name]}.{name}\n" for name in names)
    return f"# API\n\nEvery public name of `import robustness as rb`.\n\n{blocks}"


def authors() -> str:
    """Return the reference of what authors of entries derive from."""
    import importlib

    blocks = []
    for package, names in AUTHORS.items():
        module = importlib.import_module(package)
        blocks += [f"::: {module._MODULES[name]}.{name}\n" for name in names]
    return "# For authors of entries\n\nBases to derive from; see [contributing](../contributing.md).\n\n" + "\n".join(
        blocks
    )


def findings() -> str:
    """Return what the scripts of findings/ say in their headers."""
    parts = [
        "# Findings",
        "What surprised us in real libraries, formats and tools, and what it means for anyone who scores masks.",
        "",
    ]
    for script in sorted((ROOT / "findings").glob("*.sh")):
        lines = script.read_text("utf-8").splitlines()[1:]
        header = []
        for line in lines:
            if not line.startswith("#"):
                if header:
                    break
                continue
            header.append(line.lstrip("#").strip())
        parts += [f"## {script.stem.replace('_', ' ').replace('-', ' ')}", "", "\n".join(header), ""]
    return "\n".join(parts)


def house() -> str:
    """Return the picture of the rooms: an arrow for each room that imports another, with the number of such imports."""
    edges = runpy.run_path(str(ROOT / ".ci" / "house.py"))["graph"](ROOT)
    counts = Counter(
        (_room(module), _room(other))
        for module, others in edges.items()
        for other in others
        if _room(module) != _room(other)
    )
    arrows = []
    for (one, other), count in sorted(counts.items()):
        (x1, y1, *_), (x2, y2, *_) = _BOXES[one], _BOXES[other]
        y1, y2 = (y1 + 24, y2 - 24) if y2 > y1 else (y1, y2)
        x1, x2 = (x1, x2) if y2 != y1 else (x1 - 150, x2 + 150)
        arrows.append(
            f'<path d="M{x1} {y1}L{x2} {y2}" stroke="currentColor" opacity=".6" marker-end="url(#tip)"/>'
            f'<text x="{x1 + (x2 - x1) * 0.35:g}" y="{y1 + (y2 - y1) * 0.35:g}" font-size="11">{count}</text>'
        )
    boxes = [
        f'<rect x="{x - 170}" y="{y - 24}" width="340" height="48" rx="6" fill="none" stroke="currentColor"/>'
        f'<text x="{x}" y="{y - 4}" text-anchor="middle" font-size="12" font-weight="bold">{name}</text>'
        f'<text x="{x}" y="{y + 13}" text-anchor="middle" font-size="11">{what}</text>'
        for x, y, name, what in _BOXES.values()
    ]
    tip = '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    title = "Rooms of the package and how many imports lead from one to another, counted in the sources"
    return (
        f'<svg viewBox="0 0 740 400" role="img" aria-label="{title}" fill="currentColor"><title>{title}</title>'
        f'<defs>{tip}<path d="M0 0L8 4L0 8z"/></marker></defs>{"".join(arrows)}{"".join(boxes)}</svg>\n\n{title}.'
    )


def _room(module: str) -> str:
    parts = module.split(".")
    room = parts[1] if parts[0] == "robustness" and len(parts) > 1 else parts[0]
    if room in _BOXES:
        return room
    return "compose" if room in _COMPOSING else "language"
