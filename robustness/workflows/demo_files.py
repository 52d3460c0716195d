"""Data and checkpoints of the embedded demo: in the package, so that the demo needs no network."""

from __future__ import annotations

from pathlib import Path

from robustness.errors import InputError, UnknownNameError, suggest
from robustness.workflows.demo_pixels import ARCHIVE, unpacked

DATASETS = ("brain", "nuclei")
CHECKPOINTS = ("text-conditioned", "image-only")
_HOME = Path(__file__).resolve().parents[1] / "demo_data"


def demo_data(name: str = "brain") -> Path:
    """Return the folder of an embedded dataset, to be opened with `load_dataset`.

    The first call unpacks its images and masks; see `robustness.workflows.demo_pixels`.

    Args:
        name: "brain" (T1 MRI slices of the MNI152 template) or "nuclei" (tiles of one fluorescence image).

    Raises:
        UnknownNameError: there is no such dataset.
        InputError: the installation lacks the files.
        DiskError: neither the installation's folder nor the user's cache folder can be written to.
    """
    return unpacked(_folder(name, DATASETS, what="demo dataset", parent=_HOME, holds=ARCHIVE))


def demo_checkpoint(name: str = "text-conditioned") -> Path:
    """Return the folder of an embedded checkpoint, to be opened with `load_model`.

    Args:
        name: "text-conditioned" (film-unet) or "image-only" (the same network without text).

    Raises:
        UnknownNameError: there is no such checkpoint.
        InputError: the installation lacks the files.
    """
    return _folder(name, CHECKPOINTS, what="demo checkpoint", parent=_HOME / "checkpoints", holds="model.safetensors")


def _folder(name: str, names: tuple[str, ...], *, what: str, parent: Path, holds: str) -> Path:
    if name not in names:
        raise UnknownNameError(f"{what}: expected one of {', '.join(names)}, got {name!r}{suggest(name, names)}")
    folder = parent / name
    if not (folder / holds).is_file():
        raise InputError(
            f"{what}: expected the file {folder / holds}, which this installation lacks; install the package again"
        )
    return folder
