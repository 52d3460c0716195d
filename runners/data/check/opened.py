"""The check before every audit and finetuning: what names, headers, words and the values of masks tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from robustness.errors import InputError
from robustness.runners.data.check.attributes import RequiredSubjects, check_groups
from robustness.runners.data.check.dataset import known_subjects
from robustness.runners.data.check.files import check_files, check_mask_values
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.check.identifiers import check_identifiers
from robustness.runners.data.check.prompts import check_prompts
from robustness.runners.data.check.splits import Subjects, check_splits
from robustness.runners.data.dataset import Dataset
from robustness.runners.data.options import reading_options
from robustness.runners.data.read_records import read_records
from robustness.runners.data.records import Record
from robustness.runners.data.resplit import known_splits

# Errors of single cases: each of them becomes a row with its reason, and the audit goes on.
_OF_CASES = frozenset({"missing_image", "missing_mask", "unreadable_volume"})
# What the notes of a dataset and the warnings of a run say already.
_NOTED = frozenset({"no_subject", "one_subject", "subject_missing", "subject_spellings"})


def check_opened(
    dataset: Dataset,
    others: Mapping[str, Sequence[Record]] | None = None,
    *,
    groups: Sequence[str] = (),
    required: RequiredSubjects | None = None,
) -> list[Finding]:
    """Return the errors and warnings that cheap rules find, one for each kind.

    Args:
        dataset: the opened split.
        others: further splits, which must share no subject and no image with it.
        groups: columns whose groups need enough subjects.
        required: how many; None: any number will do.
    """
    split = dataset.split
    splits = {split: dataset.records, **(others or {})}
    subjects = _subjects(dataset, others or {})
    findings = [
        *check_splits(Path(str(dataset.spec().get("path", ""))), splits, subjects, contents=False),
        *check_prompts(split, dataset.records),
        *check_files(split, dataset.records, reader=None),
        *check_mask_values(split, dataset.records),
        *check_identifiers({split: dataset.records}),
    ]
    if required is not None and groups:
        findings += check_groups(split, dataset.records, subjects[split], groups, required=required)
    return condensed(
        finding._replace(level="warning") if finding.code in _OF_CASES else finding
        for finding in findings
        if finding.level != "info" and finding.code not in _NOTED and finding.split in ("", split)
    )


def sibling_splits(dataset: Dataset) -> dict[str, Sequence[Record]]:
    """Return the other splits of a dataset where reading them opens no file but the annotations, else {}."""
    spec = dataset.spec()
    if spec.get("splits") or any(record.slice is not None for record in dataset.records):
        return {}
    source = Path(str(spec.get("path", "")))
    options = reading_options(labels=spec.get("labels"), masks=spec.get("masks"))
    siblings: dict[str, Sequence[Record]] = {}
    try:
        for name in known_splits(source, shown=str(source)):
            if name != dataset.split:
                siblings[name] = read_records(source, split=name, prompt=dataset.prompt, options=options)
    except InputError:
        # Another split may lack the prompt key or be damaged; only this one is used.
        return siblings
    return siblings


def condensed(findings: Iterable[Finding]) -> list[Finding]:
    """Return the first finding of each kind, with how many more there are, errors first."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.level, finding.code), []).append(finding)
    firsts = [
        own[0]._replace(message=own[0].message + (f" (and {len(own) - 1} more)" if len(own) > 1 else ""))
        for own in kinds.values()
    ]
    return sorted(firsts, key=lambda finding: finding.level != "error")


def refuse_errors(findings: Sequence[Finding], name: str) -> None:
    """Refuse a dataset with an error.

    Raises:
        InputError: the first error, and how to go on in spite of it.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise InputError(
            f"data: {name}: {errors[0].message} ({errors[0].code}); `robustness check` lists all findings, "
            '[data] check = "warn" goes on in spite of them'
        )


def _subjects(dataset: Dataset, others: Mapping[str, Sequence[Record]]) -> Subjects:
    own = {} if dataset.subject_is_image else {info.case_id: info.subject_id for info in dataset.infos}
    stated = dataset.spec().get("subject")
    found, _ = known_subjects(others, None if stated is None else str(stated))
    return {dataset.split: own, **found}
