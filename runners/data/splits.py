"""Splits made on request: whole subjects into folds, kept in one small file beside the data.

The file lists case ids by split ("fold0-train", "fold0-val", "fold0-test", ...; without folds "train", "val", "test"),
with what they were made from, so that other data is refused. The data itself is never touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import InputError, one_line
from robustness.files import check_output, sha256_file, write_text
from robustness.runners.data.records import Record, image_ids, listing, no_such
from robustness.runners.data.subjects import subjects_of
from robustness.seeds import generator

SCHEMA = "robustness-splits/1"


@dataclass(frozen=True)
class Splits:
    """Case ids by split name, and what they were made from.

    Attributes:
        data: name of the dataset.
        sources: the splits of the data that were pooled, in order.
        sha256: hash of each annotation file or manifest that was read.
        by: how subjects were known; "image" where the data names none.
        seed: of the draw.
        cases: split name to case ids, in the order of the data.
        subjects: split name to the number of subjects.
    """

    data: str
    sources: tuple[str, ...]
    sha256: Mapping[str, str]
    by: str
    seed: int
    cases: Mapping[str, tuple[str, ...]]
    subjects: Mapping[str, int]


def make_splits(
    records: Sequence[Record],
    *,
    data: str,
    sources: Sequence[str],
    files: Sequence[Path],
    by: str | None = None,
    folds: int | None = None,
    val: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
) -> Splits:
    """Divide records so that no subject, and no image, is in two parts.

    Subjects go to the part that lacks most of their targets, the largest first, in an order drawn from `seed`; so
    parts agree in size and in their shares of targets as far as whole subjects allow.

    Args:
        records: the cases, each once.
        data, sources, files: what they were read from.
        by: as `subject` of `load_dataset`: "image", a key or "regex:PATTERN"; None: the data's own subjects.
        folds: number of folds of a cross-validation: every subject is tested once; None: one split by shares.
        val: share of what is not tested that validates.
        test: share that is tested, where there are no folds.
        seed: of the draw.

    Raises:
        InputError: too few subjects, shares out of range, or an image that belongs to two subjects.
    """
    _check_shares(folds, val, test)
    subjects = subjects_of(records, image_ids(records), subject=by)
    _refuse_shared_images(records, subjects.ids)
    groups = _group(records, subjects.ids)
    needed = 3 if folds is None else folds + 2
    if len(groups) < needed:
        divided = not subjects.are_images and len(image_ids(records)) >= needed
        raise _too_few(data, len(groups), needed, folds, are_images=subjects.are_images, divided=divided)
    parts = _parts(groups, folds, val=val, test=test, seed=seed)
    owner = dict(zip((r.case_id for r in records), subjects.ids, strict=True))
    return Splits(
        data=data,
        sources=tuple(sources),
        sha256={file.name: sha256_file(file) for file in files},
        by="image" if subjects.are_images else (by or "subject"),
        seed=seed,
        cases={name: tuple(c for c, s in owner.items() if s in members) for name, members in parts.items()},
        subjects={name: len(members) for name, members in parts.items()},
    )


def write_splits(path: Path, splits: Splits) -> Path:
    """Write `splits` as JSON, one case a line, so that a review shows what moved."""
    document = {
        "schema": SCHEMA,
        "data": splits.data,
        "sources": list(splits.sources),
        "sha256": dict(splits.sha256),
        "by": splits.by,
        "seed": splits.seed,
        "subjects": dict(splits.subjects),
        "cases": {name: list(ids) for name, ids in splits.cases.items()},
    }
    check_output(path, "--out", ".json")
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def read_splits(path: str | Path) -> Splits:
    """Read what `write_splits` wrote.

    Raises:
        InputError: no such file, or no splits in it.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}")
        return Splits(
            data=str(document["data"]),
            sources=tuple(document["sources"]),
            sha256=dict(document["sha256"]),
            by=str(document["by"]),
            seed=int(document["seed"]),
            cases={name: tuple(ids) for name, ids in document["cases"].items()},
            subjects={name: int(n) for name, n in document["subjects"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = one_line(error)
        raise InputError(
            f"splits: expected a file made by `robustness split` at {str(path)!r}, got none ({reason})"
        ) from None


def chosen(splits: Splits, records: Sequence[Record], *, split: str, files: Sequence[Path], where: str) -> list[Record]:
    """Return the records of one split, in the order of the data.

    Raises:
        InputError: no such split, or the data is not what the splits were made from.
    """
    if split not in splits.cases:
        raise no_such("split", split, splits.cases, where)
    changed = [file.name for file in files if splits.sha256.get(file.name) != sha256_file(file)]
    if changed:
        raise InputError(
            f"splits: {where} was made from another version of {listing(changed)}; make the splits again, or restore it"
        )
    case_ids = set(splits.cases[split])
    return [record for record in records if record.case_id in case_ids]


def _too_few(data: str, found: int, needed: int, folds: int | None, *, are_images: bool, divided: bool) -> InputError:
    """Return the error of data with too few subjects; `divided`: there are enough images to divide by them."""
    counted = " (each image counts as one)" if are_images else ""
    fixes = ["ask for fewer folds" if folds is not None and folds > 2 else "add subjects"]
    fixes += ["divide by 'image'"] if divided else []
    return InputError(
        f"{'data' if folds is None else 'folds'}: expected at least {needed} subjects for {_asked(folds)}, {data} has "
        f"{found}{counted}; {', or '.join(fixes)}"
    )


def _check_shares(folds: int | None, val: float, test: float) -> None:
    if folds is not None and folds < 2:
        raise InputError(f"folds: expected at least 2, got {folds}")
    for name, share in (("val", val), ("test", test)):
        if not 0 < share < 1:
            raise InputError(f"{name}: expected a share between 0 and 1, got {share}")


def _asked(folds: int | None) -> str:
    return "a split into train, val and test" if folds is None else f"{folds} folds with training and validation"


def _refuse_shared_images(records: Sequence[Record], subjects: Sequence[str]) -> None:
    owners: dict[str, str] = {}
    for record, subject in zip(records, subjects, strict=True):
        other = owners.setdefault(record.image_name, subject)
        if other != subject:
            raise InputError(
                f"by: image {record.image_name!r} belongs to the subjects {other!r} and {subject!r}; parts would share"
                " it; split by 'image', or fix the data"
            )


def _group(records: Sequence[Record], subjects: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of cases of each target, by subject."""
    groups: dict[str, dict[str, int]] = {}
    for record, subject in zip(records, subjects, strict=True):
        counts = groups.setdefault(subject, {})
        counts[record.target] = counts.get(record.target, 0) + 1
    return groups


def _parts(
    groups: Mapping[str, Mapping[str, int]], folds: int | None, *, val: float, test: float, seed: int
) -> dict[str, set[str]]:
    if folds is None:
        rest = (1 - test) * (1 - val), (1 - test) * val, test
        train, valid, tests = _divide(groups, rest, generator(seed, "split"))
        return {"train": train, "val": valid, "test": tests}
    # Who is not tested must still be enough to train and to validate.
    tested = _divide(groups, [1 / folds] * folds, generator(seed, "split"), most=len(groups) - 2)
    parts: dict[str, set[str]] = {}
    for fold, tests in enumerate(tested):
        others = {name: counts for name, counts in groups.items() if name not in tests}
        train, valid = _divide(others, (1 - val, val), generator(seed, "split", fold))
        parts |= {f"fold{fold}-train": train, f"fold{fold}-val": valid, f"fold{fold}-test": tests}
    return parts


def _divide(
    groups: Mapping[str, Mapping[str, int]],
    shares: Iterable[float],
    rng: np.random.Generator,
    *,
    most: int | None = None,
) -> list[set[str]]:
    """Divide subjects by shares of cases, each part with at least one and at most `most`, targets spread alike."""
    shares = list(shares)
    names = sorted(groups)
    drawn = [names[i] for i in rng.permutation(len(names))]
    order = sorted(drawn, key=lambda name: -sum(groups[name].values()))
    totals: dict[str, int] = {}
    for counts in groups.values():
        for target, n in counts.items():
            totals[target] = totals.get(target, 0) + n
    parts: list[set[str]] = [set() for _ in shares]
    filled: list[dict[str, int]] = [{} for _ in shares]
    for index, name in enumerate(order):
        empty = [i for i, part in enumerate(parts) if not part]
        free = [i for i, part in enumerate(parts) if most is None or len(part) < most]
        able = empty if len(order) - index <= len(empty) else free
        best = max(able, key=lambda i: _lack(groups[name], filled[i], totals, shares[i]))
        parts[best].add(name)
        for target, n in groups[name].items():
            filled[best][target] = filled[best].get(target, 0) + n
    return parts


def _lack(own: Mapping[str, int], counts: Mapping[str, int], totals: Mapping[str, int], share: float) -> float:
    """Return how much of a subject's targets a part still lacks, as a share of what it should hold."""
    lacks: list[float] = [n * (1 - counts.get(target, 0) / (share * totals[target])) for target, n in own.items()]
    return sum(lacks)


def summary(splits: Splits) -> list[dict[str, Any]]:
    """Return one row per split: name, cases, subjects."""
    return [{"split": name, "cases": len(ids), "subjects": splits.subjects[name]} for name, ids in splits.cases.items()]
