"""What is wrong with a dataset, before an audit meets it: findings over all splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.perturb.modality import canonical_modality
from robustness.runners.data import benchmark_folder
from robustness.runners.data.check_content import check_content, check_several_masks
from robustness.runners.data.check_files import Finding, check_files
from robustness.runners.data.check_prompts import check_prompts
from robustness.runners.data.dataset import MISSING, sha256
from robustness.runners.data.options import ReadingOptions, reading_options
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.read_records import read_records
from robustness.runners.data.records import Record, listed_texts, no_such
from robustness.runners.data.resplit import known_splits
from robustness.runners.data.set_scale import SetScale, decide_scale
from robustness.runners.data.subjects import DEFAULT_KEYS

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("error", "warning", "info")
COLUMNS = ("level", "code", "split", "case_id", "file", "message")

Splits = Mapping[str, Sequence[Record]]


def check_dataset(
    path: str | Path,
    split: str | None = None,
    *,
    prompt: str = "p6",
    pixels: bool = True,
    labels: Mapping[Any, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    window: Any = None,
    slices: Mapping[str, Any] | None = None,
    exif: str | None = None,
) -> pd.DataFrame:
    """Return what is wrong with a dataset, errors first.

    Args:
        path: a folder with images/, masks/ and anns/, or a manifest.
        split: one split only; None: all of them, and whether they share files or subjects.
        prompt: the prompt key (or column) that an audit would use.
        pixels: decode every image and mask; False looks at names and prompts only.
        labels, masks, window, slices, exif: how files are read, as `load_dataset` takes them.

    Returns:
        A table with the columns level ("error": the case or dataset cannot be used as it is; "warning": results may
        mislead; "info"), code, split, case_id, file, message. Empty where nothing was found.

    Raises:
        InputError: there is no such dataset, split or prompt, or its annotations cannot be parsed.
    """
    import pandas as pd

    source = Path(path).expanduser().resolve()
    options = reading_options(labels=labels, masks=masks, window=window, slices=slices, exif=exif)
    splits, findings = _read_splits(source, str(path), split=split, prompt=prompt, options=options)
    findings += [*_sources(source, splits), *_subjects(splits), *_modalities(source, splits)]
    findings += _across(splits, pixels=pixels)
    everything = [record for records in splits.values() for record in records]
    scale = decide_scale(everything, [record.image_path for record in everything], options) if pixels else SetScale()
    reader = PixelReader(options, scale, everything)
    findings += [Finding("info", "scale", note) for note in scale.notes()]
    declared = options.convention(source).combine is not None
    for name, records in splits.items():
        findings += [
            *_duplicates(name, records),
            *_prompts(name, records, prompt),
            *check_prompts(name, records),
            *check_files(name, records, pixels=pixels, reader=reader),
            *([] if declared else check_several_masks(name, records)),
        ]
    findings += check_content(splits, reader, pixels=pixels)
    rows = [{column: getattr(finding, column) for column in COLUMNS} for finding in findings]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["level"].map({level: place for place, level in enumerate(LEVELS)})
    return table.iloc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _read_splits(
    source: Path, shown: str, *, split: str | None, prompt: str, options: ReadingOptions
) -> tuple[dict[str, list[Record]], list[Finding]]:
    names = known_splits(source, shown=shown)
    if split and split not in names:
        raise no_such("split", split, names, f"{shown}/anns" if source.is_dir() else str(source))
    chosen = [split] if split else names
    if source.is_dir():
        return _read_folder(source, chosen, prompt, options)
    return {name: read_records(source, split=name, prompt=prompt, options=options) for name in chosen}, []


def _read_folder(
    source: Path, chosen: Sequence[str], prompt: str, options: ReadingOptions
) -> tuple[dict[str, list[Record]], list[Finding]]:
    """Read splits with `prompt`; one that lacks it is a finding and is read with its first key."""
    splits, findings = {}, []
    keys = {
        name: benchmark_folder.prompt_keys(benchmark_folder.read_entries(source / f"anns/{name}.json"))
        for name in chosen
    }
    if not any(prompt in offered for offered in keys.values()):
        raise no_such("prompt", prompt, sorted({key for offered in keys.values() for key in offered}), f"{source}/anns")
    for name, offered in keys.items():
        if not offered:
            findings.append(Finding("error", "no_prompt", "no entry has prompts", name, file=f"anns/{name}.json"))
            continue
        if prompt not in offered:
            message = f"no entry has the prompt key {prompt!r}; there are {', '.join(offered)}"
            findings.append(Finding("error", "prompt_key_missing", message, name, file=f"anns/{name}.json"))
        key = prompt if prompt in offered else offered[0]
        splits[name] = read_records(source, split=name, prompt=key, options=options)
    return splits, findings


def _sources(source: Path, splits: Splits) -> Iterator[Finding]:
    """Annotation files that are byte for byte the same."""
    if not source.is_dir():
        return
    files = {name: f"anns/{name}.json" for name in splits}
    digests: dict[str, list[str]] = defaultdict(list)
    for name, file in files.items():
        digests[sha256(source / file)].append(name)
    for names in digests.values():
        if len(names) > 1:
            message = f"the annotation files of {' and '.join(names)} are identical: a test on one is no test"
            yield Finding("error", "identical_splits", message, file=files[names[0]])


def _subjects(splits: Splits) -> Iterator[Finding]:
    records = [record for group in splits.values() for record in group]
    key = next((key for key in DEFAULT_KEYS if any(record.states(key) for record in records)), None)
    if key is None:
        message = "no entry names its subject: each image counts as one; add subject, or a regex on the image name"
        yield Finding("warning", "no_subject", message)
        return
    without = [record for record in records if not record.states(key)]
    if without:
        message = f"{len(without)} of {len(records)} entries lack {key!r} (first: {without[0].where})"
        yield Finding("error", "subject_missing", message, case_id=without[0].case_id)
    named = {name: {r.states(key) for r in group} - {""} for name, group in splits.items()}
    for name, subjects in named.items():
        if len(subjects) == 1 and len(splits[name]) > 1:
            message = f"all cases belong to the subject {min(subjects)!r}: no interval can speak about patients"
            yield Finding("warning", "one_subject", message, split=name)
    yield from _shared("subject", "subject_in_splits", named)


def _modalities(source: Path, splits: Splits) -> Iterator[Finding]:
    stated = {record.modality for group in splits.values() for record in group}
    if source.is_dir():
        stated.add(benchmark_folder.modality_of_set(source)[0])
    for text in sorted(stated - {""}):
        if not canonical_modality(text):
            message = f"modality {text!r} is not known; the common image changes will be used"
            yield Finding("info", "unknown_modality", message)
    if stated <= {""}:
        yield Finding("info", "no_modality", "no modality is stated; the common image changes will be used")


def _across(splits: Splits, *, pixels: bool) -> Iterator[Finding]:
    """Images that several splits share, by name, and by content under different names."""
    images = {name: {record.image_name for record in records} for name, records in splits.items()}
    yield from _shared("image", "image_in_splits", images)
    if not pixels or len(splits) < 2:
        return
    contents: dict[str, dict[str, str]] = defaultdict(dict)
    for split, records in splits.items():
        for name, path in {record.image_name: record.image_path for record in records}.items():
            digest = sha256(path)
            if digest != MISSING:
                contents[digest].setdefault(name, split)
    for names in contents.values():
        if len(names) > 1 and len(set(names.values())) > 1:
            listed = " and ".join(f"{name} ({split})" for name, split in names.items())
            yield Finding("warning", "same_image", f"one image under several names: {listed}", file=min(names))


def _shared(what: str, code: str, named: Mapping[str, set[str]]) -> Iterator[Finding]:
    places: dict[str, list[str]] = defaultdict(list)
    for split, names in named.items():
        for name in names:
            places[name].append(split)
    for name, where in sorted(places.items()):
        if len(where) > 1:
            yield Finding("warning", code, f"{what} {name!r} is in the splits {', '.join(where)}", file=name)


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
    keys = {key for record in records for key in record.siblings}
    for record in records:
        if record.problem:
            yield Finding("error", "no_prompt", record.problem, split, record.case_id)
        elif any(not text.strip() for text in record.texts) and prompt != "p0":
            yield Finding("warning", "empty_prompt", f"{record.where}: an empty text", split, record.case_id)
        lacking = sorted(keys - set(record.siblings))
        lacking += sorted(key for key, value in record.siblings.items() if not listed_texts(value))
        if lacking:
            message = f"{record.where}: no text under {', '.join(lacking)}, which other entries have"
            yield Finding("warning", "prompt_key_missing", message, split, record.case_id)
