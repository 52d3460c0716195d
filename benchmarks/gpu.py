"""The networks on a machine's accelerator, without a network connection: agreement with the CPU, throughput, memory.

    python benchmarks/gpu.py [--out FILE.json] [--device cuda|cpu|auto] [--seconds 480] [--tiny]

For each network (random weights, full size; `--tiny` the smallest configuration, to prove the command anywhere):
largest difference of probabilities and masks that differ between CPU float32 and the device in float32 and bf16, images
encoded and pairs decoded per second, peak memory, and the share of the rate of a plain matrix product in the same
precision that the image encoder reaches. Networks whose packages are not installed, and those for which no time is
left, are named.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from robustness.errors import RobustnessError
from robustness.runners.inference.devices import resolve_device
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.load import load_model

NETWORKS = ("clipseg", "biomedclipseg", "cris", "unet", "unetplusplus", "deeplabv3plus", "film-unet")
# Published sizes; any stated field says that random weights are meant.
STATED: dict[str, dict[str, Any]] = {
    "clipseg": {"reduce_dim": 64},
    "biomedclipseg": {"embed_dim": 512},
    "cris": {"num_head": 8},
}
PRECISIONS = ("float32", "bf16")
PROMPTS = [f"{size} {colour} round polyp" for size in ("one small", "one large") for colour in ("pink", "red")]


def requests_of(images: int, side: int) -> list[Request]:
    """Return seeded pairs of smooth images (side, side, 3) and prompts."""
    rng, found = np.random.default_rng(0), []
    for number in range(images):
        coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 16, 16))).float()
        fine = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
        picture = fine[0].permute(1, 2, 0).round().byte().numpy()
        found += [Request(picture, f"image {number}", text) for text in PROMPTS]
    return found


def load(name: str, device: torch.device, precision: str, *, folder: Path, tiny: bool) -> NetworkSegmenter:
    """Return a network with random weights from one seed."""
    config = {"preset": "tiny"} if tiny and name in STATED else {"image_size": 64} if tiny else STATED.get(name, {})
    options: dict[str, Any] = {"image_size": 352} if name == "clipseg" and not tiny else {}
    if name not in STATED and not tiny:
        config = {"image_size": 352}
    if name == "biomedclipseg":
        # The published vocabulary may be out of reach; these words are those of the prompts.
        words = sorted({word for text in PROMPTS for word in text.split()})
        options["tokenizer"] = folder / "vocab.txt"
        options["tokenizer"].write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]) + "\n", "utf-8")
    return load_model(name, device=device, precision=precision, config=config, **options)


def per_second(work: Callable[[], Any], device: torch.device, *, items: int, seconds: float) -> float:
    """Return items per second of `work`, after one call to warm up."""
    work()
    _wait(device)
    started, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - started < seconds:
        work()
        _wait(device)
        calls += 1
    return items * calls / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, precision: str, *, side: int) -> float:
    """Return floating-point operations per second of a product of two square matrices."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return per_second(lambda: left @ right, device, items=2 * side**3, seconds=1.0)


def measure(name: str, device: torch.device, rates: dict[str, float], *, folder: Path, tiny: bool) -> dict[str, Any]:
    """Return the figures of one network."""
    from torch.utils.flop_counter import FlopCounterMode

    requests = requests_of(2, 64 if tiny else 512)
    expected = list(Engine(load(name, torch.device("cpu"), "float32", folder=folder, tiny=tiny)).predict(requests))
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        model = load(name, device, precision, folder=folder, tiny=tiny)
        maps = list(Engine(model).predict(requests))
        differ = [np.mean((a > model.threshold) != (b > model.threshold)) for a, b in zip(maps, expected, strict=True)]
        batch = 2 if device.type == "cpu" else 32
        images = [requests[0].image] * batch
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:
                image, text = model.encode_image(images), model.encode_text([PROMPTS[0]] * batch)
            encoded = per_second(lambda m=model, i=images: m.encode_image(i), device, items=batch, seconds=1.0)
            decoded = per_second(lambda m=model, i=image, t=text: m.decode(i, t), device, items=batch, seconds=1.0)
        found[precision] = {
            "largest_difference": float(max(np.abs(a - b).max() for a, b in zip(maps, expected, strict=True))),
            "masks_that_differ": int(np.count_nonzero(differ)),
            "masks": len(maps),
            "largest_share_of_pixels": float(max(differ)),
            "images_per_second": encoded,
            "pairs_per_second": decoded,
            "share_of_matrix_rate": encoded * counter.get_total_flops() / batch / rates[precision],
            "peak_mib": torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None,
        }
        del model, image, text
    return found


def table(report: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    head = "| network | precision | largest difference | masks that differ | images/s | pairs/s | matrix rate | peak |"
    lines = [head, "| --- " * 8 + "|"]
    for name, by_precision in report["networks"].items():
        for precision, f in by_precision.items():
            peak = "-" if f["peak_mib"] is None else f"{f['peak_mib']:.0f} MiB"
            rates = f"{f['images_per_second']:.1f} | {f['pairs_per_second']:.1f} | {f['share_of_matrix_rate']:.1%}"
            lines.append(
                f"| {name} | {precision} | {f['largest_difference']:.1e} | {f['masks_that_differ']} of {f['masks']} |"
                f" {rates} | {peak} |"
            )
    return "\n".join([*lines, *(f"\n{name}: {why}" for name, why in report["left_out"].items())])


def main() -> int:
    """Measure what is installed; exit code 1 where no network could be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=480, help="no further network is begun after so long")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    options = parser.parse_args()
    device, started = resolve_device(options.device), time.perf_counter()
    side = 256 if options.tiny else 4096 if device.type == "cuda" else 1024
    rates = {precision: matrix_rate(device, precision, side=side) for precision in PRECISIONS}
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "tiny": options.tiny,
        "matrix_flops": rates,
        "networks": {},
        "left_out": {},
    }
    for name in options.networks:
        if time.perf_counter() - started > options.seconds:
            report["left_out"][name] = "no time was left"
            continue
        print(f"gpu: {name}", file=sys.stderr, flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(name, device, rates, folder=Path(folder), tiny=options.tiny)
            report["networks"][name] = found
        except (RobustnessError, ImportError) as error:
            report["left_out"][name] = str(error)
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report))
    return 0 if report["networks"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
