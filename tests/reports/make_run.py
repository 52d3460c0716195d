"""Makes run folders for the tests of the report: models of known behaviour, stored as an audit stores them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy import stats

from robustness.results import EFFECT_COLUMNS, VERDICT_COLUMNS, parse_condition
from tests.gate_runs import seal

KINDS = ("gaussian_noise", "gamma", "gaussian_blur", "jpeg")
PROMPT_CONDITIONS = {
    "antonym:side": "change",
    "other:side": "follow",
    "rare:side": "none",
    "antonym:size": "change",
    "rare:size": "none",
    "antonym:number": "change",
    "antonym:location": "change",
    "wrong_class": "abstain",
    "paraphrase": "invariant",
    "empty": "control",
}
TARGETS = ("white matter", "ventricle", "gray matter")


@dataclass(frozen=True)
class Behaviour:
    """How a made-up model answers: mask change and loss of Dice per prompt condition, loss per image severity."""

    name: str
    clean: float
    change: dict[str, float]
    loss: dict[str, float]
    image_loss: dict[str, float]


FOLLOWS_SIDE = Behaviour(
    "film-unet",
    0.72,
    {
        "antonym:side": 0.82,
        "other:side": 0.82,
        "rare:side": 0.31,
        "wrong_class": 0.66,
        "empty": 0.57,
        "paraphrase": 0.01,
    },
    {"antonym:side": 0.61, "other:side": 0.61, "rare:side": 0.2, "wrong_class": 0.5, "empty": 0.44},
    {"gaussian_noise": 0.085, "gamma": 0.012, "gaussian_blur": 0.045, "jpeg": 0.004},
)
IGNORES_ALL = Behaviour(
    "film-unet-image-only", 0.41, {}, {}, {"gaussian_noise": 0.05, "gamma": 0.01, "gaussian_blur": 0.03, "jpeg": 0.003}
)


def make_run(
    folder: Path,
    behaviour: Behaviour = FOLLOWS_SIDE,
    *,
    n_images: int = 12,
    seed: int = 0,
    prompt: str = "",
    severities: tuple[int, ...] = (1, 2, 3, 4, 5),
    pictures: int = 2,
    model: str = "",
) -> Path:
    """Write a run folder; `prompt` and `model` replace the clean prompts and the model's name."""
    behaviour = replace(behaviour, name=model) if model else behaviour
    rng = np.random.default_rng(seed)
    rows = [row for i in range(n_images) for row in _image_rows(i, behaviour, rng, prompt, severities)]
    results = pd.DataFrame(rows)
    effects = _effects(results)
    verdicts = _verdicts(effects, results)
    (folder / "results").mkdir(parents=True)
    half = len(results) // 2
    results.iloc[:half].to_parquet(folder / "results" / "part-0000.parquet")
    results.iloc[half:].to_parquet(folder / "results" / "part-0001.parquet")
    effects.to_parquet(folder / "effects.parquet")
    verdicts.to_parquet(folder / "verdicts.parquet")
    _gallery(results, pictures).to_parquet(folder / "gallery.parquet")
    (folder / "plan.toml").write_text(f'seed = 0\n\n[model]\nname = "{behaviour.name}"\n', encoding="utf-8")
    return seal(folder, _manifest(behaviour, results, n_images))


