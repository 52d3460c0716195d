"""Check that a run is finished and that its files are those which the audit wrote.

Every reader of a run asks here first, so that nothing is concluded from a run that was killed, damaged or edited. The
hashes are taken once for each state of the folder (size, time and place of every file). Two runs that are compared are
asked whether the same code made them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from robustness.errors import InputError, counted
from robustness.files import sha256_file
from robustness.own_files import Kinds, read_json
from robustness.regular_files import check_regular, shown_path
from robustness.run_folder import CERTIFICATE, EFFECTS, GALLERY, MANIFEST, PLAN, SHA256, STATE, VERDICTS, RunFolder

_NEEDS: Final[Mapping[str, Any]] = {
    "tables": dict,
    "plan_sha256": str,
    "models": list,
    "datasets": list,
    "counts": dict,
}
# What a manifest may hold besides; nothing where it was not recorded.
_MAY_HOLD: Final[Mapping[str, Kinds]] = {
    "title": str,
    "created": str,
    "seed": int,
    "model": dict,
    "dataset": dict,
    "statistics": dict,
    "metrics": dict,
    "packages": dict,
    "rules": dict,
    "timing": dict,
    "warnings": list,
    "certificate": dict,
}
_RESUME: Final = "run the same audit again to resume it"
_AGAIN: Final = "delete it and run the same audit again, which writes it again"
_ONE_VERSION: Final = (
    "differences may come from the suite and not from the model; run both with one version to be sure."
)

_LOG: Final = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int, int], ...]

# Folder to the state that was checked last; hashing a large run takes seconds, and a page reads it many times.
_checked: dict[Path, tuple[Signature, dict[str, Any]]] = {}


def finished_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished run whose files hold.

    Raises:
        InputError: the audit is not finished, or a file of the run is missing, added or another than the audit wrote.
    """
    home = folder.resolve()
    signature = _signature(home)
    if home in _checked and _checked[home][0] == signature:
        return _checked[home][1]
    manifest = read_manifest(folder)
    problem = first_difference(home, manifest["tables"])
    if problem is not None:
        raise InputError(f"run: {shown_path(folder)}: {problem}")
    _checked[home] = signature, manifest
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished run; its hashes are not compared.

    Raises:
        InputError: the audit is not finished, or the manifest is damaged.
    """
    if not os.path.lexists(folder / MANIFEST):
        if not any(os.path.lexists(folder / part) for part in (PLAN, "results")):
            raise InputError(f"run: expected a run folder with results/*.parquet, found none in {shown_path(folder)!r}")
        raise InputError(
            f"run: expected a finished run, {shown_path(folder)!r} has no {MANIFEST}{_progress(folder)}; {_RESUME}"
        )
    manifest = read_json(folder / MANIFEST, "run", needs=_NEEDS, optional=_MAY_HOLD, fix=_AGAIN)
    for key in ("models", "datasets"):
        if not all(isinstance(entry, dict) for entry in manifest[key]):
            raise InputError(f"run: {MANIFEST} is damaged: expected tables under {key!r}; {_AGAIN}")
    return manifest


def first_difference(folder: Path, recorded: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the files of a run and how to go on, or None where all hashes hold.

    Args:
        folder: the run's folder.
        recorded: name inside the run to SHA-256, as the manifest states them.
    """
    for name in (PLAN, EFFECTS, VERDICTS):
        if name not in recorded:
            return f"{MANIFEST} states no hash of {name}; {_AGAIN.replace('it', MANIFEST, 1)}"
    present = {f"results/{path.name}" for path in (folder / "results").glob("part-*.parquet")}
    added = sorted(present - set(recorded))
    if added:
        return f"{added[0]} is no file that the audit wrote; remove it"
    for name, digest in sorted(recorded.items()):
        problem = _difference(folder / name, name, digest)
        if problem is not None:
            return problem
    return None


def is_concluded(folder: Path) -> bool:
    """Return whether a run's manifest, effects, verdicts and gallery are those of its rows; False: conclude again.

    Raises:
        InputError: the manifest is damaged.
    """
    if not os.path.lexists(folder / MANIFEST):
        return False
    recorded = read_manifest(folder)["tables"]
    if CERTIFICATE not in recorded and os.path.lexists(folder / CERTIFICATE):
        # Measured by an audit that was killed before it could say so.
        return False
    problem = first_difference(folder, recorded)
    if problem is not None:
        _LOG.warning("%s: %s; the conclusions are drawn from the rows again", shown_path(folder), problem.split(";")[0])
    return problem is None


