"""`paraphrase`: other words for the same request; what moves under them is phrasing, not meaning."""

from __future__ import annotations

import re

import numpy as np

from robustness.perturb.language.grammar.asking import asks, denies
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.proper import is_proper
from robustness.perturb.language.slots import PLACE, PLACES
from robustness.perturb.language.template_shape import is_framed, is_template
from robustness.perturb.prompt.base import PromptPerturbation, denied_noun
from robustness.perturb.prompt.rewording import rewordings
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params, Prompt

MOST = 3
_LOCATED = re.compile(rf",? (?P<and>and )?located in (?:the )?(?P<v>{PLACES}) of (?P<what>the (?:image|picture))", re.I)
_ELSEWHERE = re.compile(r"\blocated in(?! (?:the )?[\w ,]+? of the (?:image|picture))", re.I)
_AT = re.compile(rf" at the (?P<v>{PLACE}) in (?=the\b)", re.I)
_PLANE = re.compile(r"\bin (?P<plane>axial|coronal|sagittal) (?P<what>[\w -]*?(?:MRI|CT))\b")
_CHAMBER = re.compile(r"\bin (?P<v>(?:two|three|four)-chamber) view of the heart", re.I)
_FRONTAL = re.compile(r"\bin the (?P<v>frontal|lateral) view of a chest x-?ray", re.I)
_CYCLE = re.compile(r"\bat end of the (?P<v>diastole|systole) cycle", re.I)
# "each of which is" and ", which is" have no form with "that".
_WHICH = re.compile(r"(?<!of )(?<!, )\bwhich (?P<v>is|are)\b")
_DETERMINED = re.compile(r"(?:the|both|each|all|this|these|his|her|its|at least|at most|up to)\b", re.I)
_PLURAL_NUMBER = re.compile(r"^(?:two|three|four|five|six|seven|eight|nine|ten|several|many|multiple)\b", re.I)


@PERTURBATIONS.add("paraphrase")
class Paraphrase(PromptPerturbation):
    """Paraphrase a prompt: up to three texts, phrases first, then frames ("an image showing ...").

    Not applicable where no other wording keeps the meaning: a frame around a denial would ask for what is absent, one
    around a request would ask twice. Every other prompt with a word in it has at least two. Expectation: "invariant".
    Params: `text` (the first), `texts`, `kind` "", `source`.
    """

    name = "paraphrase"
    expectation = "invariant"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the paraphrases; nothing is drawn."""
        wordings = texts(case.prompt, case)
        if not wordings:
            return NotApplicable(_why_none(case.prompt))
        return {
            "text": wordings[0],
            "texts": list(wordings),
            "kind": "",
            "old": case.prompt.text,
            "new": wordings[0],
            "start": 0,
            "stop": len(case.prompt.text),
            "source": "template rewording",
        }


def texts(prompt: Prompt, case: Case | None = None) -> tuple[str, ...]:
    """Return up to three paraphrases of `prompt`, none equal to it or to one of its listed phrasings."""
    text = prompt.text
    if not any(character.isalnum() for character in text):
        return ()
    listed = {text, *prompt.paraphrases}
    shaped = is_template(text, prompt.attributes, is_stated=bool(case and case.target)) and not is_framed(text)
    # "Right eye: membrane" is a heading with a finding, and no noun phrase.
    shaped = shaped and not any(
        a.kind == "side" and (text[a.stop : a.stop + 1] == ":" or a.value.lower().endswith("eye"))
        for a in prompt.attributes
    )
    plain = not prompt.attributes and not asks(text) and not denies(prompt)
    if (shaped or plain) and not text.isupper():
        candidates = [*_phrases(text), *_frames(prompt)]
    else:
        candidates = [*_phrases(text), *rewordings(prompt)]
    new_texts = [new for new in candidates if new not in listed]
    return tuple(dict.fromkeys(new_texts))[:MOST]


def _why_none(prompt: Prompt) -> str:
    """Return why a prompt has no paraphrase."""
    if not any(character.isalnum() for character in prompt.text):
        return "a prompt without words has no other wording"
    if denies(prompt):
        return "the prompt denies its target; a frame around it would ask for what is absent"
    return "the prompt is a request of which no other wording is known; a frame around it would ask twice"


def _phrases(text: str) -> list[str]:
    """Return `text` with one phrase paraphrased, one text per phrase that it holds."""
    phrases = []
    for pattern, new in (
        (_LOCATED, _relocated),
        (_ELSEWHERE, "situated in"),
        (_AT, lambda m: f" in the {m['v']} part of "),
        (_PLANE, lambda m: f"in the {m['plane']} view of a {m['what'].strip()}"),
        (_CHAMBER, lambda m: f"in the {m['v']} view of the heart"),
        (_FRONTAL, lambda m: f"in a {m['v']} chest X-ray"),
        (_CYCLE, lambda m: f"at the end of {m['v']}"),
        (_WHICH, lambda m: f"that {m['v']}"),
    ):
        changed = pattern.sub(new, text, count=1)
        if changed != text:
            phrases.append(changed)
    return phrases


def _relocated(match: re.Match[str]) -> str:
    if "," in match["v"] or " and " in match["v"].lower():
        return f", {match['and'] or ''}situated in {match['v']} of {match['what']}"
    return f" in the {match['v']} part of {match['what']}"


def _frames(prompt: Prompt) -> list[str]:
    """Return the whole prompt inside a frame; the full stop stays at the end."""
    body = prompt.text.strip()
    stop = "." if body.endswith(".") else ""
    inner = _lowered(body[: len(body) - len(stop)], prompt)
    # A second sentence would not fit inside a frame that continues the first.
    if ". " in inner:
        return [f"An image of the following: {inner}{stop}", f"This image shows the following: {inner}{stop}"]
    if inner.lower().startswith("no "):
        be = "are" if is_plural(denied_noun(inner, 2)) else "is"
        return [f"There {be} {inner}{stop}", f"An image showing {inner}{stop}"]
    counted = inner.lower().startswith(("one ", "a ", "an "))
    several = _PLURAL_NUMBER.match(inner) is not None
    determined = counted or several or _DETERMINED.match(inner) is not None
    target = prompt.get("target")
    # A noun that counts needs its article: "an image showing the distended gallbladder".
    determined = determined or (target is not None and target.value[-1:].isdigit())
    shown = inner if determined or target is None or is_plural(target.value) else f"the {inner}"
    requested = inner if determined else f"the {inner}"
    there = f"There {'are' if several else 'is'} {inner}{stop}"
    frames = [
        f"An image showing {shown}{stop}",
        f"Segment {requested}{stop}",
        there if counted or several else f"An image of {shown}{stop}",
    ]
    return frames if body[:1].isupper() else [f[0].lower() + f[1:] for f in frames]


def _lowered(text: str, prompt: Prompt) -> str:
    """Return `text` with a small first letter, unless its first word is written so for a reason ("T1", "CT")."""
    target = prompt.get("target")
    named = target is not None and target.start == 0 and any(w[:1].isupper() for w in target.value.split()[1:])
    if named or not text[:1].isupper() or is_proper(text):
        return text
    return text[0].lower() + text[1:]
