"""Peak memory of an audit of N images, and what audits without a network load; each in a process of its own.

    python benchmarks/_peak_memory.py 400                       # MiB of an audit of 400 images with film-unet
    python benchmarks/_peak_memory.py light [CHECKOUT]          # no network: a function, and stored predictions

`light` prints one JSON line for each: processor seconds and MiB of the imports alone and of the whole audit (the demo's
brain slices under the default prompts and every MRI shift), and which heavy libraries were loaded.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "transformers", "monai", "lightning", "nltk", "open_clip", "timm", "scipy", "plotly")
# The default prompts of a plan.
PROMPTS = ("antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class")
SIDE = 256
PROMPT = "one small pink round polyp, located in top left of the image"


def write_images(folder: Path, count: int) -> Path:
    """Write `count` images of noise with one square each, all with the same prompt."""
    from PIL import Image

    for name in ("images", "masks", "anns"):
        (folder / name).mkdir(parents=True)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[40:80, 40:80] = 255
    entries = []
    for number in range(count):
        rng = np.random.default_rng(number)
        name = f"i{number:04d}.png"
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(folder / "images" / name)
        Image.fromarray(mask).save(folder / "masks" / name)
        entries.append({"img_name": name, "mask_name": name, "prompts": {"p1": "polyp", "p6": PROMPT}})
    (folder / "anns" / "test.json").write_text(json.dumps(entries))
    return folder


def peak_mib(count: int) -> float:
    """Return the peak resident memory of this process after an audit of `count` images, in MiB."""
    import robustness as rb

    model = rb.load_model("film-unet", image_size=64, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        data = rb.load_dataset(write_images(Path(folder) / "data", count), prompt="p6")
        rb.audit(
            model,
            data,
            perturbations=["drop"],
            out=Path(folder) / "run",
            report=False,
            metrics={"names": ["dice"]},
            statistics={"resamples": 99},
        )
    return resident_mib()


def resident_mib() -> float:
    """Return the most memory that this process has held so far, in MiB."""
    # ru_maxrss counts bytes on macOS, KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def slices() -> Path:
    """Return the demo's slices of the checkout; versions before 0.2 had them without a name for it."""
    import robustness as rb

    return rb.demo_data("brain") if hasattr(rb, "demo_data") else Path(rb.__file__).parent / "demo_data" / "brain"


def plan_of() -> str:
    """Return a plan over the demo's slices: the default prompts and every shift of their modality."""
    return (
        f'[model]\nname = "vendor"\nthreshold = 0.5\n[data]\npath = "{slices()}"\nprompt = "p6"\n'
        'subject = "image"\nlimit = 12\n[perturbations]\nimage = { kinds = "modality", severities = [3] }\n'
        "[statistics]\nresamples = 999\n"
    )


def bright(images: list[np.ndarray], prompts: list[str]) -> list[np.ndarray]:
    """Answer with what is brighter than the middle of the range."""
    return [(image.mean(axis=2) > 127).astype(np.float32) for image in images]


def stored(folder: Path) -> None:
    """Export the requests of the plan and answer them, as the owner of a model would."""
    import csv

    from PIL import Image

    import robustness as rb

    (folder / "plan.toml").write_text(plan_of())
    rb.export(folder / "plan.toml", folder / "out")
    (folder / "answers").mkdir()
    with (folder / "out/public/manifest.csv").open() as requests:
        for row in csv.DictReader(requests):
            image = np.asarray(Image.open(folder / "out/public" / row["image"]).convert("RGB"))
            mask = bright([image], [row["prompt"]])[0].astype(np.uint8) * 255
            Image.fromarray(mask).save(folder / "answers" / f"{row['id']}.png")


def light(door: str, folder: Path) -> dict[str, object]:
    """Audit without a network through one door; return seconds, MiB and the heavy libraries that were loaded."""
    import robustness as rb

    call = {"function": rb.audit, "predictions": rb.score}[door]
    imports = {"import_s": round(time.process_time(), 2), "import_mib": round(resident_mib())}
    if door == "predictions":
        call(folder / "out", folder / "answers", out=folder / "run", label="vendor")
    else:
        data = rb.load_dataset(slices(), prompt="p6", subject="image", limit=12)
        call(
            rb.segmenter(bright, name="vendor"),
            data,
            perturbations=[*PROMPTS, "image"],
            severities=[3],
            statistics={"resamples": 999},
            out=folder / "run",
        )
    loaded = [name for name in HEAVY if name in sys.modules]
    whole = {"audit_s": round(time.process_time(), 1), "audit_mib": round(resident_mib())}
    return {"door": door, **imports, **whole, "loaded": loaded}


def compare(checkout: Path) -> None:
    """Print a line for each door, measured in fresh processes over the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    for door in ("function", "predictions"):
        with tempfile.TemporaryDirectory() as folder:
            steps = [["stored", folder]] * (door == "predictions") + [["door", door, folder]]
            for step in steps:
                done = subprocess.run(
                    [sys.executable, __file__, *step], env=environment, capture_output=True, text=True, check=True
                )
            print(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["light", *checkout]:
            compare(Path(checkout[0] if checkout else ROOT).resolve())
        case ["stored", place]:
            stored(Path(place))
        case ["door", name, place]:
            print(json.dumps(light(name, Path(place))))
        case [count]:
            sys.path.insert(0, str(ROOT))
            print(peak_mib(int(count)))
        case _:
            sys.exit(__doc__)
