"""Three commands of this checkout and of another one in one run: the demo, a prompt-only audit, the conclusions.

    python benchmarks/commands.py demo|prompts|conclusions --against CHECKOUT [--python INTERPRETER] [--images N]
    python benchmarks/commands.py page

`demo`: `robustness demo`. `prompts`: `robustness audit` of full-size CLIPSeg (random weights) with 40 prompts per image
and no other change; compared as well with a plain loop that runs the whole network for every row and does nothing
else, timed on some pairs. `conclusions`: `rb.effects`, `rb.verdicts` and the page of 20,000 cases under 40 conditions.
`page`: the page of 500 cases under 130 conditions, this checkout alone, against its limits of time and size.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from whole_audit import HERE, Checkout, Cost, met

# Last: `conclude` runs with whichever checkout PYTHONPATH names.
sys.path.append(str(HERE))

from robustness.results import parse_condition

CASES, CONDITIONS = 20_000, 40
PAGE_CASES, PAGE_CONDITIONS, PAGE_S, PAGE_MB = 500, 130, 20.0, 15.0
SIDES = (288, 384)
Ratios = list[dict[str, Any]]


def ratio(what: str, value: float, target: float) -> dict[str, Any]:
    """Return a ratio that should be at least `target`."""
    return {"what": what, "ratio": value, "target": target, "at_most": False}


def demo(here: Checkout, there: Checkout, folder: Path, options: argparse.Namespace) -> tuple[Ratios, dict[str, Any]]:
    """Run the demo of both."""
    costs = [each.run(["-m", "robustness", "demo", "--out", str(folder / name)]) for name, each in _both(here, there)]
    pairs = [ratio("processor time", costs[1].cpu / costs[0].cpu, 2.0), ratio("wall clock", *_wall(costs, 1.0))]
    return pairs, {"costs": _named(costs)}


def prompts(
    here: Checkout, there: Checkout, folder: Path, options: argparse.Namespace
) -> tuple[Ratios, dict[str, Any]]:
    """Audit images with 40 listed prompts each, and time a plain loop of whole forwards on some pairs."""
    data = write_images(folder / "data", options.images)
    plan = folder / "plan.toml"
    plan.write_text(
        f'[model]\nname = "clipseg"\nconfig = {{ reduce_dim = 64 }}\n[data]\npath = "{data}"\nprompt = "p6"\n'
        'subject = "image"\n[perturbations]\nprompt = []\nimage = { kinds = [] }\n'
        '[metrics]\nnames = ["dice", "iou"]\n',
        encoding="utf-8",
    )
    costs = []
    for name, each in _both(here, there):
        costs.append(each.run(["-m", "robustness", "audit", str(plan), "--out", str(folder / name)]))
        print(name, costs[-1], file=sys.stderr, flush=True)
    tables = {name: _results(folder / name) for name, _ in _both(here, there)}
    rows, per_row = len(tables["this"]), plain_seconds_per_row(options.plain_pairs)
    clean = {name: table[table["condition"] == "clean"].reset_index(drop=True) for name, table in tables.items()}
    differ = {m: int((clean["this"][m] != clean["other"][m]).sum()) for m in ("dice", "iou")}
    pairs = [
        ratio("whole command, wall clock", *_wall(costs, 1.7)),
        ratio("plain loop of whole forwards of the same rows, wall clock", rows * per_row / costs[0].wall, 20.0),
    ]
    detail = {"rows": rows, "rows_of_the_other": len(tables["other"]), "values_that_differ": differ}
    return pairs, {**detail, "plain_s_per_row": per_row, "costs": _named(costs)}


def conclusions(
    here: Checkout, there: Checkout, folder: Path, options: argparse.Namespace
) -> tuple[Ratios, dict[str, Any]]:
    """Draw the conclusions from one made-up table."""
    run = folder / "run"
    table = made_up_table(options.cases)
    (run / "results").mkdir(parents=True)
    table.to_parquet(run / "results" / "part-00000.parquet", index=False)
    costs = []
    for name, each in _both(here, there):
        costs.append(each.run([str(Path(__file__).resolve()), "conclude", "--folder", str(run), "--name", name]))
        print(name, costs[-1], file=sys.stderr, flush=True)
    stages = {name: json.loads((run / f"{name}.json").read_text()) for name, _ in _both(here, there)}
    sums = [sum(stages[name].values()) for name, _ in _both(here, there)]
    used = [sum(json.loads((run / f"{name}-processor.json").read_text()).values()) for name, _ in _both(here, there)]
    pairs = [
        ratio("effects, verdicts and page, wall clock", sums[1] / sums[0], 2.0),
        ratio("effects, verdicts and page, processor time", used[1] / used[0], 2.0),
    ]
    return pairs, {"rows": len(table), "seconds": stages, "costs": _named(costs)}


def page(here: Checkout, folder: Path) -> tuple[Ratios, dict[str, Any]]:
    """Build one page, without images, and compare its time and size with the limits."""
    run = folder / "run"
    (run / "results").mkdir(parents=True)
    table = made_up_table(PAGE_CASES, PAGE_CONDITIONS)
    table.to_parquet(run / "results" / "part-00000.parquet", index=False)
    cost = here.run([str(Path(__file__).resolve()), "conclude", "--folder", str(run), "--name", "this"])
    seconds = json.loads((run / "this.json").read_text())
    megabytes = (folder / "this.html").stat().st_size / 1e6
    pairs = [ratio("time", seconds["page"] / PAGE_S, 0.5), ratio("size", megabytes / PAGE_MB, 1.0)]
    detail = {"rows": len(table), "seconds": seconds, "megabytes": megabytes, "cost": cost._asdict()}
    return [{**one, "at_most": True} for one in pairs], detail


def conclude(run: Path, name: str) -> None:
    """Conclude with whichever checkout comes first on the path; write the seconds of each stage."""
    import time

    import robustness as rb

    try:
        from robustness.reports.html.page import write_report
    except ModuleNotFoundError:
        from robustness.reports.page import write_report  # type: ignore[import-not-found,no-redef]

    table = pd.read_parquet(run / "results" / "part-00000.parquet")
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started, used = time.perf_counter(), time.process_time()
        result = work()
        seconds[stage], processor[stage] = time.perf_counter() - started, time.process_time() - used
        return result

    metrics = ["dice", "iou", "mask_change"]
    timed("effects", lambda: rb.effects(table, metric=metrics)).to_parquet(run / "effects.parquet")
    timed("verdicts", lambda: rb.verdicts(table)).to_parquet(run / "verdicts.parquet")
    _write_manifest(run)
    timed("page", lambda: write_report(run, run.parent / f"{name}.html"))
    (run / f"{name}.json").write_text(json.dumps(seconds), encoding="utf-8")
    (run / f"{name}-processor.json").write_text(json.dumps(processor), encoding="utf-8")


def _write_manifest(run: Path) -> None:
    """Finish the run: readers take the tables of a finished one alone, whose manifest names their hashes."""
    (run / "plan.toml").write_text('[model]\nname = "net"\n[data]\npath = "made-up"\n', encoding="utf-8")
    files = [run / "plan.toml", *run.glob("*.parquet"), *run.glob("results/*.parquet")]
    tables = {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    facts = {"plan_sha256": "", "models": [], "datasets": [], "counts": {}, "tables": tables}
    (run / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")


def made_up_table(cases: int, conditions: int = CONDITIONS) -> pd.DataFrame:
    """Return results of `cases` cases, three to a patient, under `conditions` beside the two clean ones."""
    words = [f"{name}:{kind}" for name in ("antonym", "rare", "drop") for kind in ("size", "side", "number")]
    kinds = [f"image:change_{k:02d}@{s}" for k in range(conditions // 5) for s in (1, 2, 3, 4, 5)]
    changed = ["paraphrase", "empty", "wrong_class", "other:side", *words, *kinds][:conditions]
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.5, 0.95, cases)
    return pd.concat([_rows_of(name, clean, rng) for name in ("clean", "rerun", *changed)], ignore_index=True)


def _rows_of(condition: str, clean: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per case: a loss that grows with the severity of an image change."""
    parsed, place = parse_condition(condition), np.arange(len(clean))
    same = condition in ("clean", "rerun")
    dice = np.clip(clean - (0.0 if same else rng.normal(0.01 * parsed.severity, 0.03, len(clean))), 0, 1)
    return pd.DataFrame(
        {
            "model": "net",
            "dataset": "made-up",
            "split": "test",
            "case_id": [f"image_{k:05d}" for k in place],
            "subject_id": [f"patient_{k // 3:05d}" for k in place],
            "target": np.array(["polyp", "tool"])[place % 2],
            "condition": condition,
            "family": parsed.family,
            "attribute": parsed.attribute,
            "severity": parsed.severity,
            "expectation": "invariant" if parsed.family == "image" else "none",
            "prompt": [f"one small polyp of image {k % 40}, {condition}" for k in place],
            "prompt_index": 0,
            "applicable": True,
            "note": "",
            "dice": dice,
            "iou": dice / (2 - dice),
            "mask_change": np.clip(np.abs(clean - dice) * 1.5, 0, 1),
            "area_fraction": rng.uniform(0.0, 0.3, len(clean)),
            "error": "",
        }
    )


