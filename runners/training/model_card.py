"""The model card of a finetuned checkpoint: what it is, what it saw, how it was trained, what it is not for."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustness.errors import counted
from robustness.files import write_text
from robustness.plans.finetune import TrainPlan
from robustness.plans.protocols import protocol_sources
from robustness.runners.training.folder import LOG, read_facts

CARD = "README.md"
_LIMITS = (
    "The validation Dice chose the checkpoint, so it is too high an estimate for new cases. Audit on a split that "
    "neither training nor validation has seen.",
    "Whether the mask follows the words of the prompt is not known from a Dice: run `robustness audit`.",
    "Images from other sites, devices and populations than those of the data below were not seen.",
    "Not a medical device; not for diagnosis.",
)


def write_model_card(folder: Path, plan: TrainPlan) -> Path:
    """Write ``README.md`` into a finished checkpoint folder from its own files and return its path.

    Args:
        folder: with ``training.json`` and ``metrics.csv``.
        plan: what was trained.
    """
    facts = read_facts(folder)
    with (folder / LOG).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sections = (_head(plan), _model(plan, facts), _data(plan, facts), _protocol(plan, facts), _results(facts, rows))
    path = folder / CARD
    write_text(path, "\n\n".join((*sections, _limits(facts), _use(plan))) + "\n")
    return path


def _head(plan: TrainPlan) -> str:
    title = plan.title or f"{plan.model.name} finetuned on {Path(plan.data.path).name}"
    tags = ["image-segmentation", "medical", "vlsm-robustness"]
    front = "---\nlibrary_name: vlsm-robustness\npipeline_tag: image-segmentation\ntags:\n"
    return front + "\n".join(f"- {tag}" for tag in tags) + f"\n---\n\n# {title}"


def _model(plan: TrainPlan, facts: Mapping[str, Any]) -> str:
    start = facts["started_from"]
    origin = f"`{start['checkpoint']}`" if "checkpoint" in start else f"random weights (seed {start.get('seed')})"
    hashes = "".join(f"\n  - `{name}` sha256 `{digest}`" for name, digest in start.get("sha256", {}).items())
    shares = ", ".join(f"{part} {count:,}" for part, count in facts.get("trainable_by_part", {}).items())
    lines = [
        f"- network: `{plan.model.name}`",
        f"- started from: {origin}{hashes}",
        f"- parameters: {facts['parameters']:,}, of which {facts['trainable']:,} learned ({shares})",
        f"- frozen: {', '.join(facts.get('frozen', [])) or 'nothing'}",
    ]
    if plan.train.lora is not None:
        lora = plan.train.lora
        where = " and ".join(lora.parts)
        lines.append(f"- adapters: LoRA of rank {lora.rank}, alpha {lora.alpha:g}, on {where}, merged into the weights")
    return "## Model\n\n" + "\n".join(lines)


def _data(plan: TrainPlan, facts: Mapping[str, Any]) -> str:
    counts = "\n".join(f"| {split} | {count} |" for split, count in facts["cases"].items())
    return (
        f"## Data\n\n`{facts['data']}`, sha256 of all its files' hashes `{facts['data_sha256']}`.\n\n"
        f"| split | cases |\n| --- | --- |\n{counts}\n\n{_as_read(facts)}{_subjects(facts)}"
        f"Prompts: {', '.join(facts['prompts'])}; validation: {plan.data.validation_prompt}; "
        f"empty prompts: {plan.data.empty:.0%}."
    )


def _subjects(facts: Mapping[str, Any]) -> str:
    """Say whom the checkpoint records, so that an audit can tell who is new to it."""
    records = [record for record in facts.get("subjects", []) if "ids" in record]
    if not records:
        return (
            "Who was trained on is not recorded: an audit cannot tell whether its patients are new to this model.\n\n"
        )
    listed = ", ".join(f"{r['role']} {counted(len(r['ids']), r['unit'])} of `{r['data']}`" for r in records)
    form = "names as they are" if records[0]["form"] == "plain" else "a hash of each name"
    return f"Recorded for the comparison with audited data ({form}, and a hash of each image): {listed}.\n\n"


def _as_read(facts: Mapping[str, Any]) -> str:
    notes = "\n".join(f"- {note}" for note in facts.get("notes", []))
    return f"How they were read:\n\n{notes}\n\n" if notes else ""


def _protocol(plan: TrainPlan, facts: Mapping[str, Any]) -> str:
    spec = plan.train.model_dump(exclude_none=True, exclude={"out", "loggers"})
    rows = "\n".join(f"| `{key}` | {_shown(value)} |" for key, value in spec.items())
    sources = protocol_sources(plan.train.protocol)
    listed = "".join(f"\n- {key}: {source}" for key, source in sources.items())
    packages = facts.get("environment", {}).get("packages", {})
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "lightning", "transformers") if name in packages
    )
    return (
        f"## Protocol\n\nPlan sha256 `{facts['plan_sha256']}`; {versions}.\n\n| key | value |\n| --- | --- |\n{rows}"
        + (f"\n\nSources of protocol `{plan.train.protocol}`:\n{listed}" if listed else "")
    )


def _results(facts: Mapping[str, Any], rows: list[dict[str, str]]) -> str:
    best = next((row for row in rows if int(row["epoch"]) == facts["epoch"]), rows[-1])
    return (
        f"## Results\n\nBest validation Dice **{facts['val_dice']:.4f}** (mean over cases at network size, 1 where "
        f"both masks are empty), epoch {facts['epoch']} of {rows[-1]['epoch']}, {facts['steps']} optimizer steps, "
        f"{facts['seconds']:.0f} s.\n\n| | best epoch | last epoch |\n| --- | --- | --- |\n"
        + "\n".join(
            f"| {name} | {float(best[key]):.4f} | {float(rows[-1][key]):.4f} |"
            for name, key in (
                ("training loss", "loss"),
                ("validation loss", "val_loss"),
                ("validation Dice", "val_dice"),
            )
        )
        + "\n\nAll epochs: `metrics.csv`, `curves.html`."
    )


def _limits(facts: Mapping[str, Any]) -> str:
    fewest = min(facts["cases"].values())
    small = (f"The smallest split has {counted(fewest, 'case')}: its Dice is uncertain.",) if fewest < 30 else ()
    return "## Limitations\n\n" + "\n".join(f"- {line}" for line in (*_LIMITS, *small))


def _use(plan: TrainPlan) -> str:
    return (
        "## Use\n\n```python\nimport robustness as rb\n\n"
        f'model = rb.load_model("{plan.model.name}", checkpoint="PATH OF THIS FOLDER")\n```\n\n'
        f'```toml\n[model]\nname = "{plan.model.name}"\ncheckpoint = "PATH OF THIS FOLDER"\n```'
    )


def _shown(value: Any) -> str:
    return (
        json.dumps(value)
        if isinstance(value, list | dict)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
