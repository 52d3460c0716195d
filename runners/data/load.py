"""Open a dataset: a folder of the reference benchmark's layout or a CSV/Parquet manifest, as a sequence of cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from robustness.errors import InputError
from robustness.perturb.language.ontology.terms import extend
from robustness.perturb.modality import known_modality
from robustness.remote import local_copy, url_of
from robustness.runners.data import benchmark_folder
from robustness.runners.data import manifest as manifest_data
from robustness.runners.data.cases import case_infos, with_groups
from robustness.runners.data.dataset import Dataset
from robustness.runners.data.notes import dataset_notes
from robustness.runners.data.options import ReadingOptions, reading_options
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.read_records import pool_of, read_records
from robustness.runners.data.records import Record, image_ids, listing, usable, without_duplicates
from robustness.runners.data.resplit import read_chosen
from robustness.runners.data.set_scale import decide_scale
from robustness.runners.data.subjects import subjects_of
from robustness.runners.data.volumes.orientation import is_display

__all__ = ["Dataset", "load_dataset"]

Choose = Literal["all", "seeded"]


def load_dataset(
    path: str | Path,
    split: str = "test",
    prompt: str = "p6",
    subject: str | None = None,
    *,
    choose: Choose = "all",
    seed: int = 0,
    limit: int | None = None,
    modality: str | None = None,
    name: str | None = None,
    splits: str | Path | None = None,
    target: str | None = None,
    convention: Mapping[Any, str] | str | None = None,
    lexicon: str | Path | None = None,
    labels: Mapping[Any, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    window: Any = None,
    slices: Mapping[str, Any] | None = None,
    exif: str | None = None,
    groups: Sequence[str] | None = None,
) -> Dataset:
    """Open a dataset; `runners/data/benchmark_folder.py` and `runners/data/manifest.py` describe the two layouts.

    Cases come in the order of the annotations; an exact repeat of an entry is used once and noted.

    Args:
        path: a folder with images/, masks/ and anns/, or a .csv, .tsv or .parquet manifest; or the URL of either, whose
            files are fetched (`robustness.remote`).
        split: which annotation file, or which value of the manifest's `split` column.
        prompt: the prompt key (p0..p9), or the manifest's column.
        subject: how patients are known: "image", a key of the entries, or "regex:PATTERN" on the image name; None means
            the first of `subject`, `subject_id`, `patient_id`, `participant_id` and `PatientID` that the data has, else
            each image (`subject_is_image`).
        choose: "all" keeps every listed text of a case; "seeded" picks one for each case from `seed` and its id.
        seed: for `choose="seeded"`.
        limit: keep the first cases only.
        modality: overrides what the data says ("endoscopy", "MRI", ...).
        name: what results call the dataset; the folder's or manifest's name where None.
        target: what every case shows, where neither entries nor words say so; an entry's own target goes before.
        convention: whose left is meant: "patient" or "viewer" for all words, or by kind; `display`: "LP", ...
            (``{"side": "patient", "location": "viewer"}``, which is also what holds without one).
        lexicon: a CSV file of the user's own terms (see `robustness.perturb.language.ontology.terms.extend`), which
            hold in this process from then on.
        splits: a file made by `robustness split`; `split` is one of its names then ("fold0-test").
        labels: names of label values, ``{1: "anterior", 2: "posterior"}`` or ``{"hippocampus": [1, 2]}``.
        masks: what masks mean: `kind`, `threshold`, `full_scale`, `colors`, `channels`, `combine`.
        window: which stored values become black and white: "header", "each header", [low, high], {center, width} or
            {quantiles, of}.
        slices: which slices of volumes are used; fields of `robustness.runners.data.volumes.slices.SliceRule`.
        exif: "upright" or "stored": how masks lie on images that their EXIF orientation turns.
        groups: columns or keys of the data that reach the rows of results.

    Raises:
        InputError: the path, split, prompt key or subject does not exist, nothing is in it, or two different entries
            have one case id. A file that is missing or broken raises CaseError only when its case is decoded.
    """
    _validate(choose, limit, modality)
    whose = convention_of(convention)
    if lexicon is not None:
        extend(lexicon)
    source = local_copy(path, "data").expanduser().resolve()
    # The data become a plan, whose keys are texts.
    names = None if labels is None else {str(key): value for key, value in labels.items()}
    reading: dict[str, Any] = {"labels": names, "masks": masks, "window": window, "slices": slices, "exif": exif}
    options = reading_options(**reading, modality=modality)
    records, sources = _read(source, str(path), split=split, prompt=prompt, splits=splits, options=options)
    name = name or (source.stem if source.is_file() else source.name)
    spec: dict[str, Any] = {"path": url_of(path) or str(source), "name": name, "split": split, "prompt": prompt}
    spec |= {"subject": subject, "choose": choose, "modality": modality, "limit": limit}
    spec |= _stated(
        splits=None if splits is None else str(splits),
        target=target or None,
        convention=whose or None,
        lexicon=None if lexicon is None else str(lexicon),
        **reading,
        groups=None if groups is None else list(groups),
    )
    return _dataset(source, records, sources, spec, options=options, seed=seed)


def _dataset(
    source: Path,
    records: Sequence[Record],
    sources: Sequence[Path],
    spec: dict[str, Any],
    *,
    options: ReadingOptions,
    seed: int,
) -> Dataset:
    """Return the cases of records that were read.

    Args:
        source: the folder or manifest.
        records: of the split, in its order.
        sources: the files that the records come from.
        spec: what a plan calls the dataset: the arguments of `load_dataset` that were stated.
        options: how files are read.
        seed: for the choice of one text of each case.
    """
    chosen, repeats = without_duplicates(records)
    chosen = [usable(record) for record in chosen]
    scale = decide_scale(chosen, pool_of(source, chosen), options)
    target, modality = spec.get("target"), spec["modality"]
    chosen = [replace(r, target=target) if target and not r.target else r for r in chosen[: spec["limit"]]]
    ids = image_ids(chosen)
    subjects = subjects_of(chosen, ids, subject=spec["subject"])
    set_modality, origin = benchmark_folder.modality_of_set(source) if source.is_dir() else ("", "")
    prompt = _key_read(source, chosen, spec["prompt"])
    common = {"split": spec["split"], "dataset": spec["name"], "prompt_key": prompt}
    infos = case_infos(
        chosen,
        ids,
        subjects,
        common=common | _stated(convention=spec.get("convention")),
        modality=modality,
        set_modality=set_modality,
        choose_seed=seed if spec["choose"] == "seeded" else None,
    )
    set_modality = "" if modality or any(record.modality for record in chosen) else set_modality
    return Dataset(
        spec["name"],
        split=spec["split"],
        prompt=prompt,
        root=source if source.is_dir() else source.parent,
        records=chosen,
        infos=with_groups(infos, spec.get("groups")),
        sources=sources,
        subject_is_image=subjects.are_images,
        notes=dataset_notes(chosen, repeats, subjects, source, options, scale, modality=set_modality, origin=origin),
        spec=spec,
        reader=PixelReader(options, scale, chosen),
    )


def _key_read(source: Path, records: Sequence[Record], prompt: str) -> str:
    """Return the prompt key that was read: where a table lacks the one that is read by default, its column `prompt`."""
    alone = (
        source.is_file()
        and prompt == manifest_data.DEFAULT_PROMPT
        and not any(prompt in record.siblings for record in records)
    )
    return "prompt" if alone else prompt


def _stated(**options: Any) -> dict[str, Any]:
    """Return the options that a caller stated, in their order."""
    return {name: value for name, value in options.items() if value is not None}


def convention_of(stated: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return kind -> "patient" or "viewer"; one word stands for sides and locations."""
    if stated is None:
        return {}
    whose = {"side": stated, "location": stated} if isinstance(stated, str) else dict(stated)
    for kind, value in whose.items():
        if kind == "display" and is_display(value):
            continue
        if kind not in ("side", "location") or value not in ("patient", "viewer"):
            raise InputError(
                "convention: expected 'patient' or 'viewer', or these by kind (side, location), or a display of two "
                f"letters of L R A P H F ('LP': columns run to the patient's left, rows to the back), "
                f"got {kind!r} = {value!r}"
            )
    return whose


