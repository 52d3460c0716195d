"""A run as a Research Object Crate: its files, their hashes, and how it was made, in RO-Crate 1.1 JSON-LD."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.files import sha256_file, write_text
from robustness.reports.data.run_tables import RunTables, read_run

NAME = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_WHAT = {
    "plan.toml": ("The plan, fixed before the run", "application/toml"),
    "manifest.json": ("Provenance: versions, seeds, hashes, counts", "application/json"),
    "effects.parquet": ("Effects: one row per model, data set, condition and metric", "application/vnd.apache.parquet"),
    "verdicts.parquet": ("Verdicts with the rule that decided", "application/vnd.apache.parquet"),
    "gallery.parquet": ("Images of worst and random cases", "application/vnd.apache.parquet"),
    "report.html": ("The report, one self-contained page", "text/html"),
    "report.json": ("The content of the report", "application/json"),
    "report.md": ("Summary of the report", "text/markdown"),
}


def ro_crate(folder: str | Path) -> dict[str, Any]:
    """Describe a run's folder as RO-Crate metadata.

    Nothing is computed but hashes and sizes: names, dates and versions come from the run's manifest. Licence, authors
    and the DOI of the data are the submitter's to add.

    Raises:
        InputError: no run lies there, or it is not finished (it has no manifest).

    Source: RO-Crate Metadata Specification 1.1, doi:10.5281/zenodo.4031327.
    """
    folder = Path(folder)
    run = read_run(folder)
    if not run.manifest:
        raise InputError(f"run: expected a finished run with a manifest.json, found none in {str(folder)!r}")
    files = list(_files(folder))
    return {"@context": CONTEXT, "@graph": [*_head(run, files), *files, _software(run), _action(run, files)]}


def write_ro_crate(folder: str | Path) -> Path:
    """Write the metadata into the run's folder, which thereby is a crate; return its path."""
    out = Path(folder) / NAME
    content = json.dumps(ro_crate(folder), indent=1, ensure_ascii=False) + "\n"
    write_text(out, content)
    return out


def _head(run: RunTables, files: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    models = ", ".join(sorted(set(run.results["model"].astype(str))))
    datasets = ", ".join(sorted(set(run.results["dataset"].astype(str))))
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Robustness audit of {models} on {datasets}",
        "description": "Rows, effects, verdicts and report of one audit of a vision-language segmentation model.",
        "datePublished": str(run.manifest.get("created") or ""),
        "hasPart": [{"@id": f["@id"]} for f in files],
        "mentions": {"@id": "#audit"},
    }


def _files(folder: Path) -> Iterator[dict[str, Any]]:
    parts = sorted(p.relative_to(folder).as_posix() for p in (folder / "results").glob("part-*.parquet"))
    for name in (*_WHAT, *parts):
        path = folder / name
        if path.is_file():
            title, kind = _WHAT.get(name, ("Rows: one per prediction", "application/vnd.apache.parquet"))
            yield {
                "@id": name,
                "@type": "File",
                "name": title,
                "encodingFormat": kind,
                "contentSize": str(path.stat().st_size),
                "sha256": sha256_file(path),
            }


def _software(run: RunTables) -> dict[str, Any]:
    return {
        "@id": "#suite",
        "@type": "SoftwareApplication",
        "name": "robustness",
        "softwareVersion": str(run.manifest.get("suite_version") or "not recorded"),
        "softwareRequirements": [f"{k} {v}" for k, v in _mapping(run.manifest.get("packages")).items()],
    }


def _action(run: RunTables, files: list[dict[str, Any]]) -> dict[str, Any]:
    outputs = [{"@id": f["@id"]} for f in files if f["@id"] != "plan.toml"]
    return {
        "@id": "#audit",
        "@type": "CreateAction",
        "name": "Audit",
        "instrument": {"@id": "#suite"},
        "object": [{"@id": "plan.toml"}],
        "result": outputs,
        "endTime": str(run.manifest.get("created") or ""),
        "description": f"plan sha256 {run.manifest.get('plan_sha256')}, seed {run.manifest.get('seed')}",
    }


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
