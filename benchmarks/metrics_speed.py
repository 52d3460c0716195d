"""Speed of the mask metrics against MONAI and the surface-distance package: same pairs, one run, one thread."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402, the number of threads is read at import
from scipy.ndimage import gaussian_filter  # noqa: E402

from robustness.metrics.scores.masks import mask_metrics  # noqa: E402

SIZE, PAIRS, ROUNDS, TOLERANCE = 352, 500, 5, 2.0
NAMES = ("dice", "iou", "hd95", "nsd")
LIMIT_MS, MONAI_AT_LEAST, SURFACE_AT_LEAST = 1.0, 7.0, 3.0
Pair = tuple[np.ndarray, np.ndarray]
Measure = Callable[[Pair], tuple[float, float]]


def draw_pairs(n: int, seed: int = 0) -> list[Pair]:
    """Return blobs of 9% of the image, about 130 pixels wide, and predictions that differ from them at the outline."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    found = []
    for _ in range(n):
        row, column = rng.uniform(0.3, 0.7, 2) * SIZE
        bump = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 60.0**2))
        rough, other = (gaussian_filter(rng.standard_normal((SIZE, SIZE)), 16) for _ in range(2))
        field = bump + 0.08 * rough / rough.std()
        changed = field + 0.05 * other / other.std()
        found.append(tuple(values > np.quantile(values, 0.91) for values in (changed, field)))
    return found


def ours(pair: Pair) -> tuple[float, float]:
    """Dice, IoU, HD95 and NSD; return the latter two."""
    found = mask_metrics(*pair, nsd_tolerance_mm=TOLERANCE, names=NAMES)
    return float(found["hd95"]), float(found["nsd"])


def monai() -> Measure:
    """Return MONAI's HD95 and NSD (edges), without Dice and IoU."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    def measure(pair: Pair) -> tuple[float, float]:
        prediction, reference = (torch.from_numpy(mask)[None, None] for mask in pair)
        hd95 = compute_hausdorff_distance(prediction, reference, include_background=True, percentile=95)
        nsd = compute_surface_dice(prediction, reference, [TOLERANCE], include_background=True, use_subvoxels=False)
        return float(hd95), float(nsd)

    return measure


def monai_in_double(pair: Pair) -> float:
    """Return HD95 from MONAI's own edge distances; its percentile in single precision alone is off by some 1e-5."""
    import torch
    from monai.metrics.utils import get_edge_surface_distance

    prediction, reference = (torch.from_numpy(mask) for mask in pair)
    directed = get_edge_surface_distance(prediction, reference, symmetric=True)[1]
    return max(float(np.percentile(each.numpy().astype(float), 95)) for each in directed)


def surface_distance() -> Measure | None:
    """Return the surface-distance package's HD95 and NSD; None where it is not installed."""
    try:
        import surface_distance as package
    except ImportError:
        return None
    # Its only release on PyPI uses the name that numpy 2 took away.
    np.Inf = np.inf  # type: ignore[attr-defined]

    def measure(pair: Pair) -> tuple[float, float]:
        found = package.compute_surface_distances(pair[1], pair[0], (1.0, 1.0))
        hd95 = package.compute_robust_hausdorff(found, 95)
        return float(hd95), float(package.compute_surface_dice_at_tolerance(found, TOLERANCE))

    return measure


def main() -> int:
    """Time all in turn, several rounds; return 1 if a limit is missed."""
    pairs = draw_pairs(PAIRS)
    tools = {"ours (Dice, IoU, HD95, NSD)": ours, "MONAI (HD95, NSD)": monai()}
    third = surface_distance()
    if third is not None:
        tools["surface-distance (HD95, NSD)"] = third
    for measure in tools.values():
        measure(pairs[0])
    taken: dict[str, list[float]] = {name: [] for name in tools}
    values: dict[str, list[tuple[float, float]]] = {}
    for turn in range(ROUNDS):
        part = pairs[turn::ROUNDS]
        for name, measure in tools.items():
            # Processor time of this one thread: another program on the machine does not count.
            started = time.process_time()
            found = [measure(pair) for pair in part]
            taken[name].append(1000 * (time.process_time() - started) / len(part))
            values.setdefault(name, []).extend(found)
    ms = {name: statistics.median(each) for name, each in taken.items()}
    mine, theirs = (np.array(values[name]) for name in list(tools)[:2])
    in_order = [pair for turn in range(ROUNDS) for pair in pairs[turn::ROUNDS]]
    exact = np.column_stack([[monai_in_double(pair) for pair in in_order], theirs[:, 1]])
    apart = float(np.abs(mine - exact).max())
    first = next(iter(ms))
    ratios = {name: ms[name] / ms[first] for name in ms}
    print(f"{PAIRS} pairs {SIZE} x {SIZE}, processor time of one thread, median of {ROUNDS} rounds\n")
    for name in ms:
        print(f"{name:32s} {ms[name]:7.3f} ms per pair   {ratios[name]:6.1f} x ours")
    if third is None:
        print("surface-distance is not installed: not compared")
    print(f"largest difference to MONAI, HD95 and NSD: {apart:.2e}")
    against_monai = ratios["MONAI (HD95, NSD)"]
    detail = {
        "ms_per_pair": ms[first],
        "ms_limit": LIMIT_MS,
        "difference_to_monai": apart,
        **{f"ms {k}": v for k, v in ms.items()},
    }
    held = ms[first] <= LIMIT_MS and against_monai >= MONAI_AT_LEAST and apart <= 1e-6
    if third is not None:
        detail["times_surface_distance"] = ratios["surface-distance (HD95, NSD)"]
        held &= ratios["surface-distance (HD95, NSD)"] >= SURFACE_AT_LEAST
    summary = {"name": "mask metrics against MONAI", "ratio": against_monai, "limit": MONAI_AT_LEAST}
    print(json.dumps({**summary, "target": MONAI_AT_LEAST, "detail": detail}))
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