def _validate(choose: str, limit: int | None, modality: str | None) -> None:
    if choose not in ("all", "seeded"):
        raise InputError(f"choose: expected 'all' or 'seeded', got {choose!r}")
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected a number of cases of at least 1, got {limit}")
    if modality:
        known_modality(modality)


def _read(
    source: Path, shown: str, *, split: str, prompt: str, splits: str | Path | None, options: ReadingOptions
) -> tuple[list[Record], list[Path]]:
    card = source / benchmark_folder.CARD
    cards = [card] if source.is_dir() and card.is_file() else []
    if splits is not None and source.exists():
        records, files = read_chosen(source, splits, split=split, prompt=prompt, options=options)
        return records, [*files, *cards]
    if source.is_dir():
        sources = [source / "anns" / f"{split}.json", *cards]
        return read_records(source, split=split, prompt=prompt, options=options), sources
    if not source.exists():
        raise InputError(f"data: expected a dataset folder or manifest, {shown} does not exist{_nearest(source)}")
    return read_records(source, split=split, prompt=prompt, options=options), [source]


def _nearest(source: Path) -> str:
    parent = source.parent
    if not parent.is_dir():
        return f"; its folder {parent} does not exist either"
    return f"; {parent} holds {listing(sorted(p.name for p in parent.iterdir() if not p.name.startswith('.')))}"
