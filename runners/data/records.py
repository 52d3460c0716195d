"""One entry of an annotation file or manifest, before it becomes a case: no pixel is read here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from robustness.errors import InputError, printable, suggest
from robustness.limits import limits
from robustness.results import case_id_of
from robustness.runners.data.masks.source import MaskSource

# What R, pandas, spreadsheets and registries write where a name is not known; two such cells may be two persons.
_NOBODY = frozenset(
    {"", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "none", "null", "unknown", "unk", "missing", "?", "-", "--"}
)
# Keys and columns that name the patient, the first that is stated counts. `participant_id` is that of BIDS.
SUBJECT_KEYS = ("subject", "subject_id", "patient_id", "participant_id", "PatientID")


@dataclass(frozen=True, slots=True)
class SliceAddress:
    """One slice of a volume: plane, index along the stored axis, display, and the sequence of a 4D file."""

    plane: str
    index: int
    orientation: str = "radiological"
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One (image, mask, listed texts) of a dataset.

    Attributes:
        where: the place in the file, for messages ("anns/test.json entry 4").
        case_id: see `robustness.results.case_id_of`.
        image_name, mask_name: as the data writes them.
        texts: the listed texts of the chosen prompt key, in order, without repeats.
        siblings: all prompt keys of the entry, as they stand in the file.
        target: what the entry itself says that it shows; may be "".
        modality: as the entry states it; may be "".
        attributes: the entry's attributes.
        extra: the entry's other keys (`subject`, a manifest's further columns).
        spacing_mm: pixel spacing (row, column), where stated.
        problem: why the case cannot be used, or "".
        source: where the mask lies and what its pixels mean; None: the one file `mask_path`, as its pixels tell.
        stated_id: the case id that the data state; "" where the mask names the case.
        slice: of a volume; None for an image file, and for a volume that is still to be cut into slices.
    """

    where: str
    case_id: str
    image_name: str
    image_path: Path
    mask_name: str
    mask_path: Path
    texts: tuple[str, ...]
    siblings: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    modality: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    problem: str = ""
    source: MaskSource | None = None
    stated_id: str = ""
    slice: SliceAddress | None = None

    @property
    def mask_source(self) -> MaskSource:
        """Where the mask lies and what its pixels mean."""
        return self.source or MaskSource(paths=(self.mask_path,))

    def states(self, key: str) -> str:
        """Return the value of `key` among the entry's keys and attributes as text, or ""."""
        for source in (self.extra, self.attributes):
            if not is_absent(source.get(key)):
                return str(source[key]).strip()
        return ""

    @property
    def stated_subject(self) -> str:
        """Whom the entry says that it shows, or ""."""
        return next((name for key in SUBJECT_KEYS if not names_nobody(name := self.states(key))), "")

    def same_content(self, other: Record) -> bool:
        """Tell whether two entries say the same about the same files."""
        mine, theirs = ((r.image_name, r.mask_name, r.texts, r.siblings, r.target) for r in (self, other))
        return (
            mine == theirs
            and self.attributes == other.attributes
            and self.extra == other.extra
            and self.mask_source == other.mask_source
        )


def names_nobody(subject: str) -> bool:
    """Tell whether the text in a subject's place is empty or says that the subject is not known ("NA", "unknown")."""
    return subject.strip().casefold() in _NOBODY


def is_absent(value: Any) -> bool:
    """Tell whether a field holds nothing: None, NaN or an empty text."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value)


def field_text(value: Any) -> str:
    """Return a field as text without blanks around it, "" where it holds nothing."""
    return "" if is_absent(value) else str(value).strip()


def is_nested(value: Any) -> bool:
    """Tell whether a field holds several values: a list, an array or a structure."""
    return isinstance(value, list | tuple | Mapping) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0)


def refuse_nested(key: str, values: Iterable[tuple[str, Any]]) -> None:
    """Refuse lists and structures (of Parquet) where one value names a file, a case or a patient.

    Written as text, each list would be a name of its own.

    Args:
        key: the column or key.
        values: each with its place in the data.

    Raises:
        InputError: a value is one.
    """
    place = next((where for where, value in values if is_nested(value)), None)
    if place is not None:
        raise InputError(
            f"data: expected one value under {key!r}, got a list or structure in {place}; write a column that holds "
            "the value alone"
        )


def listed_texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a prompt field (one text or a list of them), in order and without repeats.

    Every character is kept, an empty text too (`p0` is the empty prompt). None and NaN give ().
    """
    # Parquet gives the lists that it holds as arrays.
    items = list(value) if isinstance(value, list | tuple) or hasattr(value, "tolist") else [value]
    texts = [item for item in items if isinstance(item, str)]
    return tuple(dict.fromkeys(texts))


def spacing_of(y: Any, x: Any, where: str) -> tuple[float, float] | None:
    """Return (row, column) spacing in mm, or None where neither is stated.

    Raises:
        InputError: one of the two is missing, or a value is not a positive number.
    """
    if is_absent(y) and is_absent(x):
        return None
    try:
        # Tables of many countries write 0,5.
        spacing = (float(str(y).replace(",", ".")), float(str(x).replace(",", ".")))
    except (TypeError, ValueError):
        spacing = (math.nan, math.nan)
    if not all(math.isfinite(value) and value > 0 for value in spacing):
        raise InputError(
            f"spacing_mm in {where}: expected two positive numbers (row, column) in mm, got {y!r} and {x!r}"
        )
    return spacing


