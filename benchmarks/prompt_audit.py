"""Forty prompts per image: the engine against a plain loop of full forwards, full-size networks, one run.

The plain loop runs every layer of the network for every pair of image and prompt, as scripts around such models do:
CLIPSeg as transformers runs it, all twelve blocks of each image transformer, texts at full length. Its images and ids
are prepared before the clock starts; the engine prepares its own on the clock. Batch size, threads and weights are the
same. The limit is what is left when texts are free: one image encoding and forty decodings instead of forty forwards.
Weights are random, scaled so that logits vary as a trained network's do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.load import load_model

TARGETS = {"clipseg": 15.0, "biomedclipseg": 12.0, "cris": 1.8}
IMAGES = {"clipseg": 2, "biomedclipseg": 2, "cris": 2}
BATCH = 4
TOLERANCE = 1e-4
MEMORY_GROWTH = 1.10
_SIZES, _COLOURS = ("tiny", "small", "medium", "large"), ("pink", "red")
_PLACES = ("top left", "top right", "center", "bottom left", "bottom right")
PROMPTS = [
    f"one {size} {colour} round polyp, located in {place} of the image"
    for size, colour, place in itertools.product(_SIZES, _COLOURS, _PLACES)
]

Forward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Outcome(NamedTuple):
    """One model's figures: seconds, the ratio, its limit (by processor time), and how far logits are apart."""

    model: str
    pairs: int
    plain_s: float
    engine_s: float
    ratio: float
    cpu_ratio: float
    limit: float
    target: float
    max_difference: float
    logit_std: float
    parts: dict[str, float]

    @property
    def held(self) -> bool:
        """Whether the ratio and the logits hold."""
        return self.ratio >= self.target and self.max_difference <= TOLERANCE


class Timed:
    """A segmenter whose parts are timed (processor seconds) and whose logits are kept."""

    def __init__(self, model: NetworkSegmenter) -> None:
        self.model = model
        self.seconds: dict[str, float] = defaultdict(float)
        self.logits: list[torch.Tensor] = []
        for name in ("encode_image", "encode_text", "decode"):
            setattr(model, name, self._timed(name, getattr(model, name)))

    def _timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            # Processor time, which other processes on the machine do not stretch.
            start = time.process_time()
            found = work(*arguments)
            self.seconds[name] += time.process_time() - start
            if name == "decode":
                self.logits.append(found.clone())
            return found

        return timed

    def reset(self) -> None:
        """Forget seconds and logits."""
        self.seconds.clear()
        self.logits.clear()


