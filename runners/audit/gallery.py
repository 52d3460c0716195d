"""Small images of the worst and of some random predictions, kept while the audit runs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image as PilImage

from robustness.perturb.image.pixels import to_bytes
from robustness.results import CLEAN
from robustness.run_folder import GALLERY, RunFolder
from robustness.runners.audit.jobs import Job
from robustness.runners.audit.rows import ResultRow
from robustness.runners.audit.scoring import Scored, resize_nearest
from robustness.seeds import generator
from robustness.types import Image, Mask

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

LONG_SIDE = 256
WORST_PER_CONDITION = 6
RANDOM_PER_CONDITION = 2
KEYS = ["model", "dataset", "condition"]


class Standing(NamedTuple):
    """What decides whether a prediction is shown: how far it falls short (`harm`), and its draw in [0, 1)."""

    harm: float
    draw: float


@dataclass
class Standings:
    """The worst and the random predictions of each condition in all parts that this process has scored.

    A prediction that is neither among the worst nor among the random ones of some rows is so in no larger set of rows,
    so its image is never made: earlier parts spare later ones their thumbnails.
    """

    _best: dict[tuple[str, ...], list[Standing]] = field(default_factory=dict)

    def admits(self, key: tuple[str, ...], new: Standing) -> bool:
        """Return whether a prediction may be shown, and remember it where it may."""
        best = self._best.setdefault(key, [])
        worst, random = _chosen([*best, new], lambda standing: standing)
        if not any(entry is new for entry in (*worst, *random)):
            return False
        best[:] = [*worst, *random]
        return True


class _Shared:
    """Small images and files of arrays that many predictions of a part share, such as a case's image and reference.

    Each array is held, so that no other can bear its identity.
    """

    def __init__(self) -> None:
        self._small: dict[tuple[int, tuple[int, int]], tuple[Any, Any]] = {}
        self._files: dict[int, tuple[Any, bytes]] = {}

    def small(self, source: Any, size: tuple[int, int], shrink: Callable[[Any, tuple[int, int]], Any]) -> Any:
        """Return `source` shrunk, the same object each time."""
        key = id(source), size
        if key not in self._small:
            self._small[key] = source, shrink(source, size)
        return self._small[key][1]

    def file(self, pixels: Any) -> bytes:
        """Return an array as a file, made once."""
        if id(pixels) not in self._files:
            self._files[id(pixels)] = pixels, _file(pixels)
        return self._files[id(pixels)][1]


@dataclass
class GalleryCollector:
    """Keeps small images of the worst and of some seeded random predictions of each condition of one part."""

    seed: int
    standings: Standings = field(default_factory=Standings)
    _kept: dict[tuple[str, ...], list[dict[str, Any]]] = field(default_factory=dict)
    _shared: _Shared = field(default_factory=_Shared)

    def offer(self, scored: Scored) -> None:
        """Keep the image while it is among the worst or the random ones."""
        row = scored.rows[0]
        rng = generator(self.seed, "gallery", row.case_id, row.condition, row.prompt_index)
        at_best = 1.0 if row.condition == CLEAN or scored.dice_clean is None else scored.dice_clean
        new = Standing(harm(row, at_best), float(rng.random()))
        key = row.series.model, row.series.dataset, row.condition
        if not self.standings.admits(key, new):
            return
        shelf = self._kept.setdefault(key, [])
        # The full-size masks are let go at once; only what is shown in the end is encoded.
        entry = {**new._asdict(), "effect": at_best - row.measured["dice"], "rank": "", "scored": scored}
        shelf[:] = _ranked([*shelf, _shrunk(entry, self._shared)])

    def table(self) -> pd.DataFrame:
        """Return the kept images as rows of the gallery."""
        import pandas as pd

        return pd.DataFrame([_encoded(entry, self._shared) for shelf in self._kept.values() for entry in shelf])


def assemble(run: RunFolder, *, parts: int) -> None:
    """Join the parts' images with the gallery that is there, keep the worst and random ones, write the gallery."""
    import pandas as pd

    files = [*map(run.picture_part, range(parts)), run.path / GALLERY]
    tables = [pd.read_parquet(p) for p in files if p.is_file()]
    tables = [t for t in tables if len(t)]
    rows: list[dict[str, Any]] = []
    if tables:
        table = pd.concat(tables, ignore_index=True).drop_duplicates([*KEYS, "case_id", "prompt_index"])
        by_series: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for entry in table.to_dict("records"):
            by_series.setdefault(tuple(entry[key] for key in KEYS), []).append(entry)
        for key in sorted(by_series):
            rows.extend(_ranked(by_series[key]))
    run.write_table(run.path / GALLERY, pd.DataFrame(rows))
    for path in map(run.picture_part, range(parts)):
        path.unlink(missing_ok=True)


