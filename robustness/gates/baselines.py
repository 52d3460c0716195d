"""Baselines: a run's scores as two small files for the user's repository, one to compute with and one to read."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import robustness
from robustness.errors import InputError
from robustness.files import check_output, check_writable, sha256_file, write_atomic, write_text
from robustness.plans.toml import read_toml
from robustness.regular_files import is_regular
from robustness.run_folder import read_table
from robustness.runs.measured import Measured
from robustness.runs.stored import StoredRun, open_stored

if TYPE_CHECKING:
    import pandas as pd


FORMAT = 1
_KEPT = (
    "model",
    "dataset",
    "split",
    "case_id",
    "subject_id",
    "target",
    "condition",
    "family",
    "attribute",
    "prompt_index",
    "applicable",
    "error",
)
_HEAD = """# Scores of a run, to compare later runs with: robustness gate RUN --baseline {name}.toml
# {name}.parquet holds one row per prediction; both files belong together. Written by `robustness gate RUN
# --save-baseline` or `pytest --robustness-save`.
"""


class Baseline:
    """A baseline file: the scores of an earlier run, and what they were measured on."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts

    def __repr__(self) -> str:
        return f"Baseline({str(self.path)!r})"

    @property
    def manifest(self) -> dict[str, Any]:
        """What is recorded of the run that the scores come from."""
        return self.facts

    @property
    def measured(self) -> Measured:
        """The plan and the data that the scores belong to."""
        data = {(entry["name"], entry["split"]): entry["sha256"] for entry in self.facts["data"]}
        return Measured(self.facts["plan"]["measured"], data)

    @cached_property
    def _table(self) -> pd.DataFrame:
        return read_table(self.path.with_suffix(".parquet"))

    def results(self) -> pd.DataFrame:
        """One row per prediction: keys, scores and whether it failed."""
        return self._table


def save_baseline(run: StoredRun, path: str | Path) -> Path:
    """Write a finished run's scores as `NAME.parquet` and `NAME.toml`; return the latter.

    Args:
        run: a finished run.
        path: the file's name, with or without ".toml".

    Raises:
        InputError: the run is not finished.
    """
    manifest = run.check()
    text, scores = files_of(path)
    table, metrics = _scores(run)
    for file in (text, scores):
        check_output(file, "--save-baseline")
        check_writable(file, "--save-baseline")
    # Two files of one name are a baseline, also a damaged one; one alone may be a plan, or somebody's table.
    if is_regular(text) != is_regular(scores) and not _is_summary(text):
        raise InputError(
            f"--save-baseline: expected a new name or that of a baseline, but {text.name} or {scores.name} in "
            f"{str(text.parent)!r} is something else; choose another name"
        )
    write_atomic(scores, lambda temporary: table.to_parquet(temporary, index=False, compression="zstd"))
    write_text(text, _summary(run, manifest, table, metrics, scores))
    return text


def _is_summary(file: Path) -> bool:
    """Return whether a file is a baseline's summary, also one that was edited by hand."""
    return is_regular(file) and "summary_sha256 = " in file.read_text(encoding="utf-8", errors="replace")


def files_of(path: str | Path) -> tuple[Path, Path]:
    """Return where a baseline's summary and its scores lie; `path` may end in ".toml", ".parquet" or neither."""
    stem = str(path).removesuffix(".toml").removesuffix(".parquet")
    return Path(f"{stem}.toml"), Path(f"{stem}.parquet")


def is_baseline(path: str | Path) -> bool:
    """Return whether a baseline's summary lies there."""
    return files_of(path)[0].is_file()


def load_baseline(path: str | Path) -> Baseline:
    """Open a baseline.

    Raises:
        InputError: a file is missing, of another format, or the two do not belong together.
    """
    text, scores = files_of(path)
    for file in (text, scores):
        if not is_regular(file):
            raise InputError(
                f"baseline: expected {str(file)!r}, found none; save it with robustness gate RUN --save-baseline"
            )
    facts = read_toml(text, what="baseline")
    if facts.get("format") != FORMAT:
        raise InputError(
            f"baseline: {text.name} has format {facts.get('format')!r}, this version reads {FORMAT}; save it again"
        )
    if facts.get("summary_sha256") not in (None, _summary_hash(facts)):
        raise InputError(
            f"baseline: {text.name} was edited by hand since it was saved; restore it, or save the run again with"
            " --save-baseline"
        )
    if not isinstance(facts.get("plan"), dict) or not isinstance(facts.get("data"), list):
        raise InputError(f"baseline: {text.name} is damaged: it lacks its plan or data; restore both, or save it again")
    if sha256_file(scores) != facts.get("scores_sha256"):
        raise InputError(
            f"baseline: {scores.name} is not the file that {text.name} describes; restore both, or save it again"
        )
    return Baseline(text, facts)


