"""Pages of the site that come from the code: the registries, the API, the findings, CONTRIBUTING and the changelog.

A hook of MkDocs (`mkdocs.yml`). Links out of docs/ lead to the generated pages, or become plain text where the target
is a file of the repository that is no page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
AUTHORS = {
    "robustness.perturb": ("BasePerturbation", "ImagePerturbation", "PromptPerturbation"),
    "robustness.metrics": ("MaskMetric", "DistanceMetric", "ShapeMetric", "MaskPair"),
    "robustness.runners": ("ModelEntry", "SplitNetwork", "Preprocess"),
}
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
    return f"# Perturbations\n\n{lead}\n\n{table(header, rows)}"


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
