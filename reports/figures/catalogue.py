"""Captions and drawings of every registered figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from robustness.reports.data.datatable import level_words
from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import Comparison
from robustness.reports.figures.figure import FigureText
from robustness.reports.figures.registry import FIGURES, FigureInput, figure_entries

if TYPE_CHECKING:
    import plotly.graph_objects as go


def captions(frames: Frames, *, compared: Sequence[Comparison] = (), published: bool = False) -> tuple[FigureText, ...]:
    """Return the figures that these tables can fill, in page order; with `published` the benchmark's figures too."""
    source = FigureInput(frames, tuple(compared), published)
    return tuple(_levelled(text) for entry in figure_entries() for text in entry.captions(source))


def _levelled(text: FigureText) -> FigureText:
    """Return a caption that says of which level the intervals are that its figure shows."""
    stated = level_words(text.table)
    return replace(text, says=(*text.says, stated)) if stated else text


def drawings(captions: Iterable[FigureText], frames: Frames) -> dict[str, Any]:
    """Return figures as plotly's JSON, by their ids."""
    return {text.id: json.loads(draw(text, frames).to_json()) for text in captions}


def draw(text: FigureText, frames: Frames) -> go.Figure:
    """Return the drawing of one listed figure."""
    return FIGURES.get(text.family)().draw(text, frames)
