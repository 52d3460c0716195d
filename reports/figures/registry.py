"""Registry of the page's figures: one entry is one file with its rows, its caption and its drawing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from robustness.registry import Registry
from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import Comparison
from robustness.reports.figures.figure import FigureText

if TYPE_CHECKING:
    import plotly.graph_objects as go

SECTIONS = ("prompt", "robustness", "scores", "comparison")


@dataclass(frozen=True)
class FigureInput:
    """What captions are written from.

    Attributes:
        frames: the tables of all runs of the page.
        comparisons: paired differences, where several series are compared.
        published: whether published figures are asked for.
    """

    frames: Frames
    comparisons: Sequence[Comparison] = ()
    published: bool = False


class FigureEntry(ABC):
    """One family of figures: none, one or several per page (one per model, per image change, ...).

    Attributes:
        name: the family; captions carry it.
        position: on the page, small first; any integer.
        section: part of the auditor's page, one of `SECTIONS`.
        regulatory: number of the section in the regulatory edition; 0 for none.
        heading: heading over the family; empty for none.
        note: how to read the figure, one or two sentences below the heading; empty for none.
        series_key: whether the lines' key (colour, dash and model) stands in the note.
        notebook: the name in `run.plot`; empty for `name` itself.
    """

    name: ClassVar[str]
    position: ClassVar[int]
    section: ClassVar[str]
    regulatory: ClassVar[int] = 0
    heading: ClassVar[str] = ""
    note: ClassVar[str] = ""
    series_key: ClassVar[bool] = False
    notebook: ClassVar[str] = ""

    @abstractmethod
    def captions(self, source: FigureInput) -> Sequence[FigureText]:
        """Return the figures that the tables can fill, each with its rows; none where nothing is to be drawn."""

    @abstractmethod
    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the drawing of one of this family's captions; figures of one family share their axes."""


FIGURES: Registry[type[FigureEntry]] = Registry("figure", "robustness.reports.figures")


def figure_entries() -> tuple[FigureEntry, ...]:
    """Return every registered figure in page order."""
    entries = [FIGURES.get(name)() for name in FIGURES.names()]
    return tuple(sorted(entries, key=lambda entry: (entry.position, entry.name)))
