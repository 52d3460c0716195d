"""Slices, masks and words of the embedded demo set `brain`, from the MNI152 template inside the nilearn package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from demo_words import EIGHT, Structure, attributes_of, brain_prompts
from scipy import ndimage

PIXELS, SPACING = 128, 1.5  # in-plane grid: 192 mm
CENTRE = {"x": 0.0, "y": -17.0, "z": 5.0}  # mm; no pixel column lies on the midline x = 0
SPECK, SMALLEST = 10, 24  # pixels: regions below the first are dropped, masks below the second are not used
SUBJECT = "mni152_nlin_sym_09a"
SIDES = ("left", "right", "both")

# Slabs (split, first, last, step) in mm along z (axial) and y (coronal), at least 6 mm between two splits.
SLABS = {
    "axial": (
        ("train", -42, -22, 2),
        ("val", -16, -10, 2),
        ("test", -4, 6, 1),
        ("train", 12, 22, 1),
        ("test", 28, 38, 1),
        ("train", 44, 60, 2),
        ("test", 66, 72, 1),
    ),
    "coronal": (
        ("train", -92, -72, 2),
        ("test", -66, -56, 1),
        ("train", -50, -38, 2),
        ("test", -32, -22, 1),
        ("val", -16, -10, 2),
        ("train", -4, 4, 2),
        ("test", 10, 20, 1),
        ("train", 26, 60, 2),
    ),
}
STRUCTURES = {
    "white-matter": Structure(
        "white matter",
        "",
        ("the myelinated tissue that is bright on T1", "the nerve fibers that lie beneath the cortex"),
    ),
    "gray-matter": Structure(
        "gray matter",
        "",
        ("the tissue of middle brightness on T1", "the cortex and the deep nuclei, made of nerve cell bodies"),
    ),
    "brain-hemisphere": Structure(
        "brain hemisphere",
        "brain hemispheres",
        ("bounded by the midline of the brain", "with all tissue and fluid on its side of the midline"),
    ),
    "lateral-ventricle": Structure(
        "lateral ventricle",
        "lateral ventricles",
        ("a cavity with fluid that is dark on T1", "a curved space beside the midline, filled with fluid"),
    ),
}


class Volumes(NamedTuple):
    """Float maps in [0, 1] on one grid of 1 mm, and the affine from voxels to MNI152 mm (x to the patient's right)."""

    t1: np.ndarray
    maps: dict[str, np.ndarray]
    affine: np.ndarray


def read_volumes(folder: Path) -> Volumes:
    """Read T1, gray and white matter; derive ventricles and brain."""
    names = {kind: f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz" for kind in ("t1", "gm", "wm")}
    images = {kind: nibabel.load(folder / name) for kind, name in names.items()}
    t1, gray, white = (np.asarray(images[kind].dataobj, np.float32) / 255 for kind in names)
    affine = images["t1"].affine
    maps = {
        "white-matter": white,
        "gray-matter": gray,
        "brain-hemisphere": ndimage.binary_fill_holes(t1 > 0).astype(np.float32),
        "lateral-ventricle": _ventricles(t1, affine).astype(np.float32),
    }
    return Volumes(t1, maps, affine)


def _ventricles(t1: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Dark regions that hold a point in the frontal horns; an opening cuts them from the third ventricle."""
    dark = ndimage.binary_opening((t1 > 0) & (t1 < 130 / 255))
    labels, _ = ndimage.label(dark)
    seeds = [tuple(_voxels(affine, np.array([[x, 10.0, 15.0]]))[:, 0].round().astype(int)) for x in (-6.0, 6.0)]
    found = np.isin(labels, [labels[seed] for seed in seeds])
    if not all(dark[seed] for seed in seeds) or not 15_000 < found.sum() < 25_000:
        raise SystemExit("the template differs from the one this script was written for: no lateral ventricles found")
    return found


def _voxels(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Voxel coordinates (3, N) of points (N, 3) in mm."""
    inverse = np.linalg.inv(affine)
    return inverse[:3, :3] @ points.T + inverse[:3, 3:]


def cut(volume: np.ndarray, affine: np.ndarray, view: str, at: int) -> np.ndarray:
    """Resample one slice (PIXELS, PIXELS): top is anterior or superior, the image's left is the patient's right."""
    steps = (np.arange(PIXELS) - (PIXELS - 1) / 2) * SPACING
    vertical = "y" if view == "axial" else "z"
    down, across = np.meshgrid(CENTRE[vertical] - steps, CENTRE["x"] - steps, indexing="ij")
    fixed = np.full_like(down, at)
    mm = (across, down, fixed) if view == "axial" else (across, fixed, down)
    points = np.stack([axis.ravel() for axis in mm], axis=1)
    return ndimage.map_coordinates(volume, _voxels(affine, points), order=1).reshape(PIXELS, PIXELS)


def masks_of(volumes: Volumes, view: str, at: int) -> dict[str, dict[str, np.ndarray]]:
    """Masks by structure and side; a structure with too little of it on a side is left out."""
    # x falls from the image's left to its right, so the patient's left (x < 0) is the image's right half.
    left = np.zeros((PIXELS, PIXELS), bool)
    left[:, PIXELS // 2 :] = True
    masks = {}
    for key, volume in volumes.maps.items():
        whole = cut(volume, volumes.affine, view, at) > 0.5
        halves = {"left": _without_specks(whole & left), "right": _without_specks(whole & ~left)}
        if min(half.sum() for half in halves.values()) >= SMALLEST:
            masks[key] = {**halves, "both": halves["left"] | halves["right"]}
    return masks


def _without_specks(mask: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(mask, EIGHT)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= SPECK)[labels]


def slices() -> Iterator[tuple[str, str, int, int]]:
    """Yield (split, view, position in mm, running number in its split)."""
    numbers = {"train": 0, "val": 0, "test": 0}
    for view, slabs in SLABS.items():
        for split, first, last, step in slabs:
            for at in range(first, last + 1, step):
                yield split, view, at, numbers[split]
                numbers[split] += 1


def chosen(keys: list[str], split: str, number: int) -> list[str]:
    """All structures in training; elsewhere two of them in rotation, which keeps audits short."""
    return keys if split == "train" else [keys[(number + shift) % len(keys)] for shift in (0, 1)]


def entry(image: str, key: str, side: str, view: str, at: int, mask: np.ndarray) -> dict[str, Any]:
    """One annotation in the reference benchmark's layout."""
    structure, words = STRUCTURES[key], attributes_of(mask)
    return {
        "img_name": f"{image}.png",
        "mask_name": f"{image}.png",
        "mask_label": f"{key}_{side}",
        "prompts": brain_prompts(structure, side, view, words),
        "subject": SUBJECT,
        "attributes": {
            "structure": structure.name,
            "side": side,
            "side_visible": True,
            "view": view,
            **words,
            "slice_mm": at,
            "spacing_mm": [SPACING, SPACING],
            "modality": "T1 MRI",
        },
    }


def image_name(view: str, at: int) -> str:
    """axi_m004: axial, z = -4 mm; cor_p010: coronal, y = +10 mm."""
    return f"{view[:3]}_{'m' if at < 0 else 'p'}{abs(at):03d}"