def check_resumable(run: RunFolder) -> None:
    """Refuse to go on with rows that are not those which the audit wrote; rows that are missing come again.

    Raises:
        InputError: a part or the manifest is damaged or was changed, or a part is none of the audit's.
    """
    parts = sorted(run.results.glob("part-*.parquet"))
    recorded = _recorded(run)
    for path in parts:
        name = f"results/{path.name}"
        problem = _difference(path, name, recorded[name]) if name in recorded else None
        if problem is not None:
            raise InputError(f"out: {shown_path(run.path)}: {problem}")


def _recorded(run: RunFolder) -> dict[str, str]:
    """Return the hash of each part: as its own note says, and over it as the manifest says."""
    recorded: dict[str, str] = {}
    for path in run.pictures.glob("work-*.json"):
        digest = run.read_json(f"{run.pictures.name}/{path.name}").get(SHA256)
        if isinstance(digest, str):
            recorded[f"results/part-{path.stem.removeprefix('work-')}.parquet"] = digest
    if os.path.lexists(run.path / MANIFEST):
        recorded |= read_manifest(run.path)["tables"]
    return recorded


def _difference(path: Path, name: str, digest: Any) -> str | None:
    try:
        check_regular(path)
        if sha256_file(path) == digest:
            return None
    except FileNotFoundError:
        return f"{name} is missing; restore it, or {_RESUME}"
    except OSError as error:
        return f"{name} cannot be read ({error}); restore it, or {_AGAIN}"
    if name == PLAN:
        return f"{name} was changed since the audit ran (its hash differs); restore it, or {_AGAIN}"
    return f"{name} is not what the audit wrote (its hash differs); restore it, or {_AGAIN}"


def _progress(folder: Path) -> str:
    """Return how far an unfinished run is, where its state tells."""
    try:
        parts = read_json(folder / STATE, "run", needs={"parts": int}, fix="")["parts"]
    except InputError:
        return ""
    done = len(list((folder / "results").glob("part-*.parquet")))
    return f" ({done} of {counted(parts, 'part')} {'is' if done == 1 else 'are'} there)"


def _signature(folder: Path) -> Signature:
    names = [PLAN, MANIFEST, EFFECTS, VERDICTS, GALLERY, CERTIFICATE, *sorted(_parts(folder))]
    return tuple((name, *_facts(folder / name)) for name in names)


def _parts(folder: Path) -> list[str]:
    return [f"results/{path.name}" for path in (folder / "results").glob("part-*.parquet")]


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return -1, -1, -1
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def other_rules(
    now: Mapping[str, Any], then: Mapping[str, Any], *, names: tuple[str, str], advice: str = _ONE_VERSION
) -> str:
    """Return a warning where two runs were made by different code of the suite, or where one does not say; else "".

    Args:
        now, then: manifests, or the summary of a baseline, with `suite_version` and `rules`.
        names: how they are called.
        advice: what that means for their differences.
    """
    versions = [str(one.get("suite_version") or "not recorded") for one in (now, then)]
    rules: list[Mapping[str, str]] = [one.get("rules") or {} for one in (now, then)]
    unknown = [name for name, one in zip(names, rules, strict=True) if not one]
    if len(unknown) == 2 and versions[0] == versions[1]:
        return ""
    if unknown:
        verb = "does" if len(unknown) == 1 else "do"
        made = f"({names[0]} by version {versions[0]}, {names[1]} by {versions[1]})"
        return (
            f"{' and '.join(unknown)} {verb} not record the rules of reading, perturbing and judging {made}: {advice}"
        )
    differing = [key for key in {**rules[0], **rules[1]} if rules[0].get(key) != rules[1].get(key)]
    if not differing and versions[0] == versions[1]:
        return ""
    what = f"other rules of {', '.join(differing)}" if differing else "another version"
    return f"{names[0]} and {names[1]} were made by {what} of the suite ({versions[0]} and {versions[1]}): {advice}"
