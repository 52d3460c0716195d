"""Findings on prompts against their data: texts that cannot be read, sides and targets that disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from robustness.errors import counted
from robustness.perturb.language.ontology.relatives import is_kind_of
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.unread import same_target, unread_findings
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.records import Record
from robustness.types import Prompt

_EXAMPLES = 3
_BOTH = frozenset({"both", "bilateral", "left and right", "right and left"})


def check_prompts(split: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield findings on the words of `records`: how many no reader understands, and where they contradict the data.

    A text is unread where no target is found in it although it has words, and partly read where it names another
    finding that no rule read. The side that `attributes.side` states and the side that the text states disagree where
    they are different single sides; a stated target disagrees where the text names only another thing that is neither
    the same nor a kind of it.
    """
    unread: list[str] = []
    partly: dict[str, tuple[str, ...]] = {}
    sides: list[tuple[Record, str]] = []
    targets: list[tuple[Record, str]] = []
    for record in records:
        for text in record.texts:
            if not any(c.isalnum() for c in text):
                continue
            siblings, attributes = record.siblings or None, dict(record.attributes) or None
            prompt = parse_prompt(text, siblings=siblings, modality=record.modality or "", attributes=attributes)
            if prompt.get("target") is None:
                unread.append(text)
            elif words := unread_findings(prompt):
                partly[text] = words
            if record.target and prompt.get("target") and not _names(prompt, record.target):
                targets.append((record, text))
            if _contradicts(prompt, str(record.attributes.get("side") or "").lower()):
                sides.append((record, text))
    if unread:
        shown = "; ".join(repr(text) for text in dict.fromkeys(unread[:_EXAMPLES]))
        name = "name" if len(unread) > 1 else "names"
        message = f"{len(unread)} of the prompts {name} no target that can be read, such as {shown}"
        yield Finding("warning", "unread_prompt", message, split)
    if partly:
        yield Finding("warning", "partly_read_prompt", _of_partly_read(partly), split)
    for code, what, rows in (("side_disagrees", "side", sides), ("target_disagrees", "target", targets)):
        if rows:
            record, text = rows[0]
            stated = record.attributes.get("side") if what == "side" else record.target
            n = "1 prompt disagrees" if len(rows) == 1 else f"{len(rows)} prompts disagree"
            message = f"{n} with the {what} of the data, the first: {text!r} against {stated!r}"
            yield Finding("warning", code, message, split, record.case_id)


def _of_partly_read(partly: Mapping[str, Sequence[str]]) -> str:
    """Return what to say of texts with names of findings (by text) that were not read."""
    holds = "holds" if len(partly) == 1 else "hold"
    shown = "; ".join(
        f"{' '.join(repr(w) for w in words)} in {text!r}" for text, words in [*partly.items()][:_EXAMPLES]
    )
    return (
        f"{counted(len(partly), 'prompt text')} {holds} a name that was not read and may be what is asked for: "
        f"{shown}; 'robustness prompts TEXT' shows what was read"
    )


def _names(prompt: Prompt, stated: str) -> bool:
    """Tell whether a prompt asks for what the data state: the same name, a kind of it, or words of it."""
    lower = prompt.text.lower()
    return stated.lower() in lower or any(
        same_target(a.value, stated)
        or is_kind_of(a.value, stated)
        or set(a.value.lower().split()) & set(stated.lower().split())
        for a in prompt.attributes
        if a.kind == "target"
    )


def _contradicts(prompt: Prompt, stated: str) -> bool:
    side = prompt.get("side")
    if side is None or side.role != "target" or stated not in ("left", "right"):
        return False
    word = side.value.lower().removesuffix("-sided")
    return word in ("left", "right") and word != stated and word not in _BOTH
