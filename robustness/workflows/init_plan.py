"""A first plan for a folder: what lies there is looked at, and written down with the choices that it leaves open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError, counted

if TYPE_CHECKING:
    from robustness.runners.data.load import Dataset

# Prompts of the reference benchmark that name the target with several attributes, the fullest first.
_PREFERRED = ("p6", "p5", "p4", "p3", "prompt")
_SUBJECT_WORDS = ("patient", "subject", "case_number", "study")
_MODEL = "film-unet"


@dataclass(frozen=True)
class DataFolder:
    """What lies in a folder: the path to audit, its splits, prompt keys, and the other keys of its entries."""

    path: Path
    splits: tuple[str, ...]
    prompts: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def split(self) -> str:
        """The split to audit: "test" where there is one, else the last."""
        return "test" if "test" in self.splits else self.splits[-1]

    @property
    def prompt(self) -> str:
        """The prompt key to audit."""
        return next((key for key in _PREFERRED if key in self.prompts), self.prompts[-1])

    @property
    def subject(self) -> str | None:
        """The key that seems to name the patient, where it is not the one that readers take by themselves."""
        from robustness.runners.data.records import SUBJECT_KEYS

        if any(key in SUBJECT_KEYS for key in self.keys):
            return None
        return next((key for key in self.keys if any(word in key.lower() for word in _SUBJECT_WORDS)), None)


def look(source: Path) -> DataFolder:
    """Return what can be audited at `source`: a benchmark folder, a table, or a folder that holds one table.

    Raises:
        InputError: nothing there has prompts; the message says which command makes them.
    """
    if not source.exists():
        raise InputError(f"folder: expected a dataset folder or a table of cases, found none at {str(source)!r}")
    if source.is_dir() and (source / "anns").is_dir():
        return _annotated(source)
    tables = [source] if source.is_file() else _tables(source)
    if len(tables) == 1:
        return _table(tables[0])
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise InputError(
            f"folder: expected one table of cases in {str(source)!r}, found {names}; pass the one to audit"
        )
    raise InputError(
        f"folder: expected images, masks and prompts in {str(source)!r}, found no anns/ and no table with the columns"
        f" image, mask, prompt; make them: robustness prepare generic {str(source)!r} NEW --target NAME (other layouts:"
        " robustness prepare --list)"
    )


def _annotated(folder: Path) -> DataFolder:
    from robustness.runners.data.benchmark_folder import prompt_keys, read_entries, splits_of

    splits = splits_of(folder)
    split = "test" if "test" in splits else splits[-1]
    entries = read_entries(folder / "anns" / f"{split}.json")
    prompts = prompt_keys(entries)
    if not prompts:
        raise InputError(
            f"folder: expected prompts in anns/{split}.json, found entries without any; write them with robustness"
            f" prompts --from {str(folder)!r}"
        )
    keys = {key for entry in entries for key in (*entry, *(entry.get("attributes") or {}))}
    return DataFolder(folder, tuple(splits), tuple(prompts), tuple(sorted(keys)))


def _tables(folder: Path) -> list[Path]:
    """Return the tables of a folder that hold cases."""
    from robustness.runners.data.manifest import SUFFIXES, read_table

    tables = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        try:
            read_table(path)
        except InputError:
            continue
        tables.append(path)
    return tables


def _table(path: Path) -> DataFolder:
    from robustness.runners.data.manifest import prompt_keys_of, read_table, splits_of_table

    table = read_table(path)
    prompts = prompt_keys_of(list(map(str, table.columns)))
    if not prompts:
        columns = ", ".join(map(str, table.columns))
        raise InputError(f"folder: expected a column prompt in {path.name}, found {columns}; add one text for each row")
    return DataFolder(path, tuple(splits_of_table(table)), prompts, tuple(map(str, table.columns)))


def write_plan(source: Path, out: Path, *, model: str = _MODEL, checkpoint: str | None = None) -> tuple[Path, Dataset]:
    """Write a commented plan for `source` and return it with the dataset, which was opened to make sure that it can be.

    Raises:
        InputError: nothing there can be audited, `out` exists, or there is no such model.
    """
    from robustness.files import write_text
    from robustness.plans.audit import parse_plan
    from robustness.plans.toml import read_toml
    from robustness.registry import MODELS
    from robustness.runners.data.load import load_dataset

    if out.exists():
        raise InputError(f"--out: expected a new file, but {str(out)!r} exists; choose another name or remove it")
    MODELS.get(model)
    folder = look(source)
    dataset = load_dataset(folder.path, split=folder.split, prompt=folder.prompt, subject=folder.subject)
    write_text(out, plan_text(folder, dataset.facts(), model=model, checkpoint=checkpoint))
    parse_plan(read_toml(out), source=out.name)
    return out, dataset


def plan_text(folder: DataFolder, facts: Mapping[str, Any], *, model: str, checkpoint: str | None) -> str:
    """Return the plan as TOML with comments; `facts` are those of the opened dataset."""
    lines = [
        f"# Audit of {folder.path.name}: {counted(facts['n_cases'], 'case')} on {counted(facts['n_images'], 'image')}"
        f" of split {folder.split}.",
        "#   robustness plan THIS    says what it can show and how long it takes",
        "#   robustness audit THIS   runs it",
        "seed = 0",
        "",
        *_model_lines(model, checkpoint),
        "",
        *_data_lines(folder, facts),
        "",
        "[perturbations]",
        "# What is done to the prompt: words swapped for their opposite, a rare word or nothing, paraphrases, the",
        "# prompt of a second target, no prompt, another class. All of them: robustness list perturbations",
        'prompt = ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class"]',
        "# What is done to the image: the list of the modality, at severities 1 (mild) to 5 (strong).",
        'image = { kinds = "modality", severities = [1, 3, 5] }',
        "",
        "[metrics]",
        'names = ["dice", "iou", "hd95", "nsd"]',
        "",
        "[statistics]",
        "# What counts as a loss: choose both with a clinician before the first run, and write down why.",
        "margin_dice = 0.10",
        "margin_change = 0.05",
        "",
    ]
    return "\n".join(lines)


def _model_lines(model: str, checkpoint: str | None) -> list[str]:
    lines = ["[model]", f"name = {_toml(model)}"]
    if checkpoint is not None:
        return [*lines, f"checkpoint = {_toml(checkpoint)}"]
    return [
        *lines,
        "# Without a checkpoint the weights are random: a trial of the plan, no statement about a trained model.",
        '# Names: robustness list models. A model of yours behind a Python function: name = "python",',
        '# checkpoint = "mine.py:build".',
        '# checkpoint = "PATH"',
    ]


def _data_lines(folder: DataFolder, facts: Mapping[str, Any]) -> list[str]:
    lines = ["[data]", f"path = {_toml(str(folder.path.resolve()))}"]
    lines += [f"# Splits: {', '.join(folder.splits)}.", f"split = {_toml(folder.split)}"]
    lines += [f"# Prompt keys: {', '.join(folder.prompts)}.", f"prompt = {_toml(folder.prompt)}"]
    if folder.subject is not None:
        lines += [
            "# Who a case belongs to; this key seems to name the patient. Please check.",
            f'subject = "{folder.subject}"',
        ]
    elif facts["subject_is_image"]:
        lines += [
            "# No patient is named: every image counts as its own unit, and intervals are too narrow for patients.",
            "# Where the file name holds the patient: subject = 'regex:^([^_]+)_'.",
            "# Where no two images show one patient, say so; only you can know, and certificates depend on it:",
            '# subject = "image"',
        ]
    elif facts["n_subjects"] == 1:
        lines += [
            "# One patient: with it as unit no interval exists, and nothing is judged. To ask about images of this",
            "# patient instead, as if they were independent:",
            '# subject = "image"',
        ]
    else:
        lines.append(f"# Patients are named: {facts['n_subjects']} of them are the units of inference.")
    modalities = ", ".join(facts["modalities"])
    lines += [
        f"# Modality: {modalities}."
        if modalities
        else '# The modality is not stated; it picks the image changes.\n# modality = "MRI"'
    ]
    lines += [
        '# Whose left is meant by left and right in the prompts: "patient" or "viewer".',
        '# convention = "patient"',
        "# limit = 20   # the first cases only, for a trial",
    ]
    return lines


def _toml(value: str) -> str:
    # A JSON string is a TOML string.
    return json.dumps(value, ensure_ascii=False)
