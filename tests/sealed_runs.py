"""Manifests of runs that tests make by hand: the hashes are those of the files as they lie there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustness.run_folder import MANIFEST, RunFolder
from robustness.runs.conclude import table_hashes

_LEAST: Mapping[str, Any] = {"plan_sha256": "", "models": [], "datasets": [], "counts": {}}


def seal(folder: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Write (or, without `facts`, write again) the manifest of a run whose files are to count as the audit's."""
    path = folder / MANIFEST
    known = json.loads(path.read_text("utf-8")) if facts is None else facts
    path.write_text(json.dumps({**_LEAST, **known, "tables": table_hashes(RunFolder(folder))}), encoding="utf-8")
    return folder
