"""Do counterfactual prompts make a model rely on its prompt? Plain finetuning against 30% of them, three seeds each.

Data on which a prompt is not needed: each training slice of the embedded brain set keeps one target, which its view
decides (axial: left white matter, coronal: right gray matter). Both ways see these cases in the same order, with the
same prompts and equal steps. The counterfactual one asks in 30% of the samples for something else in the same slice:
half of them another annotated target, with its mask, half a target that is not there, with an empty mask. Held-out
slices are audited with all their targets.

  python benchmarks/counterfactual.py              everything, in a temporary folder
  python benchmarks/counterfactual.py DIR          keeps the runs in DIR and goes on there
  python benchmarks/counterfactual.py DIR --next   trains the next network only
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))

import pandas as pd  # noqa: E402
from scipy import stats  # noqa: E402

import robustness as rb  # noqa: E402
from robustness.metrics.reliance.rates import follow_rates  # noqa: E402

DATA = rb.demo_data("brain")
ONE = {"axial": ("left", "white matter"), "coronal": ("right", "gray matter")}
ARMS = {"plain": 0.0, "counterfactual": 0.3}
SEEDS, STEPS, SIZE, BATCH = (0, 1, 2), 300, 48, 16
WIDTHS = [8, 16, 32, 48]
CONDITIONS = ("other:side", "other:target")


def write_data(folder: Path) -> Path:
    """Write the embedded set with one target per training slice; `pool` lists all targets of these slices."""
    for name in ("images", "masks"):
        shutil.copytree(DATA / name, folder / name)
    shutil.copy(DATA / "dataset_card.json", folder)
    (folder / "anns").mkdir()
    for split in ("train", "val", "test"):
        entries = json.loads((DATA / "anns" / f"{split}.json").read_text("utf-8"))
        if split == "train":
            (folder / "anns" / "pool.json").write_text(json.dumps(entries), "utf-8")
        if split != "test":
            entries = [e for e in entries if ONE[e["attributes"]["view"]] == _target(e)]
        (folder / "anns" / f"{split}.json").write_text(json.dumps(entries), "utf-8")
    return folder


def _target(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["attributes"]["side"], entry["attributes"]["structure"]


def train(data: Path, out: Path, *, share: float, seed: int) -> Path:
    """Finetune film-unet from random weights; the last step is the checkpoint, so that nothing is chosen."""
    return rb.finetune(
        "film-unet",
        data=data,
        out=out,
        prompt=["p2", "p3"],
        val_prompt="p2",
        counterfactual=share,
        counterfactual_split="pool",
        seed=seed,
        config={"image_size": SIZE, "widths": WIDTHS},
        device="cpu",
        batch_size=BATCH,
        lr=3e-3,
        schedule="cosine",
        warmup=20,
        steps=STEPS,
        epochs=10_000,
        validate_every=math.ceil(STEPS / 5),
        augment=["gain"],
        loggers="none",
        quiet=True,
    )


def measure(data: Path, checkpoint: Path, out: Path) -> dict[str, float]:
    """Audit held-out slices with all their targets; return follow rate, S_A and S_B per condition, and clean Dice."""
    model = rb.load_model("film-unet", checkpoint=checkpoint, device="cpu")
    cases = rb.load_dataset(data, split="test", prompt="p2", subject="image")
    settings: dict[str, Any] = {"statistics": {"resamples": 999}, "metrics": {"names": ["dice"]}, "report": False}
    rb.audit(model, cases, perturbations=["other"], out=out, **settings)
    table = rb.open_run(out).results()
    rates = follow_rates(table).set_index("condition")["follow_rate"]
    clean = float(table[table["condition"] == "clean"]["dice"].mean())
    found = {"clean Dice, all targets": clean, "clean Dice, own target": _own_target(table, data)}
    for name in CONDITIONS:
        s_a, s_b = _selectivity(table, name)
        found |= {f"follow rate, {name}": float(rates[name]), f"S_A, {name}": s_a, f"S_B, {name}": s_b}
    return found


def _own_target(table: pd.DataFrame, data: Path) -> float:
    """Return mean clean Dice over the targets that plain training saw."""
    entries = json.loads((data / "anns" / "test.json").read_text("utf-8"))
    own = {
        f"{Path(e['mask_name']).stem}_{e['mask_label']}" for e in entries if ONE[e["attributes"]["view"]] == _target(e)
    }
    return float(table[(table["condition"] == "clean") & table["case_id"].isin(own)]["dice"].mean())


def _selectivity(table: pd.DataFrame, condition: str) -> tuple[float, float]:
    keys = ["case_id", "prompt_index", "other_case_id"]
    columns = [*keys, "dice", "dice_other"]
    clean, asked = (table.loc[table["condition"] == c, columns].drop_duplicates(keys) for c in ("clean", condition))
    pairs = clean.merge(asked, on=keys, suffixes=("", "_asked"))
    s_a, s_b = pairs["dice"] - pairs["dice_asked"], pairs["dice_other_asked"] - pairs["dice_other"]
    return float(s_a.mean()), float(s_b.mean())


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return mean and 95% t interval over seeds."""
    mean = sum(values) / len(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return mean, mean - half, mean + half


def show(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Print the table of means and intervals; return what the last line holds."""
    detail: dict[str, Any] = {"steps": STEPS, "seeds": len(SEEDS), "image_size": SIZE, "batch": BATCH}
    print(f"{STEPS} steps of {BATCH}, {SIZE} pixels, {len(SEEDS)} seeds; mean [95% t interval over seeds]")
    print(f"{'':28}{'plain':>24}{'counterfactual':>24}{'difference':>24}")
    for name in found["plain"][0]:
        columns = {arm: [run[name] for run in runs] for arm, runs in found.items()}
        columns["difference"] = [b - a for a, b in zip(columns["plain"], columns["counterfactual"], strict=True)]
        told = {column: interval(values) for column, values in columns.items()}
        print(f"{name:28}" + "".join(f"{f'{m:.2f} [{low:.2f}, {high:.2f}]':>24}" for m, low, high in told.values()))
        detail[name] = {column: [round(v, 4) for v in values] for column, values in told.items()}
    return detail


def main() -> int:
    """Train and audit what is missing; 0 where the follow rate's difference lies above 0 with its whole interval."""
    options = [a for a in sys.argv[1:] if not a.startswith("-")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options[0]) if options else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "data" if (folder / "data").is_dir() else write_data(folder / "data")
        found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
        for seed in SEEDS:
            for arm, share in ARMS.items():
                name = f"{arm}-{seed}"
                started = (folder / name / "training.json").is_file()
                checkpoint = train(data, folder / name, share=share, seed=seed)
                if "--next" in sys.argv and not started:
                    return 0
                found[arm].append(measure(data, checkpoint, folder / f"audit-{name}"))
        detail = show(found)
    rates = detail["follow rate, other:target"]
    plain = max(rates["plain"][0], 0.001)
    ratio, limit = round(rates["counterfactual"][0] / plain, 2), round(1 / plain, 2)
    print(json.dumps({"name": "counterfactual", "ratio": ratio, "limit": limit, "target": 1.5, "detail": detail}))
    return 0 if rates["difference"][1] > 0 and ratio >= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