def write_images(folder: Path, count: int) -> Path:
    """Write images of noise with one ellipse each and the forty prompts of `prompt_audit.py`."""
    from prompt_audit import PROMPTS

    for name in ("images", "masks", "anns"):
        (folder / name).mkdir(parents=True)
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]]
    entries = []
    for number in range(count):
        rng = np.random.default_rng(number)
        name, (row, column) = f"i{number:04d}.png", rng.uniform(60, 220, 2)
        mask = ((rows - row) / 40) ** 2 + ((columns - column) / 60) ** 2 < 1
        pixels = rng.integers(0, 256, (*SIDES, 3), dtype=np.uint8)
        Image.fromarray(np.where(mask[..., None], pixels // 2 + 120, pixels)).save(folder / "images" / name)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / name)
        entries.append({"img_name": name, "mask_name": name, "prompts": {"p6": PROMPTS}})
    (folder / "anns" / "test.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def plain_seconds_per_row(pairs: int) -> float:
    """Return the seconds of one whole forward in a loop over batches: nothing is cached, scored or written."""
    import torch
    from prompt_audit import BATCH, PROMPTS, batches, full_size, plain_forward, requests_of, seconds_of

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model = full_size("clipseg", Path(folder))
        prepared = list(batches(model, requests_of(math.ceil(pairs / len(PROMPTS)))[:pairs]))
        forward = plain_forward(model)
        forward(*prepared[0])
        wall, _ = seconds_of(lambda: [forward(*batch) for batch in prepared])
    return wall / (len(prepared) * BATCH)


def _both(here: Checkout, there: Checkout) -> Iterator[tuple[str, Checkout]]:
    yield from (("this", here), ("other", there))


def _wall(costs: list[Cost], target: float) -> tuple[float, float]:
    return costs[1].wall / costs[0].wall, target


def _named(costs: list[Cost]) -> dict[str, Any]:
    return {name: cost._asdict() for name, cost in zip(("this", "other"), costs, strict=True)}


def _results(run: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(part) for part in sorted((run / "results").glob("part-*.parquet"))]
    return pd.concat(parts, ignore_index=True)


def main() -> int:
    """Compare one command; exit code 1 where a ratio misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("demo", "prompts", "conclusions", "page", "conclude"))
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other checkout")
    parser.add_argument("--images", type=int, default=150, help="of the prompt-only audit")
    parser.add_argument("--plain-pairs", type=int, default=20, help="pairs that the plain loop is timed on")
    parser.add_argument("--cases", type=int, default=CASES, help="of the conclusions")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.command == "conclude":
        conclude(options.folder, options.name)
        return 0
    if options.against is None and options.command != "page":
        parser.error("--against: expected another checkout")
    here = Checkout(HERE)
    there = Checkout((options.against or HERE).resolve(), options.python)
    for checkout in (here, there):
        checkout.check()
    with tempfile.TemporaryDirectory() as folder:
        if options.command == "page":
            ratios, detail = page(here, Path(folder))
        else:
            work = {"demo": demo, "prompts": prompts, "conclusions": conclusions}[options.command]
            ratios, detail = work(here, there, Path(folder), options)
    print(json.dumps({"name": options.command, "ratios": ratios, "detail": detail}))
    return int(not all(map(met, ratios)))


if __name__ == "__main__":
    raise SystemExit(main())
