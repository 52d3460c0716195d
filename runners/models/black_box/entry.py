"""Models that no file of this room builds: a Python file, a command, a server, and models made of others."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image as PILImage

from robustness.errors import AnswerError, InputError, suggest
from robustness.runners.models.black_box.callable import BlackBox, Predict, segmenter
from robustness.types import Image

Load = Callable[..., Any]

# What `segmenter` takes, for every black box that calls something.
CALL_OPTIONS = ("returns", "batch_size", "max_words")


class BlackBoxEntry:
    """What one kind of black box tells; subclasses fill `load`.

    Class attributes:
        title: one line for ``robustness list models``.
        options: the names that a plan's ``options`` may hold.
    """

    title: ClassVar[str] = ""
    options: ClassVar[tuple[str, ...]] = ()

    def load(self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any) -> Any:
        """Return a `Segmenter`; `source` is what a plan calls the checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} must define load()")


def load_black_box(
    entry: BlackBoxEntry,
    source: str | None,
    *,
    name: str,
    threshold: float | None,
    image_size: int | None,
    refused: Mapping[str, bool],
    options: Mapping[str, Any],
) -> Any:
    """Return the segmenter of a black box.

    Args:
        entry: its kind.
        source: what a plan calls the checkpoint: a file, a folder, an address.
        name: the registered name, for messages.
        threshold: the probability above which a pixel belongs to the mask; None for 0.5.
        image_size: side of the predictor's own map, for scores at network resolution.
        refused: settings that only networks have, and whether they were given.
        options: the kind's own options.

    Raises:
        InputError: an option that it does not know, or a setting that only networks have.
    """
    given = [setting for setting, stated in refused.items() if stated]
    if given:
        raise InputError(f"{given[0]}: expected none for the black box {name!r}, which runs as it is; leave it out")
    for option in options:
        if option not in entry.options:
            accepted = ", ".join(entry.options)
            raise InputError(f"options: {name!r} has no {option!r}{suggest(option, entry.options)} (known: {accepted})")
    return entry.load(source, threshold=threshold, image_size=image_size, **options)


def calling(
    predict: Predict,
    *,
    name: str,
    threshold: float | None,
    image_size: int | None,
    provenance: Mapping[str, Any],
    options: Mapping[str, Any],
    pairs_at_once: int | None = None,
    **limits: Any,
) -> BlackBox:
    """Return `predict` as a segmenter, with the `CALL_OPTIONS` among `options`.

    `pairs_at_once` is how many pairs the engine had better hand over; `limits` are `max_tokens` and `tokenize`.
    """
    chosen = {key: options[key] for key in CALL_OPTIONS if key in options}
    box = segmenter(
        predict,
        name=name,
        threshold=0.5 if threshold is None else threshold,
        image_size=image_size,
        provenance=provenance,
        **chosen,
        **limits,
    )
    box.pairs_at_once = pairs_at_once
    return box


def retried(attempt: Callable[[], Any], *, retries: int, wait: Callable[[int], None], giving_up: str) -> Any:
    """Return what `attempt` returns, trying again `retries` times after a `TryAgainError`.

    Args:
        attempt: does the work.
        retries: further attempts, 0 for none.
        wait: called with the number of the attempt that failed, from 0.
        giving_up: the beginning of the message when all failed.

    Raises:
        GaveUpError: every attempt failed; the last reason is in the message.
    """
    last = TryAgainError()
    for number in range(retries + 1):
        try:
            return attempt()
        except TryAgainError as error:
            last = error
            if number < retries:
                wait(number)
    times = "once" if retries == 0 else f"{retries + 1} times"
    raise GaveUpError(f"{giving_up} failed {times}: {last}") from last


class GaveUpError(InputError):
    """Every attempt at some pairs failed; others may succeed."""


def pair_by_pair(
    predict: Callable[[Sequence[Image], Sequence[str], int], list[Any]],
    images: Sequence[Image],
    prompts: Sequence[str],
    *,
    retries: int,
) -> list[Any]:
    """Return what `predict(images, prompts, retries)` returns; where that gives up, each pair is tried alone.

    A pair that fails alone has an `AnswerError` in its place.

    Raises:
        InputError: no pair of several succeeded: it is not the pair that is at fault.
    """
    try:
        return predict(images, prompts, retries)
    except GaveUpError as error:
        if len(prompts) == 1:
            return [AnswerError(f"{prompts[0]!r}: {error}")]
        answers: list[Any] = []
        for image, prompt in zip(images, prompts, strict=True):
            answers += pair_by_pair(predict, [image], [prompt], retries=0)
        if all(isinstance(answer, AnswerError) for answer in answers):
            raise InputError(str(error)) from error
        return answers


class TryAgainError(Exception):
    """A failure that may be gone at the next attempt."""


def check_number(name: str, value: Any, *, low: float, high: float) -> Any:
    """Return `value`.

    Raises:
        InputError: it is no number from `low` to `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}")
    return value


def png_bytes(image: Image) -> bytes:
    """Return a uint8 RGB image (H, W, 3) as PNG."""
    buffer = io.BytesIO()
    PILImage.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


class CompositeEntry(BlackBoxEntry):
    """What one kind of composite tells; subclasses fill `compose` instead of `load`."""

    def compose(
        self,
        load: Load,
        source: str | None,
        *,
        threshold: float | None,
        image_size: int | None,
        common: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Any:
        """Return a `Segmenter`.

        Args:
            load: `robustness.runners.models.load.load_model`, for the members.
            source: what a plan calls the checkpoint.
            threshold: the probability above which a pixel belongs to the mask; None for 0.5.
            image_size: side of the composite's own map; None for the largest member's.
            common: `device`, `precision` and the like, for members that state none.
            options: of `options`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compose()")


def load_composite(
    entry: CompositeEntry,
    load: Load,
    source: str | None,
    *,
    name: str,
    threshold: float | None,
    image_size: int | None,
    common: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """Return what `entry` composes.

    Args:
        entry: the kind.
        load: for the members.
        source: what a plan calls the checkpoint.
        name: the registered name, for messages.
        threshold: the probability above which a pixel belongs to the mask; None for the kind's own.
        image_size: side of the composite's own map.
        common: what members take that state none of their own.
        options: the kind's own.

    Raises:
        InputError: an option that it does not know.
    """
    for option in options:
        if option not in entry.options:
            names = ", ".join(entry.options)
            raise InputError(f"options: {name!r} has no {option!r}{suggest(option, entry.options)} (known: {names})")
    return entry.compose(load, source, threshold=threshold, image_size=image_size, common=common, options=options)
