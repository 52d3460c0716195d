"""What is wrong with the entries of a split: repeats, case ids that conflict, prompts that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robustness.errors import counted
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.read_records import several_of_one
from robustness.runners.data.records import Record, listed_texts, listing


def check_entries(split: str, records: Sequence[Record], *, prompt: str, combined: bool) -> Iterator[Finding]:
    """Yield what is wrong with the entries of a split.

    Args:
        split: its name.
        records: its annotations.
        prompt: the prompt key; the empty prompt p0 may be empty.
        combined: the plan says how several masks of one image count.
    """
    yield from _duplicates(split, records)
    yield from _prompts(split, records, prompt)
    if not combined:
        yield from _several_masks(split, records)


def _duplicates(split: str, records: Sequence[Record]) -> Iterator[Finding]:
    seen: dict[str, Record] = {}
    for record in records:
        first = seen.get(record.case_id)
        if first is None:
            seen[record.case_id] = record
        elif first.same_content(record):
            message = f"{record.where} repeats {first.where}; it is used once"
            yield Finding("error", "duplicate_entry", message, split, record.case_id, record.mask_name)
        else:
            message = f"{record.where} and {first.where} have one case id and differ; the split cannot be opened"
            yield Finding("error", "case_id_conflict", message, split, record.case_id, record.mask_name)


def _prompts(split: str, records: Sequence[Record], prompt: str) -> Iterator[Finding]:
    keys = {key for record in records if record.texts for key in record.siblings}
    for record in records:
        # A volume that cannot be read has no slice that a prompt could be made for; `check_files` says why.
        if record.slice is not None and record.problem and not record.texts:
            continue
        if record.problem:
            yield Finding("error", "no_prompt", record.problem, split, record.case_id)
        elif any(not text.strip() for text in record.texts) and prompt != "p0":
            yield Finding("warning", "empty_prompt", f"{record.where}: an empty text", split, record.case_id)
        lacking = sorted(keys - set(record.siblings))
        lacking += sorted(key for key, value in record.siblings.items() if not listed_texts(value))
        if lacking:
            message = f"{record.where}: no text under {', '.join(lacking)}, which other entries have"
            yield Finding("warning", "prompt_key_missing", message, split, record.case_id)


def _several_masks(split: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield the images for which one text asks for several masks."""
    groups = several_of_one(records)
    if groups:
        first = groups[0]
        names = listing(record.mask_name for record in first)
        message = (
            f"{counted(len(groups), 'image')} with several masks for one text (first: {names}); a model that shows all "
            'of them is scored against each alone; state masks = {combine = "union"} or "instances"'
        )
        yield Finding("warning", "several_masks", message, split, first[0].case_id, first[0].mask_name)
