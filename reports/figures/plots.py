"""Single figures for notebooks: `run.plot("forest")`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustness.errors import InputError, suggest
from robustness.reports.data.frames import merge
from robustness.reports.data.paired import comparisons
from robustness.reports.data.run_tables import read_runs
from robustness.reports.figures.registry import FigureEntry, FigureInput, figure_entries

if TYPE_CHECKING:
    import plotly.graph_objects as go


def plot_kinds() -> dict[str, FigureEntry]:
    """Return the figures by their name in `run.plot`, in page order."""
    return {entry.notebook or entry.name: entry for entry in figure_entries()}


def plot(
    run_dirs: str | Path | Sequence[str | Path],
    kind: str = "forest",
    *,
    series: str | None = None,
    key: str | None = None,
) -> go.Figure:
    """Return one figure of a finished run (or of several), as the page draws it.

    Args:
        run_dirs: run folder(s).
        kind: forest (excess mask change per word), loss (Dice per change), heatmap, severity, attack, scores, shift
            (kind by severity), matrix (model by data set), joint, rank, thresholds, collapse, paired, published, or
            another registered figure.
        series: the model, where there are several; the first by default.
        key: of `severity` the image change ("gaussian_noise"), of `rank` "clean" or "images"; the first by default.

    Raises:
        InputError: no such kind, or the tables hold nothing to draw.
    """
    kinds = plot_kinds()
    if kind not in kinds:
        raise InputError(f"kind: expected one of {', '.join(kinds)}, got {kind!r}{suggest(kind, kinds)}")
    frames = merge(read_runs(run_dirs))
    compared = comparisons(frames, alpha=frames.alpha) if kind == "paired" else ()
    texts = kinds[kind].captions(FigureInput(frames, compared, published=True))
    selector = key if key is not None else series
    chosen = [text for text in texts if selector is None or text.key == selector]
    if not chosen:
        existing = ", ".join(dict.fromkeys(t.key for t in texts if t.key)) or "nothing"
        selection = "" if selector is None else f" for {selector!r}"
        raise InputError(f"kind: the run's tables hold no figure {kind!r}{selection}; there is {existing}")
    return kinds[kind].draw(chosen[0], frames)
