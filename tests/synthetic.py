"""A small dataset in the reference benchmark's layout, and models whose behaviour is known by construction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

SIZE = 48


def disc(row: int, column: int, radius: int, size: int = SIZE) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def write_dataset(
    root: Path, *, images: int = 6, per_subject: int = 1, size: int = SIZE, whole: str | None = None
) -> Path:
    """Write images with a left and a right nucleus (radiological: the patient's left is on the image's right).

    With `whole` a third mask of that name on each image holds both; its prompts name no side.
    """
    for folder in ("images", "masks", "anns"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(images):
        rng = np.random.default_rng(number)
        row = int(rng.integers(size // 3, 2 * size // 3))
        masks = {"left": disc(row, 3 * size // 4, 5, size), "right": disc(row, size // 4, 5, size)}
        pixels = rng.normal(60, 6, (size, size))
        for mask in masks.values():
            pixels[mask] += 120
        picture = np.repeat(np.clip(pixels, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        PilImage.fromarray(picture).save(root / "images" / f"s{number:02d}.png")
        if whole is not None:
            masks[whole] = masks["left"] | masks["right"]
        for side, mask in masks.items():
            name = f"s{number:02d}_{side}.png"
            PilImage.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / name)
            entry = _entry(number, name, side, f"subject{number // per_subject}")
            entries.append(_of_both(entry, side) if side == whole else entry)
    # The same cases in every split, but no copies byte for byte, which the check before an audit refuses.
    for indent, split in enumerate(("train", "val", "test")):
        (root / "anns" / f"{split}.json").write_text(json.dumps(entries, indent=indent))
    return root


def _entry(number: int, name: str, side: str, subject: str) -> dict:
    where = "right" if side == "left" else "left"
    base = f"{side} caudate nucleus"
    return {
        "img_name": f"s{number:02d}.png",
        "mask_name": name,
        "subject": subject,
        "prompts": {
            "p0": "",
            "p1": "caudate nucleus",
            "p2": base,
            "p3": f"{base} in axial T1 brain MRI",
            "p5": f"one small {base} in axial T1 brain MRI",
            "p6": f"one small {base} in axial T1 brain MRI, located in the {where} of the image",
            "p7": [f"{base} in axial T1 brain MRI, a deep gray nucleus", f"{base}, a C-shaped part of the striatum"],
        },
        "attributes": {
            "structure": "caudate nucleus",
            "side": side,
            "side_visible": True,
            "view": "axial",
            "size": "small",
            "number": "one",
            "location": where,
            "modality": "T1 MRI",
        },
    }


def _of_both(entry: dict, name: str) -> dict:
    """Return an entry without its side words."""
    prompts = {
        key: text.replace(f"{name} ", "") if isinstance(text, str) else [t.replace(f"{name} ", "") for t in text]
        for key, text in entry["prompts"].items()
    }
    attributes = {key: value for key, value in entry["attributes"].items() if not key.startswith("side")}
    return entry | {"prompts": prompts, "attributes": attributes}


def bright(image: np.ndarray) -> np.ndarray:
    return image[:, :, 0] > 120


def reads_side(images: list[np.ndarray], prompts: list[str]) -> list[np.ndarray]:
    """Segment the bright disc of the side that the prompt names; both where it names none."""
    found = []
    for image, prompt in zip(images, prompts, strict=True):
        mask = bright(image)
        half = mask.shape[1] // 2
        words = prompt.lower().split(" nucle")[0].split()
        if "left" in words and "right" not in words:
            mask[:, :half] = False
        elif "right" in words and "left" not in words:
            mask[:, half:] = False
        found.append(mask.astype(np.float32))
    return found


def ignores_prompt(images: list[np.ndarray], prompts: list[str]) -> list[np.ndarray]:
    """Segment everything bright, whatever the prompt says."""
    return [bright(image).astype(np.float32) for image in images]
