"""Cost of image shifts: images per second of each common kind, and their share of one audit.

Part one changes one 352 x 352 image, in colour and gray, with every kind of the common and of the pipeline list at
severity 3, from uint8 image to uint8 image, on one thread. Part two audits CLIPSeg of the published size (random
weights, 352 pixels) under the whole common list at severity 3 and compares the processor time of all changes and all
metrics with that of encoding all images. Images are an embedded field of nuclei in gray and a brain slice coloured
as by a stain, enlarged; the audit is of the coloured one, to which every kind applies and whose changes cost most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image as PILImage
from prompt_audit import full_size

from robustness.perturb.modality import COMMON_KINDS, PIPELINE_KINDS
from robustness.registry import PERTURBATIONS
from robustness.runners.audit import image_jobs
from robustness.runners.audit.scoring import Scorer
from robustness.runners.data.load import load_dataset
from robustness.seeds import generator
from robustness.types import Case, Image, NotApplicable, Prompt
from robustness.workflows.audit import audit
from robustness.workflows.demo_files import demo_data

SIDE = 352
SEVERITY = 3
REPEATS = 5
TARGET = 0.25


def pictures() -> dict[str, Image]:
    """Return the embedded images that are used, enlarged; every second one in colours."""
    files = [
        sorted((demo_data(name) / "images").glob("*.png"))[20 if name == "brain" else 0] for name in ("brain", "nuclei")
    ]
    gray = [
        np.array(PILImage.open(file).convert("RGB").resize((SIDE, SIDE), PILImage.Resampling.BICUBIC)) for file in files
    ]
    white, dye = np.array([0.98, 0.95, 0.97]), np.array([0.55, 0.2, 0.5])
    unit = gray[0][..., :1] / 255
    return {"gray": gray[1], "colour": np.rint(255 * (white * (1 - unit) + dye * unit)).astype(np.uint8)}


def case_of(image: Image) -> Case:
    """Return a case of an image, without a mask."""
    return Case("c", "s", image, np.zeros(image.shape[:2], dtype=np.bool_), Prompt("x"))


def throughput() -> dict[str, dict[str, float]]:
    """Return images per second of every kind, by processor time, in colour and gray."""
    found: dict[str, dict[str, float]] = {}
    for kind in (*COMMON_KINDS, *PIPELINE_KINDS):
        change = PERTURBATIONS.get(kind)()
        severity = min(SEVERITY, change.severities[-1])
        for look, image in pictures().items():
            case = case_of(image)
            params = change.propose(case, severity, generator(0, kind))
            if isinstance(params, NotApplicable):
                continue
            change.apply(case, params)
            seconds = [processor_seconds(partial(change.apply, case, params)) for _ in range(REPEATS)]
            found.setdefault(kind, {})[look] = 1 / statistics.median(seconds)
    return found


def processor_seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of `work`, which other processes do not stretch."""
    start = time.process_time()
    work()
    return time.process_time() - start


def dataset(folder: Path) -> Path:
    """Write the image in colour, to which every kind applies, with a mask and a prompt."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    lines = ["image,mask,prompt,subject_id,split"]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask = ((rows - 150) ** 2 + (columns - 200) ** 2 < 60**2).astype(np.uint8) * 255
    for name, image in [("colour", pictures()["colour"])]:
        PILImage.fromarray(image).save(folder / "images" / f"{name}.png")
        PILImage.fromarray(mask).save(folder / "masks" / f"{name}.png")
        lines.append(f"images/{name}.png,masks/{name}.png,one round thing,{name},test")
    manifest = folder / "data.csv"
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return manifest


class Clock:
    """Adds up the processor time of functions by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` on the clock."""

        def run(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds[name] += time.process_time() - start

        return run


def shares(folder: Path) -> tuple[dict[str, float], int]:
    """Audit the common list; return processor seconds of its parts and the number of changed images."""
    model = full_size("clipseg", folder)
    clock = Clock()
    for name in ("encode_image", "encode_text", "decode"):
        setattr(model, name, clock.timed(name, getattr(model, name)))
    data = load_dataset(dataset(folder), prompt="prompt", modality="endoscopy")
    changes = patch.object(image_jobs, "_apply", clock.timed("changes", image_jobs._apply))
    metrics = patch.object(Scorer, "score", clock.timed("metrics", Scorer.score))
    with changes, metrics:
        run = audit(
            model,
            data,
            perturbations=list(COMMON_KINDS),
            severities=[SEVERITY],
            out=folder / "run",
            report=False,
            statistics={"resamples": 99},
            engine={"threads": 1},
        )
    table = run.results()
    count = int((table["condition"].str.startswith("image:") & table["applicable"]).sum())
    return dict(clock.seconds), count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-audit", action="store_true", help="part one only")
    parser.add_argument("--skip-speeds", action="store_true", help="part two only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {} if options.skip_speeds else throughput()
    print(f"{'kind':<20}{'colour':>12}{'gray':>12}   images of {SIDE} x {SIDE} per second, one thread")
    for kind, speeds in found.items():
        shown = [f"{speeds[look]:>12.0f}" if look in speeds else f"{'-':>12}" for look in ("colour", "gray")]
        print(f"{kind:<20}{''.join(shown)}")
    slowest = min(((speed, kind) for kind, speeds in found.items() for speed in speeds.values()), default=(0.0, ""))
    rounded = {kind: {look: round(speed) for look, speed in speeds.items()} for kind, speeds in found.items()}
    detail: dict[str, Any] = {"images_per_second": rounded, "slowest": slowest[1], "cpus": os.cpu_count()}
    ratio = None
    if not options.skip_audit:
        with tempfile.TemporaryDirectory() as folder:
            seconds, count = shares(Path(folder))
        ratio = (seconds["changes"] + seconds["metrics"]) / seconds["encode_image"]
        print(f"\naudit of CLIPSeg at {SIDE}: {count} changed images; processor seconds:")
        for name, value in sorted(seconds.items()):
            print(f"{name:<20}{value:>10.2f}")
        print(f"changes + metrics are {100 * ratio:.1f}% of encoding (at most {100 * TARGET:.0f}%)")
        detail |= {"seconds": seconds, "changed_pictures": count}
    print(json.dumps({"name": "image_shifts", "ratio": ratio, "limit": 0.0, "target": TARGET, "detail": detail}))
    sys.exit(0 if ratio is None or ratio <= TARGET else 1)


if __name__ == "__main__":
    main()
