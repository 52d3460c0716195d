"""Images made in code: each shows one small and one large lesion, and a prompt names one of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from segmenter import SIDE, SUBJECTS, lesion


def write(folder: Path, *, subjects: int = SUBJECTS, images: int = 6, both: bool = False) -> Path:
    """Write a dataset in the layout of the reference benchmark; return its folder.

    Args:
        folder: made where it is missing.
        subjects: patients.
        images: images of each patient.
        both: ask for both lesions of an image; else for the small and the large one in turn.
    """
    for name in ("images", "masks", "anns"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(subjects * images):
        # Not PNG: its bytes depend on the version of the compressor, and baselines are tied to the files' hashes.
        picture = f"p{number:04d}.bmp"
        Image.fromarray(draw(number)).save(folder / "images" / picture)
        for size in ("small", "large") if both else (("small", "large")[number % 2],):
            mask = f"p{number:04d}_{size}.bmp"
            Image.fromarray(lesion(size).astype(np.uint8) * 255).save(folder / "masks" / mask)
            entries.append(_entry(picture, mask, size, f"patient{number // images:02d}"))
    (folder / "anns" / "test.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def draw(number: int) -> np.ndarray:
    """Return an image, uint8 (40, 40, 3)."""
    rng = np.random.default_rng(number)
    grey = rng.integers(20, 60, (SIDE, SIDE)).astype(np.uint8)
    for size in ("small", "large"):
        grey[lesion(size)] += 150
    bits = [number >> place & 1 for place in range(SIDE // 4)]
    grey[:4] = np.repeat(np.array(bits, np.uint8) * 200 + 20, 4)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _entry(picture: str, mask: str, size: str, subject: str) -> dict[str, object]:
    prompts = {"p1": "polyp", "p2": f"{size} polyp", "p3": [f"one {size} polyp", f"{size} polyp in an endoscopy image"]}
    attributes = {"size": size, "number": "one", "modality": "endoscopy"}
    return {"img_name": picture, "mask_name": mask, "subject": subject, "prompts": prompts, "attributes": attributes}


if __name__ == "__main__":
    print(write(Path(__file__).parent / "data", images=2, both=True))
