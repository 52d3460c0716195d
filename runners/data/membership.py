"""Membership: the subjects and images of a dataset, as a checkpoint records them, and who of an audit is among them.

A plain hash of a name is a pseudonym and no secret: who guesses the name finds it. No salt is used, for two salted
lists could not be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from robustness.errors import CaseError, counted, verb

if TYPE_CHECKING:
    from robustness.runners.data.dataset import Dataset

RECORD = "subjects"
Form = Literal["hashed", "plain", "off"]
# 64 bits: two of a million names are equal by chance with probability 3e-8.
_DIGITS = 16


def members(
    dataset: Dataset, *, role: str, form: Form = "hashed", pixels: Callable[[Dataset], Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """Return the record of who is in a dataset, as JSON values; `pixels` reads in place of `pixel_digests`.

    Keys: `role` ("train", "validation", "pool"), `data` and `split` (names), `fingerprint` (sha256 of the hashes of its
    files), `unit` ("patient" or "image"), `form`, `ids` (subjects, sorted, hashed unless `form` is "plain"), `images`
    (hashes of the content of each image's file), `pixels` (hashes of what is read from it). With "off" the last three
    are missing.
    """
    record: dict[str, Any] = {
        "role": role,
        "data": dataset.name,
        "split": dataset.split,
        "fingerprint": hashlib.sha256(json.dumps(dataset.fingerprint(), sort_keys=True).encode()).hexdigest(),
        "unit": "image" if dataset.subject_is_image else "patient",
        "form": form,
    }
    if form == "off":
        return record
    ids = {info.subject_id.strip() for info in dataset.infos}
    names = sorted(ids if form == "plain" else {digest(name) for name in ids})
    content, seen = (sorted(set(read(dataset).values())) for read in (image_digests, pixels or pixel_digests))
    return {**record, "ids": names, "images": content, "pixels": seen}


def digest(name: str) -> str:
    """Return the first 16 hexadecimal digits of a name's sha256.

    Example:
        >>> digest("patient1")
        'd3d7b232f030f5c1'
    """
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]


def image_digests(dataset: Dataset) -> dict[str, str]:
    """Return image id -> hash of its file's content (of all files of a DICOM folder); unreadable ones are left out."""
    # Models read records of this module: a look-up of their names must not import what reads data.
    from robustness.runners.data.dataset import MISSING

    hashes = dataset.fingerprint()
    by_path: dict[str, str] = {}
    for record in dataset.records:
        path = dataset.relative(record.image_path)
        if path not in by_path:
            inside = [value for name, value in hashes.items() if name.startswith(f"{path}/")]
            content = hashes.get(path) or (digest("".join(inside)) if inside else MISSING)
            by_path[path] = content[:_DIGITS]
    pairs = zip(dataset.infos, dataset.records, strict=True)
    contents = {info.image_id: by_path[dataset.relative(record.image_path)] for info, record in pairs}
    return {image: content for image, content in contents.items() if content != MISSING}


def pixel_digests(dataset: Dataset, *, part: int = 0, parts: int = 1) -> dict[str, str]:
    """Return image id -> hash of its pixels as they are read, the same for a copy in another file or format.

    Left out are unreadable images, and those of a single value: empty slices of two patients are no copies. Of several
    readers each takes every `parts`-th image, from `part` on.
    """
    digests: dict[str, str] = {}
    first: dict[str, int] = {}
    for index, info in enumerate(dataset.infos):
        first.setdefault(info.image_id, index)
    for name, index in list(first.items())[part::parts]:
        try:
            image = dataset.image(index)
        except CaseError:
            continue
        if image.min() < image.max():
            digests[name] = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:_DIGITS]
    return digests


class Overlap(NamedTuple):
    """What of an audited dataset a model's record of its training holds.

    Attributes:
        recorded: whether there is a record with names.
        n_subjects: audited subjects; n_images: audited images.
        trained, validated: subjects among the trained ones, and among those that chose the checkpoint alone.
        images: audited images whose content was trained or validated on.
        namesakes: subjects whose name is recorded for data of another name: perhaps others.
        gap: why the record cannot show that nobody was trained on, though nobody was found; "" where it can.
        incomplete: why nobody found is no proof even so: no patient is known, the weights it started from record
            nothing, or an older record holds no pixels; "" where it is one.
    """

    dataset: str
    unit: str
    recorded: bool
    n_subjects: int
    n_images: int
    trained: int = 0
    validated: int = 0
    images: int = 0
    namesakes: int = 0
    gap: str = ""
    incomplete: str = ""

    @property
    def complete(self) -> bool:
        """Return whether nobody found proves that nobody was trained on."""
        return not self.incomplete

    @property
    def status(self) -> str:
        """Return "not recorded", "overlap" or "none"."""
        if not self.recorded:
            return "not recorded"
        return "overlap" if self.trained + self.validated + self.images else "none"

    def facts(self) -> dict[str, Any]:
        """Return what a manifest records."""
        return {**self._asdict(), "complete": self.complete, "status": self.status}

    def warning(self, model: str) -> str:
        """Return what a reader must know before any number; "" where nothing is shared."""
        if self.status != "overlap":
            return ""
        of = f"of {counted(self.n_subjects, f'audited {self.unit}')} of {self.dataset}"
        parts = [f"{self.trained} {of} {verb(self.trained, 'were')} trained on"] if self.trained else []
        parts += [f"{self.validated} {of} chose the checkpoint (validation)"] if self.validated else []
        has = "has" if self.images == 1 else "have"
        images = f"{self.images} of {counted(self.n_images, 'image')} {has} the content of training images"
        parts += [images] if self.images else []
        return (
            f"{model} has seen test data in training: {'; '.join(parts)}. Its scores are no estimate for new"
            f" {self.unit}s."
        )


