"""View of `robustness prompts --model`: a prompt and each change of it, as a model's tokenizer sees them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError, suggest
from robustness.plans.audit import load_plan
from robustness.registry import MODELS

if TYPE_CHECKING:
    import pandas as pd

_CONFIG = "config.json"
# What transformers calls the networks that are registered here.
_MODEL_TYPES = {"clipseg": "clipseg", "sam3": "sam3", "sam3_video": "sam3", "grounding-dino": "grounded-sam"}
_SHOWN = (
    "condition",
    "after",
    "tokens_before",
    "tokens_after",
    "limit",
    "truncated_after",
    "unknown_after",
    "same_ids",
)


def token_table(text: str, source: str, *, modality: str = "", seed: int = 0) -> pd.DataFrame:
    """Return one row per change that applies to a prompt, as the tokenizer of `source` sees it.

    The first row, "clean", is the prompt itself. The columns are those of
    `robustness.runners.models.tokenizers.report.token_report`. No weights are read.

    Args:
        text: the prompt.
        source: a plan (its first model), a registered model, or a checkpoint folder.
        modality: of the image, for the changes that depend on it.
        seed: of the rare words.

    Raises:
        InputError: `source` is none of these, or its model has no vocabulary here.
    """
    from robustness.perturb.preview import perturb_prompt
    from robustness.runners.models.tokenizers.report import token_report

    model: Any = SimpleNamespace(**tokenizer_of(source))
    table = perturb_prompt(text, modality=modality, seed=seed)
    changes = [(row["perturbation"], "", text, row["text"]) for row in table[table["applicable"]].to_dict("records")]
    return token_report(model, [("clean", "", text, text), *changes])


def show_tokens(text: str, source: str, *, modality: str = "", seed: int = 0, as_json: bool = False) -> str:
    """Return `token_table` as text, or as JSON."""
    table = token_table(text, source, modality=modality, seed=seed)
    if as_json:
        return json.dumps(json.loads(table.to_json(orient="records")), indent=1, ensure_ascii=False)
    first = table.iloc[0]
    cut = ", cut before its end" if first["truncated_before"] else ""
    head = f"{first['tokens_before']} of {first['limit']} tokens{cut}; {first['unknown_before']} unknown"
    unseen = int(table["same_ids"].iloc[1:].sum())
    tail = f"{unseen} of {len(table) - 1} changes give the model the same ids: they cannot have an effect"
    return "\n".join([head, table.iloc[1:][list(_SHOWN)].to_string(index=False), tail])


def tokenizer_of(source: str) -> dict[str, Any]:
    """Return the name and the tokenizer of a plan's first model, a registered model or a checkpoint folder."""
    from robustness.plans.paths import resolve, resolved_options

    if Path(source).suffix == ".toml":
        spec, base_dir = load_plan(source).model[0], Path(source).resolve().parent
        options = resolved_options(spec.options, base_dir)
        folder = Path(resolve(spec.checkpoint, base_dir)) if spec.checkpoint else None
        return _tokenizer(spec.name, folder, given={**(spec.config or {}), **options})
    if source in MODELS:
        return _tokenizer(source, None, given={})
    folder = Path(source)
    document = _document(folder)
    name = document.get("model") or _MODEL_TYPES.get(str(document.get("model_type")))
    if name not in MODELS:
        raise InputError(
            f"--model: expected a plan (.toml), a registered model ({', '.join(MODELS)}) or a checkpoint folder whose "
            f"{_CONFIG} says which model it is, got {source!r}{suggest(source, MODELS.names())}"
        )
    return _tokenizer(str(name), folder, given={})


def _tokenizer(name: str, folder: Path | None, *, given: dict[str, Any]) -> dict[str, Any]:
    from robustness.runners.models.entry import merge

    entry = MODELS.get(name)()
    if not hasattr(entry, "tokenizer") or not entry.takes_text:
        raise InputError(f"--model: expected a network that reads text, {name!r} has no tokenizer of its own")
    path = given.pop("tokenizer", None)
    config = entry.default_config()
    if folder is not None:
        folder = folder if folder.is_dir() else folder.parent
        document = _document(folder)
        config = merge(config, document["config"] if document.get("model") == name else {})
    overrides = {key: value for key, value in given.items() if key in config}
    tokenizer = entry.tokenizer(merge(config, overrides), Path(path) if path else folder)
    if tokenizer is None:
        raise InputError(f"--model: {name!r} has no vocabulary here; give a plan with options = {{ tokenizer = PATH }}")
    return {"name": name, "tokenizer": tokenizer}


def _document(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
