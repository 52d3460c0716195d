"""Models of which only ``predict(images, prompts) -> probabilities`` is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robustness.errors import InputError
from robustness.runners.segmenter import resize_maps
from robustness.types import Image, Probability

Predict = Callable[[list[Image], list[str]], Sequence[Any]]

# Rounding may carry a probability this far beyond [0, 1]; it is then clipped.
_SLACK = 1e-5


@dataclass(frozen=True, eq=False)
class ListCode:
    """The images or texts themselves, since a black box encodes nothing apart."""

    items: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int]) -> ListCode:
        """Return the items of `rows`, repeats allowed, in that order."""
        return ListCode(tuple(self.items[row] for row in rows))

    @staticmethod
    def concat(codes: Sequence[ListCode]) -> ListCode:
        """Join codes by rows."""
        return ListCode(tuple(item for code in codes for item in code.items))


@dataclass(eq=False)
class BlackBox:
    """A callable behind the `Segmenter` protocol; `segmenter` makes it."""

    predict: Predict
    name: str
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None

    def encode_image(self, images: Sequence[Image]) -> ListCode:
        """Keep the images."""
        return ListCode(tuple(images))

    def encode_text(self, texts: Sequence[str]) -> ListCode:
        """Keep the texts."""
        return ListCode(tuple(texts))

    def decode(self, image_code: ListCode, text_code: ListCode) -> torch.Tensor:
        """Return logits (B, 1, H, W) of the pairs.

        Raises:
            InputError: the images differ in size, so that their maps make no tensor.
        """
        maps = self.probabilities(image_code, text_code, [_size(image) for image in image_code.items])
        if len({m.shape for m in maps}) > 1:
            raise InputError("images: expected images of one size to decode into one tensor, got several sizes")
        return torch.from_numpy(np.stack(maps))[:, None].logit()

    def probabilities(
        self, image_code: ListCode, text_code: ListCode, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[Probability]:
        """Call the function once for all pairs and check what it returns.

        Returns:
            One float32 map in [0, 1] per pair at its size in `sizes`, or at `image_size` where None.

        Raises:
            InputError: a wrong number of maps, or a map of a wrong shape or range; the pair is named.
        """
        if sizes is None and not self.image_size:
            raise InputError(f"resolution: network size needs segmenter(..., image_size=...), {self.name} states none")
        images, texts = list(image_code.items), list(text_code.items)
        returned = self.predict(images, texts)
        maps = self._checked(returned, images, texts)
        wanted = sizes if sizes is not None else [(self.image_size, self.image_size)] * len(maps)
        return [
            found if found.shape == tuple(size) else resize_maps(torch.from_numpy(found)[None, None], [size])[0]
            for found, size in zip(maps, wanted, strict=True)
        ]

    def _checked(self, returned: Any, images: Sequence[Image], texts: Sequence[str]) -> list[Probability]:
        try:
            maps = list(returned)
        except TypeError as error:
            found = type(returned).__name__
            raise InputError(f"{self.name}: expected a sequence of arrays (H, W), got {found}") from error
        if len(maps) != len(texts):
            raise InputError(f"{self.name}: expected one map per pair ({len(texts)}), got {len(maps)}")
        return [
            _as_probability(value, _size(image), f"{self.name}: pair {row} ({text!r})")
            for row, (value, image, text) in enumerate(zip(maps, images, texts, strict=True))
        ]

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know, as JSON values."""
        function = getattr(self.predict, "__qualname__", type(self.predict).__qualname__)
        return {
            "name": self.name,
            "model": "callable",
            "function": f"{getattr(self.predict, '__module__', '?')}.{function}",
            "threshold": self.threshold,
        }


def segmenter(predict: Predict, *, name: str, threshold: float = 0.5, image_size: int | None = None) -> BlackBox:
    """Wrap any function as a model that can be audited.

    Args:
        predict: called with `images` (list of uint8 (H, W, 3), sizes may differ) and `prompts` (list of str of equal
            length); returns one array (H, W) per pair at its image's size: probabilities in [0, 1], or a bool mask.
        name: what results call the model.
        threshold: the probability above which a pixel belongs to the mask.
        image_size: side of the network's own map, needed only for scores at network resolution.

    Raises:
        InputError: `predict` cannot be called, or the threshold is no probability.
    """
    if not callable(predict):
        raise InputError(f"predict: expected a function (images, prompts) -> maps, got {type(predict).__name__}")
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    return BlackBox(predict=predict, name=name, threshold=threshold, image_size=image_size or 0)


def _size(image: Image) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _as_probability(value: Any, size: tuple[int, int], where: str) -> Probability:
    array = value.detach().float().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.shape != size:
        raise InputError(f"{where}: expected a map of its image's size {size}, got shape {array.shape}")
    if array.dtype.kind not in "bfiu":
        raise InputError(f"{where}: expected numbers or booleans, got {array.dtype}")
    found = array.astype(np.float32)
    low, high = float(found.min()), float(found.max())
    # NaN compares as false, so it ends here too.
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise InputError(
            f"{where}: expected probabilities in [0, 1], got {low:g} to {high:g}; apply a sigmoid to logits"
        )
    return np.clip(found, 0.0, 1.0)
