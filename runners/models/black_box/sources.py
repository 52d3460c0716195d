"""Origin of a segmenter from somebody's own file, recorded next to what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robustness.runners.inference.segmenter import NetworkSegmenter


class SourcedSegmenter:
    """A segmenter that says where it comes from; everything else is the segmenter's own.

    Args:
        segmenter: any object with the methods of `robustness.types.Segmenter`.
        source: what its `describe` adds under "source", as JSON values.
    """

    def __init__(self, segmenter: Any, source: Mapping[str, Any]) -> None:
        self._segmenter, self._source = segmenter, dict(source)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_segmenter" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._segmenter, name)

    def describe(self) -> dict[str, Any]:
        """Return what the segmenter tells of itself, its provenance and its source."""
        describe = getattr(self._segmenter, "describe", None)
        facts = dict(describe()) if callable(describe) else {"name": self._segmenter.name}
        return {**facts, **own_provenance(self._segmenter), "source": self._source}


def with_source(segmenter: Any, source: Mapping[str, Any]) -> Any:
    """Return `segmenter` so that its `describe` names `source`; a network stays the object that it is."""
    if isinstance(segmenter, NetworkSegmenter):
        segmenter.provenance = {**segmenter.provenance, "source": dict(source)}
        return segmenter
    return SourcedSegmenter(segmenter, source)


def own_provenance(thing: Any) -> dict[str, Any]:
    """Return what an object's `provenance`, a method or a mapping, tells, under that name; {} where it has none."""
    provenance = getattr(thing, "provenance", None)
    facts = provenance() if callable(provenance) else provenance
    return {"provenance": dict(facts)} if isinstance(facts, Mapping) and facts else {}
