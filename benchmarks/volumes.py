"""Volumes: memory of an audit over 5 and over 50 of them, and reading speed against plain nibabel and pydicom.

    python benchmarks/volumes.py [--few 5] [--many 50] [--rounds 5]

Synthetic volumes of 256 x 256 x 200 (int16), a label map each. Every audit has a process of its own, with the window
taken from the set, so that it looks at more than it audits. Reading: all slices of one volume, by turns in one process,
processor seconds; the plain readers do the least that gives the same values (whole array, rescaled, slices in order).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402, the number of threads is read at import

SHAPE = (256, 256, 200)
AFFINE = np.diag([0.8, 0.8, 1.5, 1.0])
MOST_MEMORY, LEAST_SPEED = 1.15, 0.8
KINDS = (".nii.gz", ".nii")
Read = Callable[[Path], int]


class Peak(NamedTuple):
    """Resident memory of one process in MiB: before any volume, and at its highest."""

    before: float
    highest: float


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return soft tissue with noise, and a label map with two balls."""
    rng = np.random.default_rng(seed)
    grid = np.ogrid[tuple(slice(size) for size in SHAPE)]
    balls = [sum((axis - c) ** 2 for axis, c in zip(grid, center, strict=True)) < 900 for center in _centers(rng)]
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[balls[0]], labels[balls[1]] = 1, 2
    voxels = rng.normal(0, 8, SHAPE).astype(np.int16) + labels.astype(np.int16) * np.int16(300)
    return voxels, labels


def _centers(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.35, 0.65, (2, 3)) * np.array(SHAPE)


def nifti(voxels: np.ndarray) -> Any:
    """Return voxels as an image of nibabel."""
    import nibabel

    return nibabel.Nifti1Image(voxels, AFFINE)  # type: ignore[no-untyped-call]


def write_set(folder: Path, kind: str, count: int) -> Path:
    """Write `count` volumes as a table of cases; every fifth file on is a further name of one of the first five."""
    import nibabel

    folder.mkdir(parents=True)
    rows = ["image,mask,subject_id,modality"]
    for number in range(count):
        names = [f"v{number:03d}{kind}", f"v{number:03d}_seg.nii.gz"]
        for part, name in enumerate(names):
            first = folder / name.replace(f"v{number:03d}", f"v{number % 5:03d}")
            if number >= 5:
                os.link(first, folder / name)
            else:
                nibabel.save(nifti(volume(number)[part]), folder / name)
        rows.append(f"{names[0]},{names[1]},p{number:03d},MRI")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


