"""Shared by the prompt tests: texts of every real family, and cases built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robustness.perturb.language.parse import parse_prompt
from robustness.types import Case, CaseInfo, DataContext

FAMILIES = {
    "polyp": "one small pink round polyp, located in top right of the image",
    "polyp with description": (
        "two medium white a thumb polyp which is a small lump in the lining of colon "
        "located in top left, center of the image"
    ),
    "melanoma": "one large brown oval skin melanoma, located in center of the image",
    "ulcer": "one small red square foot ulcer, located in bottom left of the image",
    "breast": "Two small, medium circle-shaped benign tumors at the top left, center in the breast ultrasound image.",
    "no tumor": "No tumor in the breast ultrasound image.",
    "echo": (
        "Left ventricular cavity of oval shape in four-chamber view of the heart at end of the systole cycle of a "
        "fifty-six-year-old female with good image quality."
    ),
    "chest": (
        "Support Devices of shape x-rays, and located in top left, left of the lateral view of a Chest Xray. "
        "Lung Opacity, Atelectasis are present."
    ),
    "brain": "one small left caudate nucleus in axial T1 brain MRI, located in the top of the image",
    "brain both": (
        "one large region: left and right cerebellar hemispheres in coronal T1 brain MRI, "
        "located in the bottom of the image"
    ),
    "brain tissue": "large white matter in several separate regions in axial T1 brain MRI",
    "nuclei": "one light largest nucleus on a dark background in a fluorescence microscopy image",
    "ct": "small air inside the head in two separate regions in axial head CT, located in the top of the image",
}


def blob(rows: tuple[int, int] = (10, 20), columns: tuple[int, int] = (10, 20), size: int = 100) -> np.ndarray:
    """Return a bool mask (size, size) with one filled rectangle."""
    mask = np.zeros((size, size), dtype=bool)
    mask[rows[0] : rows[1], columns[0] : columns[1]] = True
    return mask


def make_case(
    text: str, *, mask: np.ndarray | None = None, case_id: str = "a", image_id: str = "image", **metadata: Any
) -> Case:
    """Return a case with a parsed prompt; `metadata` may hold `attributes`, `siblings`, `modality`, `prompt_index`."""
    mask = blob() if mask is None else mask
    attributes = metadata.get("attributes")
    prompt = parse_prompt(text, siblings=metadata.get("siblings"), attributes=attributes)
    target = prompt.get("target")
    image = np.zeros((*mask.shape, 3), dtype=np.uint8)
    name = target.value if target else ""
    return Case(case_id, "subject", image, mask, prompt, name, {"image_id": image_id, **metadata})


def context_of(cases: Sequence[Case], *, seed: int = 0, listed: dict[str, list[str]] | None = None) -> DataContext:
    """Return the context of cases; `listed` gives further prompts by case_id."""
    infos = []
    for case in cases:
        more = tuple(parse_prompt(text) for text in (listed or {}).get(case.case_id, []))
        image_id = str(case.metadata["image_id"])
        infos.append(CaseInfo(case.case_id, image_id, "subject", case.target, (case.prompt, *more), case.metadata))
    return DataContext(name="hand", infos=tuple(infos), seed=seed)


def values(text: str, **options: Any) -> list[tuple[str, str]]:
    """Return (kind, value) of every attribute that is read in `text`."""
    return [(a.kind, a.value) for a in parse_prompt(text, **options).attributes]
