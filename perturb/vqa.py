"""Shape and colour words from a visual question answering model, where one is given.

The reference benchmark asked one for both. Any model that transformers can load as "visual-question-answering" will do,
from a folder or the hub; without one the values come from image processing (`measured`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from robustness.errors import InputError
from robustness.types import Image, Mask

QUESTIONS: Mapping[str, str] = {
    "shape": "What is the shape of the {target}?",
    "colour": "What is the color of the {target}?",
}
MARGIN = 0.1


class Answer(NamedTuple):
    """A model's answer in small letters and its score in [0, 1]."""

    text: str
    score: float


class VqaModel:
    """A visual question answering model.

    Args:
        name: a folder or a hub name.
        device: "cpu", "cuda", ...

    Raises:
        InputError: transformers cannot load it as a visual question answering model.
    """

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.name = name
        self._pipeline = _load(name, device)

    def ask(self, image: Image, question: str) -> Answer:
        """Return the best answer about an image, uint8 (H, W, 3)."""
        from PIL import Image as PilImage

        found = self._pipeline(image=PilImage.fromarray(image), question=question, top_k=1)
        best = found[0] if isinstance(found, list) else found
        return Answer(str(best["answer"]).strip().lower(), float(best.get("score", float("nan"))))

    def attributes(self, image: Image, mask: Mask, target: str) -> dict[str, str]:
        """Return shape and colour of the target, asked on the picture cut out around its mask with a tenth of margin.

        An empty answer, and an empty mask, give no value.
        """
        if not mask.any():
            return {}
        cut = crop(image, mask)
        answers = {kind: self.ask(cut, text.format(target=target)).text for kind, text in QUESTIONS.items()}
        return {kind: text for kind, text in answers.items() if text}


def crop(image: Image, mask: Mask) -> Image:
    """Return the part of `image` around the bounding box of `mask` (H, W), with a margin of a tenth of its sides."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    parts = []
    for places, length in ((rows, mask.shape[0]), (columns, mask.shape[1])):
        first, last = int(places[0]), int(places[-1]) + 1
        margin = max(1, round(MARGIN * (last - first)))
        parts.append(slice(max(0, first - margin), min(length, last + margin)))
    return np.ascontiguousarray(image[parts[0], parts[1]])


def _load(name: str, device: str) -> Any:
    from transformers import pipeline

    try:
        # The task's name is checked at run time; the annotation lists only what the stubs know.
        return pipeline("visual-question-answering", model=name, device=device)  # type: ignore[call-overload]
    except Exception as error:  # transformers raises many kinds: no such model, no network, another task
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"vqa: expected a visual question answering model, {name!r} is none ({reason})") from error
