"""Tiles, masks and words of the embedded demo set `nuclei`, from the DSB2018 image inside the stardist package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from demo_words import attributes_of, count_word, nuclei_prompts
from PIL import Image

TILE = 128  # pixels
FRAGMENT, VISIBLE = 20, 100  # pixels: smaller pieces are dropped from the masks; a smaller nucleus is not asked for
SPLITS = ("train", "train", "val", "test")  # by rows of tiles
BRIGHTEST = 130  # about 99% of the image's pixels are below; dividing nuclei saturate
SUBJECT = "dsb2018_stardist"


def read_picture(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The image as uint8 and its instances (0 = background), both (512, 512)."""
    raw, instances = (np.asarray(Image.open(folder / name)) for name in ("img2d.tif", "mask2d.tif"))
    scaled = np.clip(raw.astype(float) * 255 / BRIGHTEST, 0, 255).round().astype(np.uint8)
    return scaled, instances.astype(int)


def targets_of(instances: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """Mask and number of nuclei of each target in one tile."""
    sizes = np.bincount(instances.ravel())
    sizes[0] = 0
    kept = [int(label) for label in np.nonzero(sizes >= FRAGMENT)[0]]
    edge = np.concatenate([instances[0], instances[-1], instances[:, 0], instances[:, -1]])
    whole = [label for label in kept if label not in set(edge.tolist())]
    groups = {"all": kept, "whole": whole if len(whole) not in (0, 1, len(kept)) else []}
    ranked = sorted(kept, key=lambda label: int(sizes[label]))
    # A tenth apart, so that the word can be seen to be true.
    if sizes[ranked[-1]] >= 1.1 * sizes[ranked[-2]]:
        groups["largest"] = ranked[-1:]
    if sizes[ranked[0]] >= VISIBLE and sizes[ranked[1]] >= 1.1 * sizes[ranked[0]]:
        groups["smallest"] = ranked[:1]
    return {name: (np.isin(instances, labels), len(labels)) for name, labels in groups.items() if labels}


def entry(image: str, target: str, mask: np.ndarray, count: int) -> dict[str, Any]:
    """One annotation in the reference benchmark's layout; `number` counts nuclei, which may touch each other."""
    words = {**attributes_of(mask), "number": count_word(count), "instances": count}
    return {
        "img_name": f"{image}.png",
        "mask_name": f"{image}.png",
        "mask_label": target,
        "prompts": nuclei_prompts(target, count, words["location"]),
        "subject": SUBJECT,
        "attributes": {"structure": "nucleus", "target": target, **words, "modality": "fluorescence microscopy"},
    }
