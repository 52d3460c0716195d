"""What makes a model read its prompt? Plain finetuning against four ways of training, three seeds each.

Data: real patients of the hippocampus task of the Medical Segmentation Decathlon in the benchmark's layout (a folder
with `images`, `masks`, `anns`); two targets in every image, told apart by one word (anterior, posterior). All ways see
the same cases in the same order in equal steps. `consistency` adds a term over three wordings of each prompt,
`counterfactual` asks half of the samples for the other target, `both` does both, `safe` besides asks a fifth for
something that the image does not show, with an empty mask. Held-out patients are audited.

Measured, as means over the images of a patient and the seeds, then over patients: Dice of what was asked for; follow
rate (Dice with the other target above Dice with the own one once the other is asked for); change of the mask by a
paraphrase; share of images that are painted when an absent structure is asked for (`absent`: of another kind of image,
as the training of `safe` draws them; `wrong_class`: of the head, which no training draws).

  python benchmarks/prompt_training.py DATA          everything, in a temporary folder
  python benchmarks/prompt_training.py DATA FOLDER   keeps the runs in FOLDER and goes on there
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd  # noqa: E402

import robustness as rb  # noqa: E402
from robustness.metrics.inference.intervals import t_interval  # noqa: E402

SEEDS, STEPS, SIZE, BATCH = (0, 1, 2), 450, 48, 16
ARMS: dict[str, dict[str, float]] = {
    "plain": {},
    "consistency": {"consistency": 0.1},
    "counterfactual": {"counterfactual": 0.5},
    "both": {"consistency": 0.1, "counterfactual": 0.5},
    "safe": {"consistency": 0.1, "counterfactual": 0.5, "absent": 0.2},
}
MEASURES = {
    "clean Dice": "the own target is asked for",
    "follow rate": "the other target is asked for",
    "paraphrase": "change of the mask",
    "painted, absent": "share of images",
    "painted, wrong_class": "share of images",
}


def train(data: str, out: Path, *, seed: int, options: dict[str, float]) -> Path:
    """Finetune film-unet from random weights; the prompt states part and organ, or these and the view."""
    settings: dict[str, Any] = {"schedule": "cosine", "warmup": 20, "loggers": "none", "quiet": True, **options}
    rb.finetune(
        "film-unet",
        data=data,
        out=out,
        prompt=["p2", "p3"],
        val_prompt="p2",
        seed=seed,
        config={"image_size": SIZE, "widths": [8, 16, 32, 48]},
        device="cpu",
        batch_size=BATCH,
        lr=3e-3,
        steps=STEPS,
        epochs=10_000,
        patience=None,
        **settings,
    )
    return out


def measure(data: str, checkpoint: Path, out: Path) -> pd.DataFrame:
    """Audit the held-out patients; return one row per patient with the columns of `MEASURES`."""
    model = rb.load_model("film-unet", checkpoint=checkpoint, device="cpu")
    cases = rb.load_dataset(data, split="test", prompt="p2")
    changes = ["other", "paraphrase", "absent", "wrong_class"]
    settings: dict[str, Any] = {"statistics": {"resamples": 999}, "metrics": {"names": ["dice"]}, "report": False}
    rb.audit(model, cases, perturbations=changes, out=out, **settings)
    table = rb.open_run(out).results()
    table = table[table["applicable"] & (table["error"] == "")]
    values = {
        "clean Dice": ("clean", table["dice"]),
        "follow rate": ("other:direction", (table["dice_other"] > table["dice"]).astype(float)),
        "paraphrase": ("paraphrase", table["mask_change"]),
        "painted, absent": ("absent", (table["area_fraction"] > 0).astype(float)),
        "painted, wrong_class": ("wrong_class", (table["area_fraction"] > 0).astype(float)),
    }
    columns = {
        name: column[table["condition"] == condition].groupby(table["subject_id"]).mean()
        for name, (condition, column) in values.items()
    }
    return pd.DataFrame(columns)


def show(patients: dict[str, pd.DataFrame], by_seed: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Print means with 95% t intervals over patients, the spread of the seeds, and each way's difference to plain."""
    detail: dict[str, Any] = {"steps": STEPS, "seeds": len(SEEDS), "patients": len(patients["plain"])}
    for name, note in MEASURES.items():
        print(f"\n{name} ({note})")
        for arm, table in patients.items():
            mean, low, high = t_interval(table[name].to_numpy())
            gain, least, most = t_interval((table[name] - patients["plain"][name]).to_numpy())
            seeds = by_seed[arm][name]
            print(
                f"  {arm:15} {mean:.3f} [{low:.3f}, {high:.3f}]   seeds {seeds.min():.3f} to {seeds.max():.3f}"
                + ("" if arm == "plain" else f"   difference {gain:+.3f} [{least:+.3f}, {most:+.3f}]")
            )
            detail[f"{name}, {arm}"] = [round(v, 4) for v in (mean, low, high, gain, least, most)]
    return detail


def main() -> int:
    """Train and audit what is missing; print the table and one line of JSON."""
    paths = [a for a in sys.argv[1:] if not a.startswith("-")]
    if not paths:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(paths[1]) if len(paths) > 1 else Path(temporary)
        runs: dict[str, list[pd.DataFrame]] = {arm: [] for arm in ARMS}
        for seed in SEEDS:
            for arm, options in ARMS.items():
                name = f"{arm}-{seed}"
                checkpoint = train(paths[0], folder / name, seed=seed, options=options)
                runs[arm].append(measure(paths[0], checkpoint, folder / f"audit-{name}"))
                print(name, runs[arm][-1].mean().round(3).to_dict(), file=sys.stderr, flush=True)
    patients = {arm: sum(tables[1:], tables[0]) / len(tables) for arm, tables in runs.items()}
    by_seed = {arm: pd.DataFrame([table.mean() for table in tables]) for arm, tables in runs.items()}
    detail = show(patients, by_seed)
    before, after = (detail[f"painted, absent, {arm}"][0] for arm in ("plain", "safe"))
    ratio = round(before / max(after, 0.001), 2)
    print(json.dumps({"name": "prompt_training", "ratio": ratio, "limit": None, "target": 2, "detail": detail}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
