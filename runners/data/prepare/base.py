"""Layout of a published dataset: where files lie, what their masks mean, who is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.files import IMAGE_SUFFIXES
from robustness.seeds import generator
from robustness.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Target:
    """One structure on one image.

    Attributes:
        name: the class ("polyp").
        mask_stem: the mask's name without suffix, as the reference benchmark names it.
        read: returns the mask, bool (H, W).
        attributes: what is known of it besides its pixels (`view`, `phase`, `pathology`, ...).
        aliases: further mask names by which an annotation file may call it.
    """

    name: str
    mask_stem: str
    read: Callable[[], Mask]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image of a download.

    Attributes:
        stem: the image's name without suffix in the benchmark layout.
        targets: what its masks show.
        image: the file to copy as it is; None where `pixels` makes the image.
        pixels: returns the image, uint8 (H, W) or (H, W, 3).
        subject: the patient, video or lesion; "" where the download does not say.
        split: the publisher's own split ("train", "val", "test"); "" where there is none.
        facts: what else is known of the image or patient (sex, age, ...), kept as keys of the entry.
        spacing_mm: pixel spacing (row, column), where known.
        modality: where the download states it and the layout does not.
    """

    stem: str
    targets: tuple[Target, ...]
    image: Path | None = None
    pixels: Callable[[], Image] | None = None
    subject: str = ""
    split: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    modality: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A dataset's published layout.

    Attributes:
        name: what `robustness prepare` calls it.
        title: its full name.
        modality: as `robustness.perturb.modality` spells it.
        tree: the folders and files that are read, as they lie in the download.
        licence: its terms in a few words.
        source: who published it (paper, DOI).
        subjects: how subjects are known, or that they are not.
        traps: what is easily read wrongly, one sentence each.
        samples: reads the download.
        options: names of the options that `samples` understands.
    """

    name: str
    title: str
    modality: str
    tree: str
    licence: str
    source: str
    subjects: str
    samples: Callable[[Path, Mapping[str, Any]], Iterator[Sample]]
    traps: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def find_folder(source: Path, names: Iterable[str], layout: str) -> Path:
    """Return the first folder of one of these names in a download, at most four levels down.

    Names are compared without regard to case; a name may hold '/'.

    Raises:
        InputError: there is none; the message names what was expected and what is there.
    """
    candidates = list(names)
    folder = first_folder(source, candidates)
    if folder is None:
        there = sorted(entry.name for entry in source.iterdir())[:10] if source.is_dir() else ["no such folder"]
        raise InputError(
            f"source: expected a folder {' or '.join(map(repr, candidates))} in {source} (layout {layout!r}), found "
            f"{', '.join(there) or 'nothing'}; `robustness prepare --list` shows the layout"
        )
    return folder


def first_folder(source: Path, names: Iterable[str]) -> Path | None:
    """Return the first folder of one of these names, or None; see `find_folder`."""
    for name in names:
        parts = tuple(part.lower() for part in name.split("/"))
        for folder in (source, *_folders(source, 4)):
            if tuple(part.lower() for part in folder.parts[-len(parts) :]) == parts and folder != source.parent:
                return folder
    return None


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder by name; numbers count as numbers ("2.png" before "10.png")."""
    files = [entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    return sorted(files, key=lambda path: natural(path.name))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key in which digits count as numbers."""
    import re

    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their names without suffix."""
    return {path.stem: path for path in image_files(folder)}


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield folders level by level, in the order of names."""
    level = [folder]
    for _ in range(depth):
        level = [
            entry
            for parent in level
            for entry in (sorted(parent.iterdir()) if parent.is_dir() else [])
            if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))
        ]
        yield from level


def shared_out(samples: Sequence[Sample], *, val: float, test: float, seed: int) -> dict[str, str]:
    """Return the split of each image by its stem.

    The publisher's splits are kept where every image has one. Otherwise whole subjects (images, where no subject is
    known) are drawn; fewer than three of them are all tested.

    Raises:
        InputError: a share is out of range.
    """
    if all(sample.split for sample in samples):
        return {sample.stem: sample.split for sample in samples}
    for name, share in (("val", val), ("test", test)):
        if not 0 < share < 1:
            raise InputError(f"{name}: expected a share between 0 and 1, got {share}")
    subjects = list(dict.fromkeys(sample.subject or sample.stem for sample in samples))
    if len(subjects) < 3:
        return dict.fromkeys((sample.stem for sample in samples), "test")
    drawn = [subjects[i] for i in generator(seed, "prepare").permutation(len(subjects))]
    tested = max(1, round(len(drawn) * test))
    validated = max(1, round((len(drawn) - tested) * val))
    parts = dict.fromkeys(drawn[:tested], "test")
    parts |= dict.fromkeys(drawn[tested : tested + validated], "val")
    return {sample.stem: parts.get(sample.subject or sample.stem, "train") for sample in samples}
