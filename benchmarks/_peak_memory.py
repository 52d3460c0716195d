"""Peak memory of an audit of N images: run as a script in a process of its own, prints MiB."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

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
    # ru_maxrss counts bytes on macOS, KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    print(peak_mib(int(sys.argv[1])))
