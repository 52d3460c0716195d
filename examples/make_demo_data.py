"""Make the images, masks and annotations of `robustness/demo_data/` again.

The sources lie inside two packages that the product does not depend on; only their files are read::

    python -m venv demo-sources
    demo-sources/bin/pip install --no-deps nilearn==0.14.1 stardist==0.9.2
    demo-sources/bin/pip install nibabel==5.4.2 numpy scipy pillow
    demo-sources/bin/python examples/make_demo_data.py

README.md and both NOTICE.txt are written by hand and stay. `--out FOLDER` writes elsewhere. Images and masks end in
`pixels.zip`, which `rb.demo_data` unpacks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import demo_brain
import demo_labels
import demo_nuclei
import numpy as np
from PIL import Image

HOME = Path(__file__).resolve().parents[1] / "robustness" / "demo_data"
SPLITS = ("train", "val", "test")
PIXELS = ("images", "masks")
WORDS = {
    "size_words": "small <1% of image area, medium 1-5%, large >5%",
    "location": "3x3 grid cell (40/20/40%) of the mask centroid in the image",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the embedded demo data.")
    parser.add_argument("--out", type=Path, default=HOME)
    out = parser.parse_args().out
    make_brain(out / "brain", package_folder("nilearn") / "datasets" / "data")
    make_nuclei(out / "nuclei", package_folder("stardist") / "data" / "images")


def package_folder(name: str) -> Path:
    """Folder of an installed package, without importing it: its own dependencies are not needed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed; see the first lines of {Path(__file__).name}")
    return Path(spec.submodule_search_locations[0])


def make_brain(folder: Path, source: Path) -> None:
    volumes = demo_brain.read_volumes(source)
    empty(folder)
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split, view, at, number in demo_brain.slices():
        image = demo_brain.image_name(view, at)
        gray = demo_brain.cut(volumes.t1, volumes.affine, view, at) * 255
        save(folder / "images" / f"{image}.png", gray.round().astype(np.uint8))
        masks = demo_brain.masks_of(volumes, view, at)
        keys = demo_brain.chosen(list(masks), split, number)
        demo_labels.save_map(
            folder / "masks" / f"{image}.png", demo_labels.brain_map({key: masks[key] for key in keys})
        )
        for key in keys:
            for side in demo_brain.SIDES:
                entries[split].append(demo_brain.entry(image, key, side, view, at, masks[key][side]))
    write(folder, entries, brain_card())


def brain_card() -> dict[str, Any]:
    return {
        "name": "brain",
        "what": "T1 MRI, average of 152 adults (MNI152 nonlinear symmetric 2009a), skull removed",
        "warning": "One brain: every slice comes from one average volume, so no split by subject is possible. "
        "Intervals speak about slices of this brain, not about patients. Neighboring slices, 1 or 2 mm apart, are not "
        "independent, and an axial and a coronal slice of different splits cross in one line of pixels.",
        "orientation": "radiological: the patient's left is on the picture's right; top is anterior (axial) or "
        "superior (coronal). The template is mirror symmetric, so only the position in the picture tells the side.",
        "split": "slabs of slices along z (axial) and y (coronal), at least 6 mm apart between splits",
        "slabs_mm": {
            view: [{"split": split, "first": first, "last": last, "step": step} for split, first, last, step in slabs]
            for view, slabs in demo_brain.SLABS.items()
        },
        "spacing_mm": [demo_brain.SPACING, demo_brain.SPACING],
        "targets": "white and gray matter: the template's own tissue maps above 0.5. Brain hemisphere: all voxels of "
        "the brain on one side of the midline, cerebellum and brainstem included. Lateral ventricle: dark region that "
        "holds the frontal horns, without the temporal horns. left, right, both: split at x = 0. Train lists every "
        "structure of a slice, val and test two in rotation.",
        **WORDS,
        "number": f"8-connected components of the mask; regions below {demo_brain.SPECK} pixels were removed",
        "labels": demo_labels.brain_labels(),
    }


def make_nuclei(folder: Path, source: Path) -> None:
    picture, instances = demo_nuclei.read_picture(source)
    empty(folder)
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    side = demo_nuclei.TILE
    for row, split in enumerate(demo_nuclei.SPLITS):
        for column in range(picture.shape[1] // side):
            image = f"tile_r{row}c{column}"
            window = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            save(folder / "images" / f"{image}.png", picture[window])
            targets = demo_nuclei.targets_of(instances[window])
            masks = {target: mask for target, (mask, _) in targets.items()}
            demo_labels.save_map(folder / "masks" / f"{image}.png", demo_labels.nuclei_map(masks))
            for target, (mask, count) in targets.items():
                entries[split].append(demo_nuclei.entry(image, target, mask, count))
    write(folder, entries, nuclei_card())


def nuclei_card() -> dict[str, Any]:
    return {
        "name": "nuclei",
        "what": "one 512x512 fluorescence microscopy picture (DSB2018 / BBBC038v1), cut into 16 tiles",
        "warning": "One picture: tiles are not independent samples, and a nucleus cut by a tile's border is in two "
        "tiles.",
        "split": "by rows of tiles: two train, one val, one test",
        **WORDS,
        "number": f"instances in the tile; pieces of a nucleus below {demo_nuclei.FRAGMENT} pixels were removed",
        "labels": demo_labels.nuclei_labels(),
    }


def empty(folder: Path) -> None:
    for name in (*PIXELS, "anns"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path, optimize=True)


def write(folder: Path, entries: dict[str, list[dict[str, Any]]], card: dict[str, Any]) -> None:
    for split, rows in entries.items():
        lines = ",\n".join(json.dumps(row) for row in rows)
        (folder / "anns" / f"{split}.json").write_text(f"[\n{lines}\n]\n", "utf-8")
    card["counts"] = {split: len(rows) for split, rows in entries.items()}
    card["images"] = {split: len(names(rows)) for split, rows in entries.items()}
    (folder / "dataset_card.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    pack(folder)
    print(folder.name, "entries", card["counts"], "images", card["images"])


def pack(folder: Path) -> None:
    """Move the images and masks of a set into its archive, whose bytes depend on theirs alone."""
    with zipfile.ZipFile(folder / "pixels.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for name in PIXELS for path in (folder / name).iterdir()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    for name in PIXELS:
        shutil.rmtree(folder / name)


def names(rows: Iterable[dict[str, Any]]) -> set[str]:
    return {row["img_name"] for row in rows}


if __name__ == "__main__":
    main()
