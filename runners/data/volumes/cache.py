"""The last few volumes in memory: slices of one volume follow one another, so each is read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from robustness.runners.data.volumes.base import Volume, Voxels, take_plane
from robustness.runners.data.volumes.open import open_volume
from robustness.runners.data.volumes.orientation import remarks_on

# An image and its label map, and those of the volume that is prefetched.
_MOST = 4


class Loaded(NamedTuple):
    """An open volume and, where they were needed, all its voxels."""

    volume: Volume
    voxels: Voxels | None


class VolumeCache:
    """Opens volumes and keeps the voxels of the last few, and the last image file of masks; for several threads too.

    A volume is read whole at the first slice, which costs no more than one slice of a compressed file; files whose
    format gives single frames cheaply (a DICOM series along its slices) are read frame by frame.
    """

    def __init__(self) -> None:
        self._volumes: OrderedDict[Path, Loaded] = OrderedDict()
        self._lock = RLock()
        self._remarks: dict[str, list[str]] = {}
        self._mask: tuple[object, Any] = (None, None)

    def mask_file(self, key: object, read: Callable[[], Any]) -> Any:
        """Return what `read` gives for the mask file that `key` names: cases of one label map follow each other."""
        recent, pixels = self._mask
        if recent != key:
            pixels = read()
            self._mask = key, pixels
        return pixels

    def remark(self, name: str, text: str) -> None:
        """Note what a reader of the results should know about a file."""
        with self._lock:
            files = self._remarks.setdefault(text, [])
            if name not in files:
                files.append(name)

    def remarks(self) -> list[str]:
        """Return what was noted, one sentence for all files of which it holds."""
        return [f"volumes: {files[0]}{_more(files)}: {text}" for text, files in self._remarks.items()]

    def __getstate__(self) -> dict[str, Any]:
        return {"volumes": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def volume(self, path: Path) -> Volume:
        """Return an open volume.

        Raises:
            InputError, CaseError: as `open_volume`.
        """
        with self._lock:
            return self._entry(path).volume

    def voxels(self, path: Path) -> Voxels:
        """Return all voxels of a volume."""
        with self._lock:
            entry = self._entry(path)
            if entry.voxels is None:
                entry = self._volumes[path] = Loaded(entry.volume, entry.volume.voxels())
            assert entry.voxels is not None
            return entry.voxels

    def plane(self, path: Path, axis: int, index: int) -> Voxels:
        """Return the voxels at one index of a stored axis."""
        with self._lock:
            entry = self._entry(path)
            if entry.voxels is None and entry.volume.single_planes(axis):
                return entry.volume.plane(axis, index)
            return take_plane(self.voxels(path), axis, index)

    def _entry(self, path: Path) -> Loaded:
        entry = self._volumes.pop(path, None) or self._opened(path)
        self._volumes[path] = entry
        while len(self._volumes) > _MOST:
            self._volumes.popitem(last=False)
        return entry

    def _opened(self, path: Path) -> Loaded:
        volume = open_volume(path)
        for text in (*volume.header.warnings, *remarks_on(volume.header)):
            self.remark(path.name, text)
        return Loaded(volume, None)


def _more(files: list[str]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""
