"""Models of which only ``predict(images, prompts) -> probabilities`` is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from robustness.errors import InputError
from robustness.runners.inference.segmenter import resize_maps
from robustness.runners.models.black_box.returned_maps import as_probability, check_returns
from robustness.types import Image, Probability

Predict = Callable[[list[Image], list[str]], Sequence[Any]]


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
        """Join features by rows."""
        return ListCode(tuple(item for code in codes for item in code.items))


@dataclass(eq=False)
class BlackBox:
    """A callable behind the `Segmenter` protocol; `segmenter` makes it.

    Attributes:
        returns: what the callable's maps hold, see `robustness.runners.models.black_box.returned_maps`.
        batch_size: pairs per call, None for as many as the engine decodes at once.
        provenance: where the predictor comes from, for manifests.
    """

    predict: Predict
    name: str
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None
    returns: str = "probabilities"
    batch_size: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

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
        """Call the function, once for all pairs or as `batch_size` says, and check what it returns.

        Returns:
            One float32 map in [0, 1] per pair at its size in `sizes`, or at `image_size` where None.

        Raises:
            InputError: a wrong number of maps, or a map of a wrong shape or range; the pair is named.
        """
        if sizes is None and not self.image_size:
            raise InputError(f"resolution: network size needs segmenter(..., image_size=...), {self.name} states none")
        images, texts = list(image_code.items), list(text_code.items)
        step = self.batch_size or max(len(texts), 1)
        maps: list[Probability] = []
        for start in range(0, len(texts), step):
            part = slice(start, start + step)
            maps += self._checked(self.predict(images[part], texts[part]), images[part], texts[part])
        targets = sizes if sizes is not None else [(self.image_size, self.image_size)] * len(maps)
        return [
            probability
            if probability.shape == tuple(size)
            else resize_maps(torch.from_numpy(probability)[None, None], [size])[0]
            for probability, size in zip(maps, targets, strict=True)
        ]

    def _checked(self, returned: Any, images: Sequence[Image], texts: Sequence[str]) -> list[Probability]:
        try:
            maps = list(returned)
        except TypeError as error:
            kind = type(returned).__name__
            raise InputError(f"{self.name}: expected a sequence of arrays (H, W), got {kind}") from error
        if len(maps) != len(texts):
            raise InputError(f"{self.name}: expected one map per pair ({len(texts)}), got {len(maps)}")
        return [
            as_probability(value, _size(image), f"{self.name}: pair {row} ({text!r})", returns=self.returns)
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
            "returns": self.returns,
            "batch_size": self.batch_size,
            **({"source": dict(self.provenance)} if self.provenance else {}),
        }


def segmenter(
    predict: Predict,
    *,
    name: str,
    threshold: float = 0.5,
    image_size: int | None = None,
    returns: str = "probabilities",
    batch_size: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> BlackBox:
    """Wrap any function as a model that can be audited.

    Args:
        predict: called with `images` (list of uint8 (H, W, 3), sizes may differ) and `prompts` (list of str of equal
            length); returns one array (H, W) per pair at its image's size.
        name: what results call the model.
        threshold: the probability above which a pixel belongs to the mask.
        image_size: side of the network's own map, needed only for scores at network resolution.
        returns: "probabilities" in [0, 1] (a bool mask fits too); "mask": whatever is not 0 is inside; "logits";
            "instances": (N, H, W) per pair, whose union counts, N = 0 for nothing found.
        batch_size: pairs per call; 1 for a model that takes one image at a time.
        provenance: what a manifest should hold about the predictor, as JSON values.

    Raises:
        InputError: `predict` cannot be called, or an option is none of those above.
    """
    if not callable(predict):
        raise InputError(f"predict: expected a function (images, prompts) -> maps, got {type(predict).__name__}")
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size: expected at least 1 pair per call, got {batch_size}")
    return BlackBox(
        predict=predict,
        name=name,
        threshold=threshold,
        image_size=image_size or 0,
        returns=check_returns(returns),
        batch_size=batch_size,
        provenance=provenance or {},
    )


def _size(image: Image) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