def overlap_of(model: Any, dataset: Dataset, *, pixels: Callable[[], Mapping[str, str]] | None = None) -> Overlap:
    """Compare a dataset with every record of training that a model's provenance holds, its members' and bases' too.

    Subjects are compared by name within data of the same name, images by the content of their files and by their pixels
    whatever their names are.

    Args:
        model, dataset: of an audit.
        pixels: returns the dataset's `pixel_digests`, for which each image is read; asked where a record has such.
    """
    unit = "image" if dataset.subject_is_image else "patient"
    subjects = {info.subject_id.strip() for info in dataset.infos}
    unrecorded = Overlap(dataset.name, unit, False, len(subjects), len({info.image_id for info in dataset.infos}))
    everything = training_records(model)
    records = [record for record in everything if "ids" in record]
    if not records:
        return unrecorded
    content = image_digests(dataset)
    seen_pixels = (pixels or partial(pixel_digests, dataset))() if any("pixels" in one for one in records) else {}
    owner = {info.image_id: info.subject_id.strip() for info in dataset.infos}
    seen: dict[str, set[str]] = {"train": set(), "validation": set()}
    images: set[str] = set()
    namesakes: set[str] = set()
    for record in records:
        ids = set(record["ids"])
        named = {name for name in subjects if (name if record.get("form") == "plain" else digest(name)) in ids}
        shared = _shared(content, record.get("images")) | _shared(seen_pixels, record.get("pixels"))
        images |= shared
        hit = {owner[image] for image in shared}
        if record.get("data") == dataset.name:
            hit |= named
        else:
            namesakes |= named
        seen["validation" if record.get("role") == "validation" else "train"] |= hit
    trained = seen["train"]
    return unrecorded._replace(
        recorded=True,
        trained=len(trained),
        validated=len(seen["validation"] - trained),
        images=len(images),
        namesakes=len(namesakes - trained - seen["validation"]),
        gap=_gap(model, everything, dataset.name, unit),
        incomplete=_incomplete(model, records, unit),
    )


def _shared(digests: Mapping[str, str], recorded: Iterable[str] | None) -> set[str]:
    trained = set(recorded or ())
    return {image for image, value in digests.items() if value in trained}


def _gap(model: Any, records: Iterable[Mapping[str, Any]], data: str, unit: str) -> str:
    """Return what of a training is not recorded in a way that can be compared; "" for nothing."""
    if any("ids" not in record for record in records):
        return "a part of its training was recorded without names and images"
    if any(not training_records(member) for member in _members(model)):
        return "one of its members does not record its training"
    units = {str(record.get("unit")) for record in records if record.get("data") == data} - {unit}
    if units:
        return f"its training names each {units.pop()} of {data} and the audit each {unit}, so names cannot be compared"
    return ""


def _incomplete(model: Any, records: Iterable[Mapping[str, Any]], unit: str) -> str:
    if unit == "image":
        return "no patient is known, and other images of the same patients may have been trained on"
    if _unrecorded_start(model):
        return "it started from weights that do not record their training"
    if any("pixels" not in record for record in records):
        return "its training was recorded without pixels, so a copy of an image in another file would not be found"
    return ""


def _unrecorded_start(model: Any) -> bool:
    """Tell whether a training started from weights that record none of their own, such as published ones."""
    sources = [getattr(model, name, None) for name in ("provenance", "head_provenance")]
    starts = [start for source in sources if isinstance(source, Mapping) for start in _starts(source)]
    alone = any(not start.get("random") and not list(_records(start)) for start in starts if start)
    return alone or any(_unrecorded_start(member) for member in _members(model))


def _starts(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            if key == "started_from":
                yield value
            yield from _starts(value)


def _members(model: Any) -> list[Any]:
    members_of = getattr(model, "members", ())
    return list(members_of) if isinstance(members_of, list | tuple) else []


def training_records(model: Any) -> list[Mapping[str, Any]]:
    """Return the records of training in a model's provenance, those of its members and of what it started from."""
    sources = [getattr(model, "provenance", None), getattr(model, "head_provenance", None)]
    own = [record for source in sources if isinstance(source, Mapping) for record in _records(source)]
    return own + [record for member in _members(model) for record in training_records(member)]


def without_names(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance with the counts of names and images in place of the lists: what a manifest shows."""
    return {key: _counted(value) if key == RECORD else _plain(value) for key, value in provenance.items()}


def _plain(value: Any) -> Any:
    return without_names(value) if isinstance(value, Mapping) else value


def _counted(records: Any) -> Any:
    if not isinstance(records, list):
        return records
    lists = ("ids", "images", "pixels")
    return [
        {f"n_{key}" if key in lists else key: len(value) if key in lists else value for key, value in record.items()}
        for record in records
    ]


def _records(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in provenance.items():
        if key == RECORD and isinstance(value, list):
            yield from (record for record in value if isinstance(record, Mapping))
        elif isinstance(value, Mapping):
            yield from _records(value)


def recorded(
    datasets: Iterable[tuple[str, Dataset]], *, form: Form, pixels: Callable[[Dataset], Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return the `members` of several datasets, each with its role; one of the same data and split once per role."""
    records: dict[tuple[str, str, str], dict[str, Any]] = {}
    for role, dataset in datasets:
        record = members(dataset, role=role, form=form, pixels=pixels)
        records.setdefault((role, record["fingerprint"], dataset.split), record)
    return list(records.values())
