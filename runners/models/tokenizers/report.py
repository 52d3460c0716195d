"""Token report of prompts: how many tokens, what is cut or unknown, which changes vanish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.perturb.select import Selected
from robustness.seeds import generator
from robustness.types import Case, NotApplicable, Segmenter

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "condition",
    "case_id",
    "before",
    "after",
    "tokens_before",
    "tokens_after",
    "limit",
    "truncated_before",
    "truncated_after",
    "unknown_before",
    "unknown_after",
    "same_ids",
)
_UNKNOWN = ("[UNK]", "<unk>")


def token_report(model: Segmenter, pairs: Iterable[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Return one row per change of a prompt as the model's tokenizer sees it.

    Args:
        model: a segmenter with a tokenizer.
        pairs: (condition, case_id, text before, text after).

    Returns:
        The columns `condition case_id before after tokens_before tokens_after limit truncated_before truncated_after
        unknown_before unknown_after same_ids`. Counts include start and end and are taken before anything is cut off;
        `same_ids` tells that the model gets the same ids for both texts, so that the change cannot have an effect.
        Unknown pieces are 0 for byte-level vocabularies, which know every byte.

    Raises:
        InputError: the model has no tokenizer.
    """
    import pandas as pd

    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise InputError(f"model: expected one with a tokenizer, {model.name} has none")
    listed = list(pairs)
    seen = {text: _look(tokenizer, text) for text in dict.fromkeys(t for p in listed for t in p[2:])}
    rows = []
    for condition, case_id, before, after in listed:
        a, b = seen[before], seen[after]
        limit = tokenizer.context_length
        rows.append(
            (
                condition,
                case_id,
                before,
                after,
                a[0],
                b[0],
                limit,
                a[0] > limit,
                b[0] > limit,
                a[1],
                b[1],
                a[2] == b[2],
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def token_report_of(
    model: Segmenter, cases: Iterable[Case], selected: Sequence[Selected], *, seed: int = 0
) -> pd.DataFrame:
    """Return `token_report` of every prompt change of a plan on some cases; what does not apply has no row."""
    return token_report(model, _changes(cases, selected, seed))


def token_summary(report: pd.DataFrame) -> pd.DataFrame:
    """Return one row per condition: how many changes, mean growth in tokens, shares cut, unknown, unseen."""
    grouped = report.assign(
        growth=report["tokens_after"] - report["tokens_before"], with_unknown=report["unknown_after"] > 0
    ).groupby("condition", sort=False)
    summary = grouped.agg(
        n=("case_id", "size"),
        growth=("growth", "mean"),
        truncated=("truncated_after", "mean"),
        unknown=("with_unknown", "mean"),
        same_ids=("same_ids", "mean"),
    )
    return summary.reset_index()


def _changes(cases: Iterable[Case], selected: Sequence[Selected], seed: int) -> Iterable[tuple[str, str, str, str]]:
    for case in cases:
        for chosen in selected:
            change = chosen.perturbation
            if change.target != "prompt":
                continue
            rng = generator(seed, case.case_id, change.name, chosen.severity)
            params = change.propose(case, chosen.severity, rng)
            if isinstance(params, NotApplicable):
                continue
            for text in params.get("texts") or [params["text"]]:
                yield chosen.condition, case.case_id, case.prompt.text, text


def _look(tokenizer: Any, text: str) -> tuple[int, int, tuple[int, ...]]:
    """Return the number of tokens before any cut, the unknown ones among them, and the ids that the model gets."""
    ids, mask = tokenizer([text])
    used = tuple(int(i) for i, on in zip(ids[0].tolist(), mask[0].tolist(), strict=True) if on)
    count = int(tokenizer.count(text)) if hasattr(tokenizer, "count") else len(used)
    unknown = _unknown_id(tokenizer)
    return count, sum(i == unknown for i in used), used


def _unknown_id(tokenizer: Any) -> int:
    """Return the id of the unknown piece, or -1 where the vocabulary has none."""
    backend = tokenizer._loaded() if hasattr(tokenizer, "_loaded") else tokenizer
    look_up = getattr(backend, "token_to_id", None)
    index = next((look_up(piece) for piece in _UNKNOWN if look_up(piece) is not None), None) if look_up else None
    return -1 if index is None else int(index)
