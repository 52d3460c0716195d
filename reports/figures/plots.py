"""Single figures for notebooks: `run.plot("forest")`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustness.errors import InputError, suggest
from robustness.reports.data.frames import merge
from robustness.reports.data.paired import comparisons
from robustness.reports.data.run_tables import read_runs
from robustness.reports.figures.captions import captions
from robustness.reports.figures.catalogue import draw

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS: dict[str, str] = {
    "forest": "reliance",
    "loss": "drop",
    "heatmap": "heatmap",
    "severity": "severity",
    "scores": "scores",
    "shift": "shift",
    "matrix": "matrix",
    "joint": "joint",
    "rank": "rank",
    "thresholds": "thresholds",
    "collapse": "collapse",
    "paired": "paired",
}


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
        kind: forest (excess mask change per word), loss (Dice per change), heatmap, severity, scores, shift (kind by
            severity), matrix (model by data set), joint, rank, thresholds, collapse, paired.
        series: the model, where there are several; the first by default.
        key: of `severity` the image change ("gaussian_noise"), of `rank` "clean" or "images"; the first by default.

    Raises:
        InputError: no such kind, or the tables hold nothing to draw.
    """
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}{suggest(kind, KINDS)}")
    frames = merge(read_runs(run_dirs))
    found = [
        text
        for text in captions(frames, compared=comparisons(frames) if kind == "paired" else ())
        if text.family == KINDS[kind]
    ]
    wanted = key if key is not None else series
    chosen = [text for text in found if wanted is None or text.key == wanted]
    if not chosen:
        held = ", ".join(dict.fromkeys(t.key for t in found if t.key)) or "nothing"
        asked = "" if wanted is None else f" for {wanted!r}"
        raise InputError(f"kind: the run's tables hold no figure {kind!r}{asked}; there is {held}")
    return draw(chosen[0], frames)
