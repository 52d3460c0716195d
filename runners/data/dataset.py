"""A dataset: cases in plan order, decoded when they are looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from robustness.errors import CaseError, counted
from robustness.files import sha256_file
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.records import SUBJECT_KEYS, Record, names_nobody
from robustness.runners.data.set_scale import SetScale
from robustness.types import Case, CaseInfo, DataContext, Image

MISSING = "missing"


class Dataset(Sequence[Case]):
    """Cases in plan order; names and prompts are known at once, pixels are decoded when looked at.

    Attributes:
        name: the folder's or manifest's name.
        split: which part of it.
        prompt: the prompt key or column.
        root: the folder that file names are relative to.
        infos: one light record for each case; ``infos[i].prompts`` holds one parsed prompt for each listed text.
        subject_is_image: the data names no subject, so each image stands for one.
        notes: what the reader decided or left out, one sentence each.
    """

    def __init__(
        self,
        name: str,
        *,
        split: str,
        prompt: str,
        root: Path,
        records: Sequence[Record],
        infos: Sequence[CaseInfo],
        sources: Sequence[Path] = (),
        subject_is_image: bool = False,
        notes: Sequence[str] = (),
        spec: Mapping[str, Any] | None = None,
        reader: PixelReader | None = None,
    ) -> None:
        self.name = name
        self.split = split
        self.prompt = prompt
        self.root = root
        self.infos: tuple[CaseInfo, ...] = tuple(infos)
        self.subject_is_image = subject_is_image
        self.notes: tuple[str, ...] = tuple(notes)
        self._records = tuple(records)
        self._sources = tuple(sources)
        self._spec = dict(spec or {})
        self._reader = reader or PixelReader(ReadingOptions(), SetScale(), self._records)
        self._hashes: dict[Path, tuple[tuple[int, int], str]] = {}

    def __len__(self) -> int:
        return len(self.infos)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Case | Dataset:
        if isinstance(index, slice):
            return self.subset(range(*index.indices(len(self))))
        return self.decode(index)

    def __iter__(self) -> Iterator[Case]:
        return (self.decode(index) for index in range(len(self)))

    def __repr__(self) -> str:
        n_images = len({info.image_id for info in self.infos})
        n_subjects = len({info.subject_id for info in self.infos})
        unit = "no patient known" if self.subject_is_image else counted(n_subjects, "patient")
        counts = f"{counted(len(self), 'case')} on {counted(n_images, 'image')}, {unit}"
        return f"Dataset({self.name!r}, split={self.split!r}, prompt={self.prompt!r}, {counts})"

    def decode(self, index: int) -> Case:
        """Return one case with its pixels; its prompt is the first listed text.

        Memory stays bounded: only the last few images are kept, for the cases that share one. They hold the same array,
        which cannot be written to: work on a copy.

        Raises:
            CaseError: a file is missing or unreadable, sizes differ, or the entry states no prompt.
        """
        info, record = self.infos[index], self._records[index]
        if record.problem:
            raise CaseError(f"case {record.case_id}: {record.problem}")
        decoded, reading = self._reader.read(record)
        metadata = dict(info.metadata)
        if decoded.image_float is not None:
            metadata |= {"image_float": decoded.image_float, "full_scale": decoded.full_scale}
        return Case(
            case_id=info.case_id,
            subject_id=info.subject_id,
            image=decoded.image,
            mask=reading.mask,
            prompt=info.prompts[0],
            target=info.target,
            metadata=metadata,
            spacing_mm=record.spacing_mm,
        )

    def image(self, index: int) -> Image:
        """Return the image of one case alone, upright: uint8 (H, W, 3).

        Raises:
            CaseError: its file is missing or unreadable.
        """
        return self._reader.image(self._records[index]).image

    def subset(self, indices: Iterable[int]) -> Dataset:
        """Return the dataset of the cases at `indices`, in that order."""
        chosen = list(indices)
        picked = f"{len(chosen)} of {counted(len(self), 'case')} {'was' if len(chosen) == 1 else 'were'} picked by hand"
        return Dataset(
            self.name,
            split=self.split,
            prompt=self.prompt,
            root=self.root,
            records=[self._records[i] for i in chosen],
            infos=[self.infos[i] for i in chosen],
            sources=self._sources,
            subject_is_image=self.subject_is_image,
            notes=(*self.notes, picked),
            spec=self._spec,
            reader=self._reader,
        )

    def with_infos(self, infos: Sequence[CaseInfo], *, note: str) -> Dataset:
        """Return the same cases with other records of what is asked of them."""
        return Dataset(
            self.name,
            split=self.split,
            prompt=self.prompt,
            root=self.root,
            records=self._records,
            infos=infos,
            sources=self._sources,
            subject_is_image=self.subject_is_image,
            notes=(*self.notes, note),
            spec=self._spec,
            reader=self._reader,
        )

    @property
    def records(self) -> tuple[Record, ...]:
        """The annotations that the cases come from, in their order."""
        return self._records

    def context(self, seed: int = 0) -> DataContext:
        """Return what a perturbation may know about these cases."""
        return DataContext(name=self.name, infos=self.infos, seed=seed)

    def spec(self) -> dict[str, Any]:
        """Return the arguments that opened this dataset, as a plan's ``[data]`` table."""
        return dict(self._spec)

    def facts(self) -> dict[str, Any]:
        """Return what a manifest records: arguments, counts, notes and the sha256 of every file.

        `origin_subjects` are the subjects that the data itself names, whatever the unit of inference is.
        """
        named = {name for r in self._records for key in SUBJECT_KEYS if not names_nobody(name := r.states(key))}
        return {
            **self.spec(),
            "name": self.name,
            "split": self.split,
            "prompt": self.prompt,
            "n_cases": len(self),
            "n_images": len({info.image_id for info in self.infos}),
            "n_subjects": len({info.subject_id for info in self.infos}),
            "n_prompts": sum(len(info.prompts) for info in self.infos),
            "subject_is_image": self.subject_is_image,
            "origin_subjects": sorted(named),
            "modalities": sorted({str(info.metadata.get("modality") or "") for info in self.infos} - {""}),
            "notes": list(self.notes),
            "files": self.fingerprint(),
        }

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of every file used (annotations, images, masks), "missing" where there is none.

        Keys are paths relative to `root`, with '/', sorted. A file is read again only where its size or time changed.
        """
        named = {*self._sources, *(p for r in self._records for p in (r.image_path, *r.mask_source.paths))}
        # A DICOM series is a folder: each of its files counts.
        paths = {file for path in named for file in (sorted(path.iterdir()) if os.path.isdir(path) else [path])}
        return {name: self._hash(path) for name, path in sorted((self.relative(path), path) for path in paths)}

    def _hash(self, path: Path) -> str:
        try:
            facts = path.stat()
        except OSError:
            return MISSING
        version = facts.st_size, facts.st_mtime_ns
        cached = self._hashes.get(path)
        if cached is None or cached[0] != version:
            cached = self._hashes[path] = version, sha256_or_missing(path)
        return cached[1]

    def relative(self, path: Path) -> str:
        """Return the key of a file in `fingerprint`."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()


def sha256_or_missing(path: Path) -> str:
    """Return the sha256 of a file; "missing" where it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return MISSING
