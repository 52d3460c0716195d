"""What tests of training share: a small network's settings and ways to look into a checkpoint folder."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from safetensors.torch import load_file

SMALL = {"image_size": 32, "widths": [8, 16], "token_width": 16, "text_width": 24}
FAST = {
    "config": SMALL,
    "device": "cpu",
    "batch_size": 5,
    "lr": 5e-3,
    "quiet": True,
    "prompt": ["p2", "p6"],
    "loggers": "none",
}
TINY = {"config": {"preset": "tiny"}, "device": "cpu", "quiet": True, "lr": 1e-2, "loggers": "none"}


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def rows(folder):
    with (Path(folder) / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def losses(folder):
    return [[float(row[key]) for key in ("loss", "val_loss", "val_dice")] for row in rows(folder)]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def largest_difference(first, second):
    return max(float((first[k].float() - second[k].float()).abs().max()) for k in first)


def settings_of(name, folder):
    """Return what the tiny preset of `name` needs: BiomedCLIPSeg's vocabulary is none that lies here."""
    if not name.startswith("biomedclipseg"):
        return TINY
    words = "[PAD] [UNK] [CLS] [SEP] one small left right caudate nucleus in axial t1 brain mri , located the of image"
    path = Path(folder) / "vocab.txt"
    path.write_text("\n".join(words.split()))
    return {**TINY, "options": {"tokenizer": str(path)}}
