"""What the masks of one volume hold: the label that its annotation states, a table's labels, or the file's segments."""

from __future__ import annotations

from robustness.errors import CaseError, InputError
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.labelled_slices import Labels
from robustness.runners.data.masks.volume_mask import has_segment, no_segment
from robustness.runners.data.records import Record
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.cache import VolumeCache


def labels_of_volume(record: Record, convention: MaskConvention, cache: VolumeCache) -> Labels:
    """Return the labels of a volume's cases, each with what it is in the masks.

    In this order: the label of the annotation, the convention's labels or channels, a soft mask's target, the segments
    that the masks name, and the target of the annotation, where masks hold one value.

    Raises:
        InputError: nothing tells what the values of the masks are.
        CaseError: a table calls a segment by the name of another one.
    """
    declaration = record.mask_source.declaration
    headers = [cache.volume(path).header for path in record.mask_source.paths]
    if declaration.kind in ("labels", "segment", "channel"):
        if not any(has_segment(header, declaration) for header in headers):
            raise no_segment(declaration, headers[0], str(record.mask_path))
        return {_name(declaration, headers) or record.target or "target": declaration}
    if convention.labels:
        _refuse_crossed(convention, headers, record)
        declared = {name: convention.declaration(name, record.where) for name in convention.labels}
        # Not every patient has every segment; a file with none of them was declared wrongly.
        present = {n: d for n, d in declared.items() if any(has_segment(header, d) for header in headers)}
        if not present:
            raise no_segment(next(iter(declared.values())), headers[0], str(record.mask_path))
        return present
    if convention.channels:
        return {name: convention.declaration(name, record.where) for name in convention.channels}
    segments = dict.fromkeys(label for header in headers for label in header.facts.get("segments", {}).values())
    if segments:
        return {
            label: MaskDeclaration(kind="segment", name=label, threshold=convention.threshold) for label in segments
        }
    if record.target:
        return {record.target: convention.declaration(None, record.where)}
    raise InputError(
        f"labels: {record.mask_path.name} is a volume whose values have no names; state [data] labels = "
        '{1 = "NAME", ...}'
    )


def _name(declaration: MaskDeclaration, headers: list[Header]) -> str:
    """Return what a declaration is called: a value that no table names, as a segmentation calls it."""
    if declaration.kind == "labels" and [declaration.name] == [str(value) for value in declaration.values]:
        named = (header.facts.get("segments", {}).get(declaration.values[0]) for header in headers)
        return next((label for label in named if label), declaration.name)
    return declaration.name


def _refuse_crossed(convention: MaskConvention, headers: list[Header], record: Record) -> None:
    """Refuse a table that gives one segment's number the name of another segment of the same file."""
    for header in headers:
        segments = header.facts.get("segments", {})
        numbers = {label.casefold(): number for number, label in segments.items()}
        for name, values in convention.labels.items():
            number = numbers.get(name.casefold())
            if number is not None and number not in values:
                called = ", ".join(f"{n} = {label!r}" for n, label in segments.items())
                raise CaseError(
                    f"mask {record.mask_path}: expected [data] labels as the segmentation names them ({called}), got "
                    f"{name!r} = {list(values)}; leave labels out to take the file's own names"
                )