def without_duplicates(records: Sequence[Record]) -> tuple[list[Record], int]:
    """Return the records in order, exact repeats once, and the number of repeats left out.

    Raises:
        InputError: two different entries have one case_id.
    """
    unique: dict[str, Record] = {}
    repeats = 0
    for record in records:
        first = unique.get(record.case_id)
        if first is None:
            unique[record.case_id] = record
            continue
        if not first.same_content(record):
            raise _conflict(first, record)
        repeats += 1
    return list(unique.values()), repeats


def joined_rows(records: Sequence[Record]) -> list[Record]:
    """Join the rows of a table by case; a row that adds no text comes back as a repeat of its case, to be counted."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.case_id, []).append(record)
    cases: list[Record] = []
    others: list[Record] = []
    for first, *more in groups.values():
        texts, repeats = first.texts, []
        for record in more:
            if not _same_case(first, record):
                others.append(record)
            elif set(record.texts) <= set(texts):
                repeats.append(record.where)
            else:
                texts = tuple(dict.fromkeys((*texts, *record.texts)))
        read = any(text.strip() for text in texts)
        cases.append(replace(first, texts=texts, problem="" if read else first.problem))
        others.extend(replace(cases[-1], where=where) for where in repeats)
    return [*cases, *others]


def _same_case(one: Record, other: Record) -> bool:
    mine, theirs = (
        (r.image_name, r.mask_name, r.target, r.modality, r.spacing_mm, r.stated_subject) for r in (one, other)
    )
    # As text, so that two missing values are equal.
    return mine == theirs and {k: str(v) for k, v in one.extra.items()} == {k: str(v) for k, v in other.extra.items()}


def _conflict(first: Record, record: Record) -> InputError:
    """Return the error for two entries of one case id: two cases, or texts of one case whose columns disagree."""
    names = differences(first, record)
    one_case = (first.image_name, first.mask_source) == (record.image_name, record.mask_source)
    further = [name for name in names if name != "'prompt'"]
    if one_case and further and len(further) < len(names):
        names = further
        cure = "texts of one case agree in every other column: remove that column, or "
    else:
        cure = ""
    return InputError(
        f"case_id: expected one entry for each, got {record.case_id!r} for {first.where} ({first.mask_name}) "
        f"and {record.where} ({record.mask_name}), which differ in {listing(names)}; {cure}"
        "state a `case_id` for each (a key of the entry, a column of the table), or remove one"
    )


def differences(one: Record, other: Record) -> list[str]:
    """Return the names of the fields, keys and columns in which two entries differ."""
    fields = ["image_name", "mask_name", "texts", "target", "modality", "spacing_mm", "mask_source"]
    shown = {"image_name": "image", "mask_name": "mask", "texts": "prompt", "mask_source": "mask"}
    names = [shown.get(name, name) for name in fields if getattr(one, name) != getattr(other, name)]
    for mine, theirs in ((one.attributes, other.attributes), (one.extra, other.extra), (one.siblings, other.siblings)):
        names += [key for key in {**mine, **theirs} if str(mine.get(key)) != str(theirs.get(key))]
    return [f"{name!r}" for name in dict.fromkeys(names)] or ["their order"]


def usable(record: Record) -> Record:
    """Return a record whose texts can be read and stored; one that holds others is flagged, and the rest goes on.

    A text beyond the limit in force is not parsed. A NUL or a lone surrogate can neither be tokenized nor stored.
    """
    texts = [*record.texts, *(text for value in record.siblings.values() for text in listed_texts(value))]
    names = (record.case_id, record.image_name, record.mask_name, record.target)
    longest, most = max(map(len, texts), default=0), limits().text_characters
    if longest > most:
        problem = f"expected texts of at most {most} characters ([limits] text_characters), got {longest}"
    elif any(not _is_storable(text) for text in (*texts, *names)):
        problem = "expected texts and names that can be stored, got one with a NUL or a lone surrogate"
    else:
        return record
    return replace(
        record,
        case_id=printable(record.case_id),
        target=printable(record.target),
        texts=(),
        siblings={},
        attributes={},
        problem=record.problem or f"{record.where}: {problem}",
    )


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def image_ids(records: Iterable[Record]) -> dict[str, str]:
    """Map each image name to its id: the name without suffix, or with it where two images differ in nothing else."""
    names = list(dict.fromkeys(record.image_name for record in records))
    short = {name: case_id_of(name) for name in names}
    shared = Counter(short.values())
    return {name: short[name] if shared[short[name]] == 1 else name.replace("/", "__") for name in names}


def listing(names: Iterable[str], *, most: int = 12) -> str:
    """Return names for a message: the first `most`, then how many more there are."""
    items = list(names)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return (", ".join(items[:most]) or "none") + more


def no_such(argument: str, got: str, offered: Iterable[str], where: str) -> InputError:
    """Return the error for a name that the data lacks: what exists, and the near one."""
    names = list(offered)
    return InputError(f"{argument}: expected one of {listing(names)} in {where}, got {got!r}{suggest(got, names)}")