def write_series(folder: Path, voxels: np.ndarray) -> Path:
    """Write a volume as one DICOM file a slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series, study = generate_uid(), generate_uid()
    for number in range(SHAPE[2]):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = series, study, "CT"
        dataset.PatientID, dataset.InstanceNumber = "P1", number + 1
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient, dataset.PixelSpacing = [0, 0, 1.5 * number], [0.8, 0.8]
        dataset.Rows, dataset.Columns = SHAPE[1], SHAPE[0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = np.ascontiguousarray(voxels[:, :, number].T).tobytes()
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def audited(table: Path) -> Peak:
    """Audit four slices of each volume in this process and return its memory."""
    import resource

    import robustness as rb

    def peak() -> float:
        # ru_maxrss counts bytes on macOS, KiB elsewhere.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

    model = rb.segmenter(
        lambda images, prompts: [(image[..., 0] > 150).astype(np.float32) for image in images], name="bright"
    )
    before = peak()
    data = rb.load_dataset(
        table, labels={"1": "left kidney", "2": "right kidney"}, slices={"plane": "axial", "max_per_subject": 4}
    )
    rb.audit(
        model,
        data,
        perturbations=["empty"],
        out=table.parent / "run",
        report=False,
        metrics={"names": ["dice"]},
        statistics={"resamples": 99},
    )
    return Peak(before, peak())


def memory(folder: Path, few: int, many: int) -> dict[str, dict[str, float]]:
    """Return the peak of audits over few and many volumes of each kind, and their ratios."""
    found = {}
    for kind in KINDS:
        peaks = []
        for count in (few, many):
            table = write_set(folder / f"{count}{kind}", kind, count)
            done = subprocess.run(
                [sys.executable, __file__, "--audit", str(table)], check=True, capture_output=True, text=True
            )
            peaks.append(Peak(*json.loads(done.stdout.splitlines()[-1])))
        (few_peak, many_peak) = peaks
        found[kind] = {
            "few_mib": few_peak.highest,
            "many_mib": many_peak.highest,
            "ratio": many_peak.highest / few_peak.highest,
            "ratio_above_imports": (many_peak.highest - many_peak.before) / (few_peak.highest - few_peak.before),
        }
        print(f"memory {kind:8} {few:3} volumes {few_peak.highest:6.0f} MiB, {many:3} {many_peak.highest:6.0f} MiB")
    return found


def ours(path: Path) -> int:
    """Read every slice as an audit does and return how many there were."""
    from robustness.runners.data.volumes.cache import VolumeCache
    from robustness.runners.data.volumes.orientation import view_of

    cache = VolumeCache()
    view = view_of(cache.volume(path).header, "axial", "radiological", path.name)
    return sum(view.image(cache.plane(path, view.axis, index)).shape[0] > 0 for index in range(view.count))


def nibabel_alone(path: Path) -> int:
    """Read the array of a NIfTI file (mapped where it can be) and copy its slices."""
    import nibabel

    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)  # type: ignore[attr-defined]
    return sum(np.array(voxels[:, :, index]).shape[0] > 0 for index in range(voxels.shape[2]))


def pydicom_alone(folder: Path) -> int:
    """Read, sort and rescale the files of a series."""
    import pydicom

    files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    files.sort(key=lambda file: float(file.ImagePositionPatient[2]))
    slices = [file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept) for file in files]
    return len(slices)


def speed(folder: Path, rounds: int) -> dict[str, float]:
    """Return how many times as fast the product's reader is as the plain one, for each format."""
    import nibabel

    voxels, _ = volume(0)
    cases: dict[str, tuple[Path, Read]] = {}
    for kind in KINDS:
        path = folder / f"one{kind}"
        nibabel.save(nifti(voxels), path)
        cases[kind] = (path, nibabel_alone)
    cases["DICOM series"] = (write_series(folder / "series", voxels), pydicom_alone)
    ratios = {}
    for kind, (path, plain) in cases.items():
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(rounds + 1):
            for name, read in (("plain", plain), ("ours", ours)):
                started = time.process_time()
                count = read(path)
                seconds[name].append(time.process_time() - started)
                assert count == SHAPE[2]
        # The first round imports.
        own, other = (statistics.median(seconds[name][1:]) for name in ("ours", "plain"))
        ratios[kind] = other / own
        print(f"speed  {kind:13} plain {other:6.3f} s, ours {own:6.3f} s, ratio {ratios[kind]:.2f}")
    return ratios


def main() -> int:
    """Measure; exit code 1 where memory grows more, or reading is slower, than is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=5)
    parser.add_argument("--many", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--audit", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.audit:
        print(json.dumps(audited(options.audit)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        ratios = speed(Path(folder), options.rounds)
        peaks = memory(Path(folder), options.few, options.many)
    slowest, growth = min(ratios.values()), max(peak["ratio"] for peak in peaks.values())
    detail = {"speed": ratios, "memory": peaks, "memory_limit": MOST_MEMORY, "memory_growth": growth}
    print(json.dumps({"name": "volumes", "ratio": slowest, "limit": 0.0, "target": LEAST_SPEED, "detail": detail}))
    return 0 if slowest >= LEAST_SPEED and growth <= MOST_MEMORY else 1


if __name__ == "__main__":
    raise SystemExit(main())