def open_earlier(path: str | Path) -> StoredRun | Baseline:
    """Open what a run is compared with: a run's folder or a baseline file.

    Raises:
        InputError: there is neither.
    """
    if Path(path).is_dir() and not is_baseline(path):
        return open_stored(path)
    if not is_baseline(path):
        raise InputError(
            f"baseline: expected a run's folder or a baseline file, found none at {str(path)!r}; check the path"
        )
    return load_baseline(path)


def _scores(run: StoredRun) -> tuple[pd.DataFrame, list[str]]:
    results = run.results()
    candidates = dict.fromkeys((*run.plan.metrics.names, "dice", "mask_change", *run.plan.statistics.margins))
    metrics = [name for name in candidates if name in results]
    table = results[[name for name in (*_KEPT, *metrics) if name in results]].copy()
    # The text of an error may hold paths; that there was one is all that a comparison needs.
    table["error"] = ["failed" if text else "" for text in results["error"].fillna("")]
    return table, metrics


def _summary(run: StoredRun, manifest: dict[str, Any], table: pd.DataFrame, metrics: list[str], scores: Path) -> str:
    import tomli_w

    measured = run.measured
    facts = {
        "format": FORMAT,
        "name": scores.stem,
        "created": manifest["created"],
        "suite_version": str(manifest.get("suite_version") or robustness.__version__),
        "rules": dict(manifest.get("rules") or {}),
        "scores_sha256": sha256_file(scores),
        "rows": len(table),
        "plan": {"sha256": run.plan.sha256(), "measured": measured.plan},
        "data": [_data_facts(facts, measured) for facts in manifest["datasets"]],
        "model": [_model_facts(facts) for facts in manifest["models"]],
    }
    lines = _score_lines(table, metrics)
    digest = _summary_hash(tomllib.loads(tomli_w.dumps(facts) + lines))
    return _HEAD.format(name=scores.stem) + tomli_w.dumps({"summary_sha256": digest, **facts}) + lines


def _summary_hash(facts: Mapping[str, Any]) -> str:
    """Return the hash of what a summary states, its own hash left out; comments and blanks do not count."""
    stated = {key: value for key, value in facts.items() if key != "summary_sha256"}
    return hashlib.sha256(json.dumps(stated, sort_keys=True, default=str).encode()).hexdigest()


def _data_facts(facts: dict[str, Any], measured: Measured) -> dict[str, Any]:
    identity = {
        name: facts[name] for name in ("name", "split", "n_cases", "n_images", "n_subjects", "subject_is_image")
    }
    return {**identity, "sha256": measured.data[facts["name"], facts["split"]]}


def _model_facts(facts: dict[str, Any]) -> dict[str, Any]:
    weights = facts.get("weights") or facts.get("source") or {}
    digests = weights.get("sha256") or facts.get("sha256") or {}
    hashes = digests if isinstance(digests, dict) else {"": digests}
    identity = {"name": facts.get("name", ""), "model": facts.get("model", "")}
    return {**identity, "sha256": [f"{name} {digest}".strip() for name, digest in sorted(hashes.items())]}


def _score_lines(table: pd.DataFrame, metrics: list[str]) -> str:
    """Return the mean scores over subjects, one line per condition, so that a review shows what moved."""
    from robustness.metrics.pairing.contrasts import scores
    from robustness.metrics.pairing.rows import read_rows

    rows = read_rows(table)
    means = {
        (cell.model, cell.dataset, cell.condition, metric): cell.effect.mean()
        for metric in metrics
        for cell in scores(rows, metric)
        if cell.n_subjects
    }
    lines = []
    for (model, dataset), group in table.groupby(["model", "dataset"], sort=True):
        lines.append(f"\n[scores.{json.dumps(str(model))}.{json.dumps(str(dataset))}]")
        for condition, part in group.groupby("condition", sort=True):
            undefined = int((~part["applicable"] | (part["error"] != "") | part[metrics[0]].isna()).sum())
            values = {name: means.get((model, dataset, condition, name)) for name in metrics}
            shown = "".join(f", {name} = {value:.4f}" for name, value in values.items() if value is not None)
            lines.append(f"{json.dumps(str(condition))} = {{ rows = {len(part)}, undefined = {undefined}{shown} }}")
    return "\n".join(lines) + "\n"
