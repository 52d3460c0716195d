"""Read run folders as they are stored: tables in, nothing computed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError, escaped, one_line
from robustness.remote import local_copy, url_of
from robustness.results import COLUMNS, EFFECT_COLUMNS, VERDICT_COLUMNS
from robustness.run_integrity import finished_manifest

GALLERY_COLUMNS: tuple[str, ...] = (
    "model",
    "dataset",
    "condition",
    "case_id",
    "subject_id",
    "prompt_index",
    "rank",
    "clean_prompt",
    "prompt",
    "dice",
    "dice_clean",
    "dice_other",
    "mask_change",
    "effect",
    "image",
    "image_perturbed",
    "reference",
    "reference_perturbed",
    "clean",
    "perturbed",
    "params",
)


@dataclass(frozen=True)
class RunTables:
    """One run as stored; every table has its contract's columns, also where its file is missing.

    Attributes:
        name: the folder's name.
        manifest: provenance; every key is optional.
        plan: the text of ``plan.toml``.
        results, effects, verdicts, gallery: the tables, with a column `series` that tells models (and datasets, where
            there are several) apart on one page; `results` have their number in the run as `row`, `effects` the `level`
            of their interval, 1 - alpha (NaN where the run does not record it).
    """

    name: str
    manifest: dict[str, Any]
    plan: str
    results: pd.DataFrame
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    gallery: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(GALLERY_COLUMNS)))

    @property
    def alpha(self) -> float | None:
        """The plan's alpha; None where the run does not record it."""
        alpha = (self.manifest.get("statistics") or {}).get("alpha")
        return None if alpha is None else float(alpha)


def read_run(folder: str | Path) -> RunTables:
    """Read one run folder.

    Raises:
        InputError: the run is unfinished, damaged or edited (`robustness.run_integrity`).
    """
    folder = local_copy(folder, "run")
    manifest = finished_manifest(folder)
    parts = sorted((folder / "results").glob("*.parquet"))
    if not parts:
        raise InputError(f"run: expected a run folder with results/*.parquet, found none in {str(folder)!r}")
    results = pd.concat([_read_table(part, COLUMNS) for part in parts], ignore_index=True)
    return RunTables(
        name=folder.resolve().name,
        manifest=manifest,
        plan=_read_text(folder / "plan.toml"),
        results=results,
        effects=_read_table(folder / "effects.parquet", EFFECT_COLUMNS),
        verdicts=_read_table(folder / "verdicts.parquet", VERDICT_COLUMNS),
        gallery=_read_table(folder / "gallery.parquet", GALLERY_COLUMNS),
    )


def read_runs(folders: str | Path | Sequence[str | Path]) -> tuple[RunTables, ...]:
    """Read one run or several, and name their series apart.

    Raises:
        InputError: no folder is given, one is given twice, or one cannot be read.
    """
    listed = [folders] if isinstance(folders, str | Path) else list(folders)
    if not listed:
        raise InputError("runs: expected at least one run folder, got none")
    refuse_repeated(listed)
    return name_series(tuple(read_run(folder) for folder in listed))


def refuse_repeated(folders: Sequence[str | Path]) -> None:
    """Refuse a folder that is named twice, also through a link: a run shows nothing against itself."""
    seen: dict[str, str] = {}
    for folder in map(str, folders):
        place = url_of(folder) or str(Path(folder).resolve())
        if place in seen:
            raise InputError(
                f"runs: expected different folders, got {seen[place]!r} and {folder!r}, which are the same folder; name"
                " each run once"
            )
        seen[place] = folder


def plan_answers(runs: Sequence[RunTables]) -> dict[str, str]:
    """Return what the plans' ``[report]`` tables state, the first run's answer where several have one."""
    answers: dict[str, str] = {}
    for run in reversed(runs):
        try:
            stated = tomllib.loads(run.plan).get("report") or {}
        except tomllib.TOMLDecodeError:
            continue
        answers |= {key: str(value) for key, value in stated.items() if str(value).strip()}
    return answers


def name_series(runs: Sequence[RunTables]) -> tuple[RunTables, ...]:
    """Add `series` to every table: the model's name, plus dataset and folder where the name alone is not unique."""
    pairs = [(i, m, d) for i, run in enumerate(runs) for m, d in _pairs(run.results)]
    models = [m for _, m, _ in pairs]
    several_datasets = len({d for *_, d in pairs}) > 1
    labels: dict[tuple[int, str, str], str] = {}
    for i, model, dataset in pairs:
        # Names go into sentences, which a control in one could break or turn around.
        label = escaped(f"{model} · {dataset}" if several_datasets else model)
        repeated = any(j != i and m == model and d == dataset for j, m, d in pairs)
        labels[i, model, dataset] = f"{label} ({runs[i].name})" if repeated and len(models) > 1 else label
    return tuple(_with_series(run, i, labels) for i, run in enumerate(runs))


def _with_series(run: RunTables, index: int, labels: dict[tuple[int, str, str], str]) -> RunTables:
    def label(table: pd.DataFrame) -> pd.DataFrame:
        # A table has many rows and few models and data sets.
        names = [table[key].astype(str).to_numpy(dtype=object) for key in ("model", "dataset")]
        (models, of_model), (datasets, of_dataset) = ((u, c) for c, u in map(pd.factorize, names))
        series = np.array([[labels.get((index, m, d), m) for d in datasets] for m in models], dtype=object)
        return table.assign(series=list(series[of_model, of_dataset]) if len(table) else [])

    return replace(
        run,
        # The number by which `robustness replay` knows a row.
        results=label(run.results).assign(row=range(len(run.results))),
        effects=label(run.effects).assign(level=float("nan") if run.alpha is None else 1 - run.alpha),
        verdicts=label(run.verdicts),
        gallery=label(run.gallery),
    )


def _pairs(results: pd.DataFrame) -> list[tuple[str, str]]:
    unique = results[["model", "dataset"]].drop_duplicates()
    return [(str(m), str(d)) for m, d in unique.itertuples(index=False)]


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = one_line(error)
        raise InputError(f"run: expected a Parquet table, cannot read {path.name!r} ({reason})") from error
    missing = {name: None for name in columns if name not in table.columns}
    return table.assign(**missing)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