def _image_rows(
    i: int, behaviour: Behaviour, rng: np.random.Generator, prompt: str, severities: tuple[int, ...]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for side in ("left", "right"):
        target = TARGETS[i % len(TARGETS)]
        clean = prompt or f"one large {side} {target} in axial T1 brain MRI, located in {side} of the image"
        base = {
            "model": behaviour.name,
            "dataset": "demo_brain",
            "split": "test",
            "case_id": f"axi_{i:03d}_{side}",
            "subject_id": f"axi_{i:03d}",
            "target": target,
            "applicable": True,
            "note": None,
            "error": "",
            "both_empty": False,
            "missed": False,
            "hallucinated": False,
            "other_case_id": None,
            "dice_other": None,
            "truth": json.dumps({"size": "true", "location": ("true", "false", "unknown")[i % 3]}),
        }
        dice = float(np.clip(behaviour.clean + rng.normal(0, 0.11), 0, 0.97))
        first = _row(base, "clean", "none", clean, dice, 0.0)
        rows.append(first)
        rows.append(_row(base, "rerun", "invariant", clean, dice, 0.0))
        for condition, expectation in PROMPT_CONDITIONS.items():
            change = float(np.clip(behaviour.change.get(condition, 0.0) + _wobble(behaviour, condition, rng), 0, 1))
            lost = behaviour.loss.get(condition, 0.0) + (rng.normal(0, 0.12) if condition in behaviour.loss else 0.0)
            text = _changed_prompt(clean, condition, side)
            row = _row(base, condition, expectation, text, float(np.clip(dice - lost, 0, 1)), change)
            if condition == "antonym:number" and i % 3 == 0:
                row |= {"applicable": False, "note": "the prompt states no number", "dice": None, "mask_change": None}
            rows.append(row)
        for kind in KINDS:
            for severity in severities:
                lost = behaviour.image_loss[kind] * severity + rng.normal(0, 0.02 + 0.02 * severity)
                value = float(np.clip(dice - lost, 0, 1))
                row = _row(base, f"image:{kind}@{severity}", "invariant", clean, value, min(1.0, abs(lost) * 1.4))
                rows.append(row | {"missed": value == 0.0})
        rows.append(_row(base, "image:horizontal_flip@1", "invariant", clean, dice - 0.01, 0.03))
    return rows


def _wobble(behaviour: Behaviour, condition: str, rng: np.random.Generator) -> float:
    if behaviour.change.get(condition):
        return float(rng.normal(0, 0.12 if behaviour.change[condition] > 0.1 else 0.005))
    return 0.0 if not behaviour.change else float(abs(rng.normal(0, 0.006)))


def _row(
    base: dict[str, Any], condition: str, expectation: str, prompt: str, dice: float, change: float
) -> dict[str, Any]:
    parsed = parse_condition(condition)
    iou = dice / (2 - dice)
    return base | {
        "condition": condition,
        "family": parsed.family,
        "attribute": parsed.attribute,
        "severity": parsed.severity,
        "expectation": expectation,
        "prompt": prompt,
        "prompt_index": 0,
        "dice": dice,
        "iou": iou,
        "mask_change": change,
        "params": json.dumps({"condition": condition}),
    }


def _changed_prompt(clean: str, condition: str, side: str) -> str:
    other = {"left": "right", "right": "left"}[side]
    changes = {
        "antonym:side": (f"large {side}", f"large {other}"),
        "other:side": (side, other),
        "rare:side": (f"large {side}", "large gibbous"),
        "antonym:size": ("large", "small"),
        "rare:size": ("large", "xenogeny"),
        "antonym:number": ("one", "several"),
        "antonym:location": (f"in {side}", f"in {other}"),
        "wrong_class": ("matter", "nuclei"),
        "paraphrase": ("in axial T1 brain MRI", "seen on an axial T1 MRI of the brain"),
    }
    return "" if condition == "empty" else clean.replace(*changes[condition])


def _effects(results: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for metric in ("dice", "mask_change"):
        wide = results[results["applicable"]].pivot_table(
            index=["subject_id", "case_id"], columns="condition", values=metric
        )
        for condition in [c for c in dict.fromkeys(results["condition"]) if c not in ("clean", "rerun")]:
            pairs = wide[["clean", condition]].dropna()
            loss = pairs["clean"] - pairs[condition] if metric == "dice" else pairs[condition]
            units = loss.groupby(level=0).mean()
            low, high = _t_interval(units.to_numpy(), 0.95)
            rows.append(
                {
                    "model": results["model"].iloc[0],
                    "dataset": "demo_brain",
                    "condition": condition,
                    "metric": metric,
                    "n_images": len(pairs),
                    "n_subjects": len(units),
                    "clean_mean": pairs["clean"].groupby(level=0).mean().mean(),
                    "perturbed_mean": pairs[condition].groupby(level=0).mean().mean(),
                    "effect": units.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "ci_method": "t on subject means",
                    "p_value": 0.0001 if low > 0 else 0.41,
                    "p_adjusted": 0.0004 if low > 0 else 0.98,
                    "family_size": 31,
                    "icc": 0.31,
                    "design_effect": 1.31,
                    "mde": 2.8 * (high - low) / 4,
                    "n_flagged": 0,
                }
            )
    return pd.DataFrame(rows).reindex(columns=list(EFFECT_COLUMNS))


def _t_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _verdicts(effects: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    change = effects[effects["metric"] == "mask_change"].set_index("condition")
    dice = effects[effects["metric"] == "dice"].set_index("condition")
    floor = float(change.loc["paraphrase", "effect"])
    rows = []
    for condition in PROMPT_CONDITIONS:
        if condition in ("paraphrase", "empty"):
            continue
        effect = change.loc[condition]
        low, high = effect["ci_low"] - floor, effect["ci_high"] - floor
        estimate = effect["effect"] - floor
        verdict = "IGNORES*" if high < 0.05 else "REACTS" if low > 0.05 else "INCONCLUSIVE"
        metric, margin = "mask_change", 0.05
        if condition == "other:side" and low > 0.3:
            verdict, metric, margin = "FOLLOWS", "dice", 0.1
            estimate, low, high = dice.loc[condition, ["effect", "ci_low", "ci_high"]]
        attribute = "target" if condition == "wrong_class" else parse_condition(condition).attribute
        words = {
            "IGNORES*": "ignores",
            "REACTS": "reacts to",
            "FOLLOWS": "follows",
            "INCONCLUSIVE": "may or may not use",
        }[verdict]
        n = int(effect["n_subjects"])
        values = f"{100 * estimate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
        sentence = (
            f"{words} {attribute} words: the swap changes the mask by {values} beyond a paraphrase, n = {n} images"
        )
        if verdict == "IGNORES*":
            sentence += f"; up to {100 * (1 - 0.05 ** (1 / n)):.0f}% of images could react; certification would need 59"
        rows.append(
            _verdict_row(effect, "prompt", attribute, condition, metric, verdict, estimate, low, high, margin, sentence)
        )
    gone = {"n_images": 0, "n_subjects": 0, "model": results["model"].iloc[0]}
    why = "colour words: not testable, no prompt states a colour"
    none = (None, None, None, 0.05)
    rows.append(_verdict_row(gone, "prompt", "colour", "antonym:colour", "mask_change", "UNTESTABLE", *none, why))
    for condition, effect in dice.iterrows():
        if str(condition).startswith("image:") or condition == "paraphrase":
            low, high = effect["ci_low"], effect["ci_high"]
            verdict = "ROBUST" if high < 0.1 else "FRAGILE" if low > 0.1 else "INCONCLUSIVE"
            values = (effect["effect"], low, high, 0.1)
            fall = f"{effect['effect']:.3f} [{low:.3f}, {high:.3f}]"
            sentence = f"{condition}: Dice falls by {fall}, n = {effect['n_subjects']} images"
            rows.append(_verdict_row(effect, "robustness", "", str(condition), "dice", verdict, *values, sentence))
    return pd.DataFrame(rows).reindex(columns=list(VERDICT_COLUMNS))


def _verdict_row(
    effect: Any,
    claim: str,
    attribute: str,
    condition: str,
    metric: str,
    verdict: str,
    estimate: float | None,
    low: float | None,
    high: float | None,
    margin: float,
    sentence: str,
) -> dict[str, Any]:
    return {
        "model": effect["model"],
        "dataset": "demo_brain",
        "claim": claim,
        "attribute": attribute,
        "condition": condition,
        "metric": metric,
        "verdict": verdict,
        "rule": f"made by the test: {verdict}",
        "estimate": estimate,
        "ci_low": low,
        "ci_high": high,
        "level": None if low is None else {"prompt": 0.99, "robustness": 0.95}[claim],
        "margin": margin,
        "n_images": effect["n_images"],
        "n_subjects": effect["n_subjects"],
        "n_needed": 59 if verdict == "IGNORES*" else None,
        "detectable": bool(low is not None and low > 0),
        "sentence": sentence,
    }


def _gallery(results: pd.DataFrame, each: int) -> pd.DataFrame:
    rows = []
    clean = results[results["condition"] == "clean"].set_index("case_id")
    used = results[results["applicable"] & ~results["condition"].isin(["clean", "rerun"])]
    for _, group in used.groupby("condition", sort=False):
        worst = group.assign(effect=group["case_id"].map(clean["dice"]) - group["dice"]).sort_values(
            "effect", ascending=False
        )
        for place, row in enumerate(worst.head(each + 1).to_dict("records")):
            rows.append(_picture(row, clean.loc[row["case_id"]], "worst" if place < each else "random"))
    return pd.DataFrame(rows)


def _picture(row: dict[str, Any], clean: pd.Series, rank: str) -> dict[str, Any]:
    number, side = int(row["case_id"].split("_")[1]), row["case_id"].split("_")[2]
    image, reference = brain(number, side)
    perturbed = b""
    if str(row["condition"]).startswith("image:"):
        noise = np.random.default_rng(number).normal(0, 14 * row["severity"], image.shape)
        perturbed = png(np.clip(image + noise, 0, 255).astype(np.uint8))
    swapped = row["mask_change"] > 0.5
    other = brain(number, {"left": "right", "right": "left"}[side])[1]
    return {
        "model": row["model"],
        "dataset": row["dataset"],
        "condition": row["condition"],
        "case_id": row["case_id"],
        "subject_id": row["subject_id"],
        "prompt_index": 0,
        "rank": rank,
        "clean_prompt": clean["prompt"],
        "prompt": row["prompt"],
        "dice": row["dice"],
        "dice_clean": clean["dice"],
        "mask_change": row["mask_change"],
        "effect": row["effect"],
        "image": png(image),
        "image_perturbed": perturbed,
        "reference": png(reference, bits=True),
        "clean": png(np.roll(reference, 3, axis=0), bits=True),
        "perturbed": png(np.roll(other if swapped else reference, 4, axis=0), bits=True),
        "params": row["params"],
    }


def brain(number: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a head-like image (128, 128, 3) and one half of its inner ring as a mask."""
    size, rng = 128, np.random.default_rng(number)
    canvas = Image.new("L", (size, size), 8)
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((16, 8, 112, 120), fill=105)
    pen.ellipse((26, 19, 102, 109), fill=165)
    pen.ellipse((48 - number % 5, 44, 60, 84), fill=40)
    pen.ellipse((68, 44, 80 + number % 5, 84), fill=40)
    pixels = np.asarray(canvas, dtype=float) + rng.normal(0, 5, (size, size))
    inside = np.asarray(canvas) == 165
    half = np.zeros_like(inside)
    half[:, : size // 2] = True
    mask = inside & (half if side == "right" else ~half)
    return np.repeat(np.clip(pixels, 0, 255).astype(np.uint8)[..., None], 3, axis=2), mask


def png(pixels: np.ndarray, *, bits: bool = False) -> bytes:
    """Encode an image, or a mask as a 1-bit PNG."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).convert("1") if bits else Image.fromarray(pixels)
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _manifest(behaviour: Behaviour, results: pd.DataFrame, n_images: int) -> dict[str, Any]:
    return {
        "suite_version": "0.1.0",
        "created": "2026-11-22T06:00:00+00:00",
        "model": {"name": behaviour.name, "parameters": 1_100_000, "sha256": "ab" * 32},
        "dataset": {
            "name": "demo_brain",
            "split": "test",
            "n_cases": 2 * n_images,
            "n_images": n_images,
            "n_subjects": n_images,
            "subject_is_image": True,
            "unit": "image",
            "notes": ["One template brain (MNI152): all slices are of one head."],
            "files": {"anns/test.json": "cd" * 32},
        },
        "plan_sha256": "ef" * 32,
        "seed": 0,
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "packages": {"torch": "2.11.0", "numpy": "2.4.0"},
        "counts": {"rows": len(results), "used": int(results["applicable"].sum()), "errors": 0},
        "warnings": ["A template is one brain: nothing here speaks about patients."],
        "statistics": {
            "alpha": 0.05,
            "margin_dice": 0.1,
            "margin_change": 0.05,
            "correction": "max-t",
            "resamples": 9999,
            # The runs of the tests hold six units.
            "min_subjects": 6,
        },
    }
