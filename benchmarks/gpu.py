"""The networks on a machine's accelerator, without a network connection: agreement with the CPU, throughput, memory.

    python benchmarks/gpu.py [--out FILE.json] [--device cuda|cpu|auto] [--seconds 480] [--feeders N] [--tiny]

For each network (random weights, full size; `--tiny` the smallest configuration, to prove the command anywhere):
largest difference of probabilities and masks that differ between CPU float32 and the device in float32 and bf16, images
encoded and pairs decoded per second, peak memory, the share of the rate of a plain matrix product in the same precision
that the image encoder reaches, finetuning steps per second (with the operations that are not deterministic), and whole
audits in one process and fed by others: rows per second, rows, masks and verdicts that differ from the CPU's. Networks
whose packages are not installed, and those for which no time is left, are named. The tables go into a page between two
marks (`--page`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from gpu_audits import audits, pixels_that_differ, whole_audit

from robustness.errors import RobustnessError
from robustness.plans.finetune import TrainSpec
from robustness.runners.audit.worker_count import cores
from robustness.runners.inference.devices import autocast, resolve_device
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.load import load_model
from robustness.runners.training.loss import training_loss

NETWORKS = ("clipseg", "biomedclipseg", "cris", "unet", "unetplusplus", "deeplabv3plus", "film-unet")
# Published sizes; any stated field says that random weights are meant.
STATED: dict[str, dict[str, Any]] = {
    "clipseg": {"reduce_dim": 64},
    "biomedclipseg": {"embed_dim": 512},
    "cris": {"num_head": 8},
}
PRECISIONS = ("float32", "bf16")
STEPS = 4
BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
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
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    work()
    wait()
    started, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - started < seconds:
        work()
        wait()
        calls += 1
    return items * calls / (time.perf_counter() - started)


def matrix_rate(device: torch.device, precision: str, *, side: int) -> float:
    """Return floating-point operations per second of a product of two square matrices."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return per_second(lambda: left @ right, device, items=2 * side**3, seconds=1.0)


def measure(
    name: str, device: torch.device, rates: dict[str, float], *, folder: Path, tiny: bool, feeders: int
) -> dict[str, Any]:
    """Return the figures of one network."""
    from torch.utils.flop_counter import FlopCounterMode

    requests = requests_of(2, 64 if tiny else 512)
    cpu = load(name, torch.device("cpu"), "float32", folder=folder, tiny=tiny)
    expected = list(Engine(cpu).predict(requests))
    # Random weights give masks that are empty or full at 0.5, which agree whatever happens; half of the pixels lie
    # above the median, and many beside it.
    cpu.threshold = float(np.clip(np.median(np.concatenate([one.ravel() for one in expected])), 1e-3, 1 - 1e-3))
    cases = 4 if device.type == "cpu" and not tiny else 16
    size = {"cases": cases, "batch": 4 if device.type == "cpu" else 32}
    reference = whole_audit(cpu, out=folder / "reference", feeders=0, **size)
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        model = load(name, device, precision, folder=folder, tiny=tiny)
        model.threshold = cpu.threshold
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
            "finetune": finetune(model, batch=batch, seconds=1.0),
            "pixel_values_that_differ": pixels_that_differ(model, [requests[0].image, requests[-1].image]),
            "audit": audits(model, reference, folder=folder / precision, feeders=feeders, size=size),
            "peak_mib": torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None,
        }
        del model, image, text
    return found


def finetune(model: NetworkSegmenter, *, batch: int, seconds: float) -> dict[str, Any]:
    """Return steps per second on seeded pixels: forward under the precision, loss, backward, AdamW.

    Some are repeated from the same weights under torch's deterministic flags; operations without such a form are named.
    """
    start = {key: value.clone() for key, value in model.network.state_dict().items()}
    pixels, masks, tokens = _batch(model, batch)
    first, refused = _losses(model, pixels, masks, tokens)
    model.network.load_state_dict(start)
    again, _ = _losses(model, pixels, masks, tokens)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-5)
    started, steps = time.perf_counter(), 0
    while steps < 2 or time.perf_counter() - started < seconds:
        _step(model, optimizer, pixels, masks, tokens)
        steps += 1
    rate = steps / (time.perf_counter() - started)
    model.network.load_state_dict(start)
    model.network.eval()
    return {
        "steps_per_second": rate,
        "cases_per_second": rate * batch,
        "losses": first,
        "same_losses_again": first == again,
        "not_deterministic": refused,
    }


