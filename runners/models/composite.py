"""Models that are made of other models of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from robustness.errors import InputError, suggest
from robustness.runners.models.black_box.entry import BlackBoxEntry

Load = Callable[..., Any]


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
