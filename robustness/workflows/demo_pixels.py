"""Images and label maps of the embedded datasets: one archive for each set, unpacked at the first look.

Three hundred files of one kilobyte are one file in the repository and in the wheel; a user of `demo_data` sees the
folder that docs/data.md describes. The archive's own checksums tell whether what lies there is whole and
of this version.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from robustness.disk_errors import DiskError
from robustness.errors import InputError
from robustness.files import write_atomic
from robustness.waiting import waiting_lock

ARCHIVE = "pixels.zip"


def unpacked(folder: Path) -> Path:
    """Return the folder of an embedded dataset with its images and masks in place.

    They are unpacked beside the archive; where the installation cannot be written to, a copy of the whole set is made
    in the user's cache folder. Folders appear whole or not at all, also where several processes ask at once, and files
    that differ from the archive are replaced.

    Raises:
        DiskError: neither place has room or can be written to.
    """
    try:
        _unpack(folder / ARCHIVE, folder)
    except OSError:
        return _cached_copy(folder)
    return folder


def _unpack(archive_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive_path) as archive:
        if not _stale(archive, folder):
            return
        # Opened for appending and never written: whoever cannot change the installation gets an OSError here.
        with waiting_lock(folder / ARCHIVE), tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
            stale = _stale(archive, folder)
            archive.extractall(temporary)
            for name in stale:
                if (folder / name).exists():
                    (folder / name).rename(Path(temporary) / f"{name}-before")
                (Path(temporary) / name).rename(folder / name)


def _stale(archive: zipfile.ZipFile, folder: Path) -> list[str]:
    """Return the folders of the archive that are missing or differ from it in any file."""
    checksums: dict[str, dict[str, int]] = {}
    for member in archive.infolist():
        kind, name = member.filename.split("/")
        checksums.setdefault(kind, {})[name] = member.CRC
    return [kind for kind, files in checksums.items() if _checksums(folder / kind) != files]


def _checksums(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        return {}
    return {path.name: zlib.crc32(path.read_bytes()) for path in folder.iterdir() if path.is_file()}


def _cached_copy(folder: Path) -> Path:
    import platformdirs

    packed = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in packed)).hexdigest()[:16]
    copy = platformdirs.user_cache_path("vlsm-robustness") / "demo_data" / digest / folder.name
    try:
        for path in packed:
            _copy(path, copy / path.relative_to(folder))
        _unpack(copy / ARCHIVE, copy)
    except (OSError, DiskError, InputError) as error:
        raise DiskError(
            f"demo data: expected a place for the images, neither {folder} nor {copy} can be written to ({error}); "
            "make one of them writable or set XDG_CACHE_HOME"
        ) from error
    return copy


def _copy(source: Path, target: Path) -> None:
    def fill(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    if not target.is_file() or target.read_bytes() != source.read_bytes():
        write_atomic(target, fill)