def _batch(model: NetworkSegmenter, batch: int) -> tuple[torch.Tensor, torch.Tensor, Any]:
    generator, side = torch.Generator().manual_seed(0), model.image_size
    pixels = torch.randn(batch, 3, side, side, generator=generator).to(model.device)
    masks = (torch.rand(batch, 1, side, side, generator=generator) > 0.7).float().to(model.device)
    if not model.takes_text:
        return pixels, masks, (None, None)
    tokens = model.tokenize(["one small pink round polyp"] * batch)
    return pixels, masks, tuple(part.to(model.device) for part in tokens)


def _step(model: NetworkSegmenter, optimizer: Any, pixels: Any, masks: Any, tokens: Any) -> float:
    model.network.train()
    optimizer.zero_grad()
    with autocast(model.device, model.precision):
        logits = model.network(pixels, *tokens)
    loss = training_loss(TrainSpec())(logits.float(), masks).total
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _losses(model: NetworkSegmenter, *batch: Any) -> tuple[list[float], list[str]]:
    """Return the losses of some steps, and the operations that torch says have no deterministic form."""
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-4)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            losses = [_step(model, optimizer, *batch) for _ in range(STEPS)]
    finally:
        torch.use_deterministic_algorithms(False)
    said = {str(one.message).split(" does not have")[0] for one in caught if "determinis" in str(one.message)}
    return losses, sorted(said)


def table(report: dict[str, Any]) -> str:
    """Return the figures as Markdown: speed, then agreement with the CPU."""
    speed = [
        "| network | precision | images/s | pairs/s | matrix rate | cases/s, finetuning | not deterministic |"
        " audit rows/s, fed | in one process | peak |",
        "| --- " * 10 + "|",
    ]
    agrees = [
        "| network | precision | largest difference of a probability | masks that differ | largest share of pixels |"
        " rows with another Dice | by at most | verdicts that differ |",
        "| --- " * 8 + "|",
    ]
    for name, by_precision in report["networks"].items():
        for precision, f in by_precision.items():
            audit, tuned = f["audit"], f["finetune"]
            peak = "-" if f["peak_mib"] is None else f"{f['peak_mib']:.0f} MiB"
            speed.append(
                f"| {name} | {precision} | {f['images_per_second']:.1f} | {f['pairs_per_second']:.1f} |"
                f" {f['share_of_matrix_rate']:.1%} | {tuned['cases_per_second']:.2f} |"
                f" {', '.join(tuned['not_deterministic']) or 'nothing'} | {audit['rows_per_second']:.1f} |"
                f" {audit['rows_per_second_in_one_process']:.1f} | {peak} |"
            )
            agrees.append(
                f"| {name} | {precision} | {f['largest_difference']:.1e} |"
                f" {audit['masks_that_differ']} of {audit['masks']} | {audit['largest_share_of_pixels']:.2%} |"
                f" {audit['rows_that_differ']} of {audit['rows']} | {audit['largest_difference_of_dice']:.1e} |"
                f" {audit['verdicts_that_differ']} of {audit['verdicts']} |"
            )
    where = f"{report['device']}, torch {report['torch']}, {report['date']}, feeders: {report['feeders']}"
    left_out = (f"\n{name}: {why}" for name, why in report["left_out"].items())
    return "\n".join([where, "", *speed, "", "Against the CPU in float32:", "", *agrees, *left_out])


def write_page(page: Path, text: str) -> None:
    """Put the table between the two marks of a page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> int:
    """Measure what is installed; exit code 1 where no network could be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=480, help="no further network is begun after so long")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--feeders", type=int, help="of the fed audits; default: cores but one, 8 at most")
    parser.add_argument("--page", type=Path, help="a Markdown page that the table of a GPU is written into")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    options = parser.parse_args()
    device, started = resolve_device(options.device), time.perf_counter()
    side = 256 if options.tiny else 4096 if device.type == "cuda" else 1024
    rates = {precision: matrix_rate(device, precision, side=side) for precision in PRECISIONS}
    name_of_device = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    feeders = options.feeders or max(1, min(8, cores() - 1))
    report: dict[str, Any] = {
        "feeders": feeders,
        **{"date": date, "device": name_of_device, "torch": torch.__version__, "tiny": options.tiny},
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
                report["networks"][name] = measure(
                    name, device, rates, folder=Path(folder), tiny=options.tiny, feeders=feeders
                )
        except (RobustnessError, ImportError) as error:
            report["left_out"][name] = str(error)
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report))
    if options.page and device.type == "cuda":
        write_page(options.page, table(report))
    return 0 if report["networks"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
