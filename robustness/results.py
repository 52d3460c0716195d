"""The results table: one row is one prediction. Column names are a contract."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import lru_cache

from robustness.errors import counted

IDENTITY = ("model", "dataset", "split", "case_id", "subject_id", "target")
CONDITION = ("condition", "family", "attribute", "severity", "expectation")
PROMPT = ("prompt", "prompt_index", "applicable", "note")
MEASURED = (
    "dice",
    "iou",
    "hd95",
    "nsd",
    "mask_change",
    "area_fraction",
    "components",
    "centroid_row",
    "centroid_col",
)
FLAGS = ("both_empty", "missed", "hallucinated")
REFERENT = ("other_case_id", "dice_other")
# Share of the smaller of the two targets that lies in the other: 1 where one is a part of the other.
OTHER_OVERLAP = "other_overlap"
# Share of the image that the reference covers: what a mask of the whole image would score follows from it.
REFERENCE_FRACTION = "reference_fraction"
COLUMNS: tuple[str, ...] = (*IDENTITY, *CONDITION, *PROMPT, *MEASURED, *FLAGS, *REFERENT, "error")

EFFECT_COLUMNS: tuple[str, ...] = (
    "model",
    "dataset",
    "condition",
    "metric",
    "n_images",
    "n_subjects",
    "clean_mean",
    "perturbed_mean",
    "effect",
    "ci_low",
    "ci_high",
    "ci_method",
    "p_value",
    "p_adjusted",
    "family_size",
    "dz",
    "rank_biserial",
    "icc",
    "design_effect",
    "mde",
    "n_flagged",
)
VERDICT_COLUMNS: tuple[str, ...] = (
    "model",
    "dataset",
    "claim",
    "attribute",
    "condition",
    "metric",
    "verdict",
    "rule",
    "estimate",
    "ci_low",
    "ci_high",
    "margin",
    "n_images",
    "n_subjects",
    "n_missing",
    "n_needed",
    "level",
    "m",
    "certified",
    "share",
    "share_low",
    "share_high",
    "detectable",
    "sentence",
)

CLEAN = "clean"
RERUN = "rerun"
PARAPHRASE = "paraphrase"
# Changes that were searched for with the model's score in view: bounds, of which no ordinary claim may be made.
SEARCHED = frozenset({"worst_case", "fgsm", "pgd", "universal", "query_attack"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition's name taken apart; `parts` has more than one element for a joint condition."""

    parts: tuple[str, ...]
    family: str
    attribute: str
    severity: int


_SEVERITY = re.compile(r"@(\d+)$")


@lru_cache(maxsize=4096)
def parse_condition(name: str) -> Condition:
    """Take a condition's name apart.

    Example:
        >>> parse_condition("image:gaussian_noise@3")
        Condition(parts=('image:gaussian_noise@3',), family='image', attribute='', severity=3)
        >>> parse_condition("antonym:size").attribute
        'size'
    """
    parts = tuple(name.split("+"))
    severity = _SEVERITY.search(parts[0])
    prompt_part = next((p for p in parts if not p.startswith("image:")), "")
    attribute = prompt_part.partition(":")[2] if ":" in prompt_part else ""
    return Condition(parts, _family(parts), attribute, int(severity.group(1)) if severity else 0)


def part_name(part: str) -> str:
    """Return the perturbation that one part of a condition names, without attribute and severity.

    Example:
        >>> part_name("image:pgd@2"), part_name("antonym:size")
        ('pgd', 'antonym')
    """
    return part.removeprefix("image:").partition("@")[0].partition(":")[0]


@lru_cache(maxsize=4096)
def is_searched(condition: str) -> bool:
    """Tell whether any part of a condition is an attack or another search for the worst.

    Example:
        >>> is_searched("image:pgd@2+worst_case"), is_searched("image:gaussian_noise@3")
        (True, False)
    """
    return any(part_name(part) in SEARCHED for part in condition.split("+"))


@lru_cache(maxsize=4096)
def is_attack(condition: str) -> bool:
    """Tell whether a condition attacks the image."""
    return any(part.startswith("image:") and part_name(part) in SEARCHED for part in condition.split("+"))


def _family(parts: tuple[str, ...]) -> str:
    if len(parts) > 1:
        return "joint"
    if parts[0] in (CLEAN, RERUN):
        return "clean"
    return "image" if parts[0].startswith("image:") else "prompt"


def prediction_stem(case_id: str, prompt_index: int, taken: Container[str] = ()) -> str:
    """Return the name, without suffix, of the stored mask of a case's listed text.

    The first text has the case's own name. Further ones have "__1", "__2", ...; where another case bears that name
    ("img7/1.png" beside the second text of "img7.png") they have "__text1".

    Args:
        case_id: the case.
        prompt_index: of its listed text.
        taken: the case ids of the dataset.

    Example:
        >>> prediction_stem("img7", 1), prediction_stem("img7", 1, {"img7", "img7__1"})
        ('img7__1', 'img7__text1')
    """
    plain = f"{case_id}__{prompt_index}" if prompt_index else case_id
    return f"{case_id}__text{prompt_index}" if prompt_index and plain in taken else plain


def case_id_of(mask_name: str) -> str:
    """Return the case id of a mask's name: no suffix, '/' written '__'."""
    return re.sub(r"\.[^./]+$", "", mask_name.replace("\\", "/")).replace("/", "__")


def spelled_alike(name: str) -> str:
    """Return a name in the form that all share that differ in capitals, widths, blanks or leading zeros only."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", " ".join(unicodedata.normalize("NFKC", name).casefold().split()))


def look_alikes(names: Iterable[str]) -> str | None:
    """Say which names differ in capitals, widths, blanks or leading zeros only: one patient may count twice."""
    forms: dict[str, str] = {}
    pairs = [
        (forms[form], name)
        for name in sorted(set(names))
        if forms.setdefault(form := spelled_alike(name), name) != name
    ]
    if not pairs:
        return None
    more = f" (and {counted(len(pairs) - 1, 'more name')} like it)" if len(pairs) > 1 else ""
    return (
        f"{pairs[0][0]!r} and {pairs[0][1]!r} count as two subjects, and differ in capitals, widths, blanks or leading"
        f" zeros only{more}; write one patient one way"
    )
