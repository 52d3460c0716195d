"""Preview of one prompt: every applicable prompt perturbation as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from robustness.errors import InputError
from robustness.perturb.base import PerturbationError, own_errors, proposed
from robustness.perturb.language.parse import parse_prompt
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, CaseInfo, DataContext, NotApplicable, Params

if TYPE_CHECKING:
    import pandas as pd

    from robustness.perturb.base import BasePerturbation

COLUMNS = ("perturbation", "kind", "old", "new", "text", "expectation", "source", "applicable", "note")


def perturb_prompt(
    text: str,
    *,
    siblings: Mapping[str, Any] | None = None,
    modality: str = "",
    classes: Sequence[str] = (),
    seed: int = 0,
) -> pd.DataFrame:
    """Return every change of one prompt, one row each, also those that do not apply with the reason in `note`.

    There is no image here, so nothing is known of what is true: `expectation` is the one that holds where the mask
    disproves the new words. Nor is more known of a data set than its `classes`: where an audit expects something else
    of the same text (of another class that nobody drew, "change"; of one that the data draw elsewhere, "abstain"),
    `note` says so.

    Args:
        text: any prompt.
        siblings: the other prompts of the same case, see `parse_prompt`.
        modality: "endoscopy", "MRI", ...
        classes: what else the data set draws, on other images: `wrong_class` draws from these, as an audit of the data
            does, and takes a class of its own only where none of them is surely another thing.
        seed: of the rare words and of what else is drawn.

    Returns:
        A table with the columns `perturbation kind old new text expectation source applicable note`; `text` is the
        changed prompt, "" where the perturbation does not apply.

    Raises:
        InputError: `text` is longer than ``[limits] text_characters``, or a name in `classes` is empty.
    """
    import pandas as pd

    if any(not name.strip() for name in classes):
        raise InputError("classes: expected names, got an empty one among them")
    prompt = parse_prompt(text, siblings=siblings, modality=modality)
    target = prompt.get("target")
    name = target.value if target else ""
    metadata = {"image_id": "preview", "modality": modality, "siblings": dict(siblings or {}), "prompt_index": 0}
    info = CaseInfo("preview", "preview", "preview", name, (prompt,), metadata)
    others = tuple(_elsewhere(n, name, modality) for n, name in enumerate(classes))
    context = DataContext(name="preview", infos=(info, *others), seed=seed)
    image = np.zeros((0, 0, 3), dtype=np.uint8)
    case = Case("preview", "preview", image, np.zeros((0, 0), dtype=bool), prompt, name, metadata)
    rows = [row for entry in _prompt_entries() for row in _rows_of(entry, context, case, seed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _elsewhere(n: int, name: str, modality: str) -> CaseInfo:
    """Return the record of a case on another image of the data set, of which no more is known than its class."""
    metadata = {"image_id": f"elsewhere {n}", "modality": modality, "siblings": {}, "prompt_index": 0}
    return CaseInfo(f"elsewhere {n}", f"elsewhere {n}", f"elsewhere {n}", name, (), metadata)


def _prompt_entries() -> list[type[BasePerturbation]]:
    entries = (cast("type[BasePerturbation]", PERTURBATIONS.get(name)) for name in PERTURBATIONS.names())
    # Controls from other cases and second targets need a dataset.
    return [e for e in entries if e.target == "prompt" and e.name not in ("other", "shuffled")]


def _rows_of(entry: type[BasePerturbation], context: DataContext, case: Case, seed: int) -> list[dict[str, Any]]:
    """Return the rows of one entry; one of a plugin that fails has a row that says so, and the others stay."""
    try:
        with own_errors(entry):
            return [row for perturbation in entry.expand(context) for row in _rows(perturbation, case, seed)]
    except PerturbationError as error:
        blank = dict.fromkeys(COLUMNS, "")
        return [{**blank, "perturbation": entry.name, "expectation": "none", "applicable": False, "note": str(error)}]


def _rows(perturbation: BasePerturbation, case: Case, seed: int) -> list[dict[str, Any]]:
    rows = []
    for severity in perturbation.severities:
        rng = generator(seed, case.case_id, perturbation.name, severity)
        params: Params | NotApplicable
        try:
            params = proposed(perturbation, case, severity, rng)
        except PerturbationError as error:
            params = NotApplicable(str(error))
        base = {"perturbation": perturbation.condition(severity), "expectation": perturbation.expectation}
        if isinstance(params, NotApplicable):
            kind = getattr(perturbation, "kind", "")
            blank = {"kind": kind, "old": "", "new": "", "text": "", "source": ""}
            rows.append({**base, **blank, "applicable": False, "note": params.reason})
            continue
        note, stated = params.get("note", ""), perturbation.expect(case, params)
        if note and stated == "none":
            # Nothing that a mask could show would make it more: a landmark's word, or one of several things.
            base["expectation"] = "none"
        elif stated not in ("none", perturbation.expectation):
            # No mask decides this: an audit that makes the same change has the same expectation.
            said = f"an audit expects {stated!r} of this text, and {perturbation.expectation!r} of one from its data"
            note = f"{note}; {said}" if note else said
        for text in params.get("texts") or [params["text"]]:
            new = text if params.get("texts") else params.get("new", "")
            common = {"kind": params.get("kind", ""), "old": params.get("old", ""), "new": new, "text": text}
            rows.append({**base, **common, "source": params.get("source", ""), "applicable": True, "note": note})
    return rows
