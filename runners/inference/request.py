"""One prediction that is wanted, and which of them share a batch of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from robustness.types import Image

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One prediction that is wanted.

    Attributes:
        image: uint8 (H, W, 3); an attack's `ExactImage` is float32 in [0, 1].
        image_key: what makes images the same; equal keys are encoded once per call.
        text: the prompt.
        condition, case_id, prompt_index: where the prediction belongs; models that hold predictions look it up by them.
    """

    image: Image
    image_key: str
    text: str
    condition: str = "clean"
    case_id: str = ""
    prompt_index: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.image.shape[0], self.image.shape[1]


def image_groups(requests: Sequence[Request], image_batch: int) -> Iterator[list[int]]:
    """Yield the request indices on each batch of distinct images, images in order of first appearance."""
    by_image: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        by_image.setdefault(request.image_key, []).append(index)
    keys = list(by_image)
    for start in range(0, len(keys), image_batch):
        yield sorted(i for key in keys[start : start + image_batch] for i in by_image[key])


def in_order(numbered: Iterable[tuple[int, T]]) -> Iterator[T]:
    """Yield numbered things by their numbers 0, 1, ..., each as soon as those before it are there."""
    waiting: dict[int, T] = {}
    following = 0
    for number, thing in numbered:
        waiting[number] = thing
        while following in waiting:
            yield waiting.pop(following)
            following += 1
