"""Shape and colour words from a visual question answering model, where one is given.

The reference benchmark asked one for both. Any model that transformers loads with AutoModelForVisualQuestionAnswering
will do (ViLT, BLIP, BLIP-2), from a folder or the hub; without one the values come from image processing (`measured`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from robustness.errors import InputError, one_line
from robustness.types import Image, Mask

QUESTIONS: Mapping[str, str] = {
    "shape": "What is the shape of the {target}?",
    "colour": "What is the color of the {target}?",
}
MARGIN = 0.1


class Answer(NamedTuple):
    """A model's answer in small letters and its score in [0, 1]; NaN where the model writes its answer freely."""

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
        self._processor, self._model = _load(name, device)
        self._device = device

    def ask(self, image: Image, question: str) -> Answer:
        """Return the best answer about an image, uint8 (H, W, 3)."""
        import torch
        from PIL import Image as PilImage

        inputs = self._processor(PilImage.fromarray(image), question, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            if self._model.can_generate():
                ids = self._model.generate(**inputs, max_new_tokens=10, do_sample=False)
                text = self._processor.batch_decode(ids, skip_special_tokens=True)[0]
                return Answer(str(text).strip().lower(), float("nan"))
            scores = self._model(**inputs).logits[0].sigmoid()
        best = int(scores.argmax())
        return Answer(str(self._model.config.id2label[best]).strip().lower(), float(scores[best]))

    def attributes(self, image: Image, mask: Mask, target: str) -> dict[str, str]:
        """Return shape and colour of the target, asked on the image cut out around its mask with a tenth of margin.

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


def _load(name: str, device: str) -> tuple[Any, Any]:
    """Return the model's processor and the model, in eval mode on `device`."""
    from transformers import AutoModelForVisualQuestionAnswering, AutoProcessor

    try:
        processor: Any = AutoProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
        model: Any = AutoModelForVisualQuestionAnswering.from_pretrained(name)
    except Exception as error:  # transformers raises many kinds: no such model, no network, another task
        reason = one_line(error, most=160)
        raise InputError(f"vqa: expected a visual question answering model, {name!r} is none ({reason})") from error
    return processor, model.to(device).eval()