def scale_weights(network: torch.nn.Module) -> None:
    """Give every matrix uniform values of variance 1 / fan-in, so that signals keep their size through all layers."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim >= 2:
            bound = math.sqrt(3 / max(parameter[0].numel(), 1))
            parameter.data.uniform_(-bound, bound, generator=generator)


def vocabulary(folder: Path) -> Path:
    """Write a WordPiece vocabulary of the prompts' words; PubMedBERT's own may be out of reach."""
    words = sorted({word for prompt in PROMPTS for word in prompt.replace(",", " ,").split()})
    path = folder / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]) + "\n")
    return path


def full_size(name: str, folder: Path) -> NetworkSegmenter:
    """Return a model of the published size with random weights."""
    options: dict[str, Any] = {"tokenizer": vocabulary(folder)} if name == "biomedclipseg" else {}
    config = {"image_size": 352} if name == "clipseg" else {}
    # Any stated field says that random weights are meant.
    field = {"clipseg": {"reduce_dim": 64}, "biomedclipseg": {"embed_dim": 512}, "cris": {"num_head": 8}}[name]
    model = load_model(name, config=field, device="cpu", precision="float32", **config, **options)
    scale_weights(model.network)
    return model


def plain_forward(model: NetworkSegmenter) -> Forward:
    """Return the whole forward of pixel values, ids and mask, as the authors' code runs it."""
    network: Any = model.network
    if model.model == "clipseg":
        from transformers import CLIPSegForImageSegmentation

        from robustness.runners.models.clipseg.entry import _transformers_config

        with torch.device("meta"):
            whole = CLIPSegForImageSegmentation(_transformers_config(model.config))
        whole.load_state_dict(network.state_dict(), strict=False, assign=True)
        for embeddings, count in (
            (whole.clip.text_model.embeddings, 77),
            (whole.clip.vision_model.embeddings, 1 + (224 // 16) ** 2),
        ):
            embeddings.position_ids = torch.arange(count)[None]
        whole.eval()
        return lambda pixels, ids, mask: whole(
            pixel_values=pixels, input_ids=ids, attention_mask=mask, interpolate_pos_encoding=True
        ).logits.reshape(len(pixels), 1, *pixels.shape[-2:])
    if model.model == "biomedclipseg":
        # The reference runs the last block and the norm too, whose outputs it does not use.
        last = len(network.biomedclip.visual.trunk.blocks) - 1

        def biomed(pixels: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            outputs = network.biomedclip.visual.block_outputs(pixels, (*network.blocks, last))
            network.biomedclip.visual.trunk.norm(outputs[-1])
            pairs = zip(network.decoder.reduces, reversed(outputs[:-1]), strict=True)
            image = tuple(reduce(activation) for reduce, activation in pairs)
            return network.decode(image, network.encode_text(ids, mask))

        return biomed
    return network


def requests_of(images: int) -> list[Request]:
    """Return every prompt on every image."""
    pictures = [np.random.default_rng(n).integers(0, 256, (288, 384, 3), dtype=np.uint8) for n in range(images)]
    return [Request(picture, str(n), text) for n, picture in enumerate(pictures) for text in PROMPTS]


def batches(model: NetworkSegmenter, requests: list[Request]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield pixel values, ids and mask of consecutive pairs."""
    pixels = {r.image_key: model.preprocess.pixel_values([r.image]) for r in requests}
    tokens = model.tokenize([r.text for r in requests])
    for start in range(0, len(requests), BATCH):
        part = slice(start, start + BATCH)
        yield (
            torch.cat([pixels[r.image_key] for r in requests[part]]),
            tokens.input_ids[part],
            tokens.attention_mask[part],
        )


def seconds_of(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall-clock and the processor seconds of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, images: int, folder: Path) -> Outcome:
    """Time both ways on one model; the engine runs before and after the plain loop, and its mean counts."""
    model = full_size(name, folder)
    forward, requests, timed = plain_forward(model), requests_of(images), Timed(model)
    prepared = list(batches(model, requests))
    expected: list[torch.Tensor] = []

    def plain() -> None:
        for pixels, ids, mask in prepared:
            expected.append(forward(pixels, ids, mask))

    def engine() -> None:
        timed.reset()
        for _ in Engine(model, batch_size=BATCH, image_batch=BATCH, resolution="network").predict(requests):
            pass

    with torch.inference_mode():
        forward(*prepared[0])
        list(Engine(model, batch_size=BATCH).predict(requests[:BATCH]))
        before = seconds_of(engine)
        whole = seconds_of(plain)
    after = seconds_of(engine)
    wall, cpu = (statistics.mean(pair) for pair in zip(before, after, strict=True))
    logits, wanted = torch.cat(timed.logits), torch.cat(expected)
    unavoidable = timed.seconds["encode_image"] + timed.seconds["decode"]
    return Outcome(
        model=name,
        pairs=len(requests),
        plain_s=whole[0],
        engine_s=wall,
        ratio=whole[0] / wall,
        cpu_ratio=whole[1] / cpu,
        limit=whole[1] / unavoidable,
        target=TARGETS[name],
        max_difference=float((logits - wanted).abs().max()),
        logit_std=float(wanted.std()),
        parts=dict(timed.seconds),
    )


def peak_memory(images: int) -> float:
    """Return the peak memory of an audit of `images` images in a process of its own, in MiB."""
    script = Path(__file__).with_name("_peak_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(images)], check=True, capture_output=True, text=True, timeout=1800
    )
    return float(done.stdout.split()[-1])


def table(outcomes: list[Outcome]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| model | pairs | plain loop, s | engine, s | ratio | by CPU time | limit | target | largest difference |"
        " std of logits | images, texts, decoding, CPU s |",
        "| --- " * 11 + "|",
    ]
    for o in outcomes:
        parts = " + ".join(f"{o.parts[p]:.2f}" for p in ("encode_image", "encode_text", "decode"))
        lines.append(
            f"| {o.model} | {o.pairs} | {o.plain_s:.1f} | {o.engine_s:.2f} | {o.ratio:.1f}x | {o.cpu_ratio:.1f}x |"
            f" {o.limit:.1f}x | {o.target}x | {o.max_difference:.1e} | {o.logit_std:.2f} | {parts} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the comparison and the memory check; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--images", type=int, help="images per model (default: 2)")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory check out")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [compare(name, options.images or IMAGES[name], Path(folder)) for name in options.models]
    print(table(outcomes))
    detail: dict[str, Any] = {o.model: {**o._asdict(), "held": o.held} for o in outcomes}
    detail |= {"threads": torch.get_num_threads(), "load_before": load, "batch": BATCH, "prompts": len(PROMPTS)}
    held = all(o.held for o in outcomes)
    if not options.no_memory:
        small, large = peak_memory(50), peak_memory(500)
        print(f"peak memory of an audit: {small:.0f} MiB for 50 images, {large:.0f} MiB for 500")
        detail["peak_mib"] = {"50": small, "500": large}
        held = held and large <= MEMORY_GROWTH * small
    first = outcomes[0]
    summary = {"name": "prompt_audit", "ratio": first.ratio, "limit": first.limit, "target": first.target}
    print(json.dumps({**summary, "detail": detail}))
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
