"""A very small model that reads size words, and what a change may do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SUBJECTS = 30
# Side of an image, and rows and columns of its two lesions. The top four rows hold the image's number, ten bits of
# 4 x 4 pixels.
SIDE = 40
SMALL = (slice(4, 14), slice(26, 36))
LARGE = (slice(16, 36), slice(4, 24))
# What the model leaks of the lesion that was not asked for.
LEAK = 0.3
# A changed model differs from the old one on every image: spread of the difference, and how alike one patient's are.
SPREAD, ALIKE = 0.05, 0.4

Predict = Callable[[Sequence[np.ndarray], Sequence[str]], list[np.ndarray]]


def make(*, forgets: float = 0.0, change: int = 0, images: int = 6) -> Predict:
    """Return the model: it segments the lesion that the size word names, and leaks a share of the other one.

    The share of the mask that moves when the size word is swapped is 1 - leak: how much the model relies on that word.

    Args:
        forgets: by how much a change lowers that reliance, on average.
        change: a number for the change; 0: the old model. Every change moves every image a little.
        images: images of each patient.
    """
    leaks = LEAK + (forgets + differences(change, images) if change else np.zeros(SUBJECTS * images))

    def predict(pictures: Sequence[np.ndarray], prompts: Sequence[str]) -> list[np.ndarray]:
        return [_mask(leaks[number_of(p)], prompt) for p, prompt in zip(pictures, prompts, strict=True)]

    return predict


def differences(change: int, images: int) -> np.ndarray:
    """Return what a change adds to the leak of each image: mean 0, in the order of the images."""
    rng = np.random.default_rng([change, 7])
    shared, own = rng.standard_normal((SUBJECTS, 1)), rng.standard_normal((SUBJECTS, images))
    return SPREAD * (np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own).ravel()


def _mask(leak: float, prompt: str) -> np.ndarray:
    asked, other = ("large", "small") if "large" in prompt else ("small", "large")
    mask = lesion(asked).astype(np.float32)
    rows, columns = np.nonzero(lesion(other))
    leaked = round(float(np.clip(leak, 0, 1)) * len(rows))
    mask[rows[:leaked], columns[:leaked]] = 1.0
    return mask


def lesion(size: str) -> np.ndarray:
    """Return where a lesion lies, bool (40, 40)."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[SMALL if size == "small" else LARGE] = True
    return mask


def number_of(picture: np.ndarray) -> int:
    """Return the number that an image was drawn with."""
    bits = picture[:4, :, 0].reshape(4, SIDE // 4, 4).mean(axis=(0, 2)) > 120
    return sum(int(bit) << place for place, bit in enumerate(bits))