def _ranked(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    worst, random = _chosen(entries, lambda e: Standing(_rank_value(e), e["draw"]))
    return [{**e, "rank": "worst"} for e in worst] + [{**e, "rank": "random"} for e in random]


def _chosen(entries: Iterable[T], standing: Callable[[T], Standing]) -> tuple[list[T], list[T]]:
    """Return the worst entries and, of the others, the random ones."""
    ordered = sorted(entries, key=lambda e: (-standing(e).harm, standing(e).draw))
    worst, rest = ordered[:WORST_PER_CONDITION], ordered[WORST_PER_CONDITION:]
    return worst, sorted(rest, key=lambda e: standing(e).draw)[:RANDOM_PER_CONDITION]


def harm(row: ResultRow, at_best: float) -> float:
    """Return how far the prediction falls short of what its condition expects; larger is worse.

    follow: Dice that the second target lacks. change: the mask that stayed, 1 - mask change. abstain: the painted share
    of the image. Else the loss of Dice against the clean prediction.
    """
    measured = row.measured
    if row.expectation == "follow" and row.dice_other is not None:
        return float(1.0 - row.dice_other)
    if row.expectation == "change":
        return float(1.0 - measured["mask_change"])
    if row.expectation == "abstain":
        return float(measured["area_fraction"])
    return float(at_best - measured["dice"])


def _rank_value(entry: Mapping[str, Any]) -> float:
    """Return the harm; parts of an audit begun by an older version hold the loss alone."""
    value = entry.get("harm")
    return float(entry["effect"]) if value is None or value != value else float(value)


def _shrunk(entry: dict[str, Any], shared: _Shared) -> dict[str, Any]:
    scored: Scored = entry["scored"]
    job, row = scored.job, scored.rows[0]
    clean = job.clean_case
    clean_mask = scored.predicted if scored.clean is None else scored.clean
    moved = job.perturbation is not None
    size = _small(scored.predicted.shape)
    return {
        "model": row.series.model,
        "dataset": row.series.dataset,
        "condition": row.condition,
        "case_id": row.case_id,
        "subject_id": row.subject_id,
        "prompt_index": row.prompt_index,
        "rank": entry["rank"],
        "clean_prompt": clean.prompt.text if clean else "",
        "prompt": row.prompt,
        "dice": row.measured["dice"],
        "dice_clean": scored.dice_clean,
        "dice_other": row.dice_other,
        "mask_change": row.measured["mask_change"],
        "effect": entry["effect"],
        "harm": entry["harm"],
        "draw": entry["draw"],
        "params": row.params,
        "image": shared.small(clean.image if clean else job.request.image, size, _small_image),
        "image_perturbed": _small_image(job.request.image, size) if moved else b"",
        "reference": shared.small(clean.mask if clean else job.reference, size, resize_nearest),
        # A moved reference is this job's own: nothing else will ask for it.
        "reference_perturbed": resize_nearest(_asked_for(job), size)
        if moved
        else shared.small(_asked_for(job), size, resize_nearest),
        "clean": shared.small(clean_mask, size, resize_nearest),
        "perturbed": resize_nearest(scored.predicted, size),
    }


def _encoded(entry: dict[str, Any], shared: _Shared) -> dict[str, Any]:
    return {k: shared.file(v) if isinstance(v, np.ndarray) else v for k, v in entry.items()}


def _asked_for(job: Job) -> Mask:
    """Return the reference of the changed case; for `other`, that of the second target."""
    second = job.other_references[0]
    return job.reference if second is None or job.rows[0].condition == CLEAN else second


def _small(shape: tuple[int, ...]) -> tuple[int, int]:
    scale = min(1.0, LONG_SIDE / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _small_image(image: Image, size: tuple[int, int]) -> Image:
    pixels = image if image.dtype == np.uint8 else to_bytes(image.astype(np.float32))
    if pixels.shape[:2] == size:
        return pixels.copy()
    picture = PilImage.fromarray(pixels)
    return np.asarray(picture.resize((size[1], size[0]), PilImage.Resampling.BILINEAR))


def _file(pixels: Image | Mask) -> bytes:
    """Return an image as JPEG, a mask as a 1-bit PNG."""
    stream = io.BytesIO()
    if pixels.dtype == np.bool_:
        PilImage.fromarray(pixels).save(stream, "PNG")
    else:
        PilImage.fromarray(pixels).save(stream, "JPEG", quality=88)
    return stream.getvalue()
