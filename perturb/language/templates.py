"""Prompts from attributes: the benchmark's families p0 to p9, and free templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from robustness.errors import InputError, suggest
from robustness.perturb.language.edit import takes_an
from robustness.perturb.language.grammar.numerals import spell
from robustness.perturb.language.lexicon import descriptions, find_class
from robustness.perturb.modality import canonical_modality
from robustness.types import KINDS

_FIELD = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([\w-]+))")
# What may stand before a target's name and tell it from another of the same name.
QUALIFIERS = ("side", "direction")
_ONE = ("one", "1", "single", "a single", "no")


@cache
def families() -> dict[str, dict[str, str]]:
    """Return family -> level -> template, as ``templates.toml`` holds them."""
    text = resources.files("robustness.perturb.language").joinpath("templates.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return tables


def family_of(modality: str, target: str = "") -> str:
    """Return the family that fits a modality: "breast" for tumors in ultrasound, "photograph" where none is closer.

    CT and MRI are "scan": their gray values have no colour names, and a slice's plane says more than an outline.
    """
    canonical = canonical_modality(modality)
    if canonical == "ultrasound":
        row = find_class(target)
        return "breast" if not target or (row is not None and "tumor" in row.name) else "photograph"
    families_by_modality = {"echocardiography": "echo", "x-ray": "chest", "CT": "scan", "MRI": "scan"}
    return families_by_modality.get(canonical, "photograph")


def build_prompts(
    attributes: Mapping[str, Any],
    *,
    family: str = "photograph",
    templates: Mapping[str, str] | None = None,
    name: str = "",
) -> dict[str, Any]:
    """Return the prompts of one case by level: p0 is empty, p7 and on may be lists, one text per description.

    Args:
        attributes: kind -> words. `age` may be a number; `description` a list, else those of the lexicon for `target`.
            ``number = "no"`` gives every level the family's sentence for an absent target.
        family: "photograph" (endoscopy, dermoscopy, ulcers), "breast", "echo", "chest" or "scan" (CT, MRI).
        templates: level -> template instead of a family; see `render`.
        name: the target with its side and direction ("anterior hippocampus"), for levels whose template lacks either.

    Raises:
        InputError: an unknown family, no target, or a template with an unknown kind.

    Example:
        >>> build_prompts({"target": "polyp", "size": "small", "number": "two"})["p5"]
        'two small polyps'
    """
    if templates is None and family not in families():
        raise InputError(
            f"family: expected one of {', '.join(families())}, got {family!r}{suggest(family, list(families()))}"
        )
    if not str(attributes.get("target") or "").strip():
        raise InputError("attributes: expected a target, such as 'polyp', got none")
    chosen = dict(templates if templates is not None else families()[family])
    absent = chosen.pop("absent", "no {target}")
    words = worded(attributes)
    if words.get("number") == "no":
        return {"p0": "", **{level: render(absent, named(words, absent, name)) for level in chosen}}
    return {"p0": "", **{level: _texts(text, named(words, text, name)) for level, text in chosen.items()}}


def named(words: Mapping[str, Any], template: str, name: str) -> Mapping[str, Any]:
    """Return the words for one template: what it has no place for, the target's name in full says.

    Args:
        words: kind -> words, with the bare target ("hippocampus").
        template: see `render`.
        name: the target with its side and direction; "" where the bare target is the name.
    """
    fields = _FIELD.findall(template)
    if not name or all(kind in fields for kind in QUALIFIERS if kind in words):
        return words
    return {**{kind: value for kind, value in words.items() if kind not in QUALIFIERS}, "target": name}


def worded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes as words: an age is spelled, a list of findings joined, "both" sides named."""
    words = {k: v for k, v in attributes.items() if k in KINDS and v not in (None, "", [], ())}
    age = words.get("age")
    if isinstance(age, int | float) or (isinstance(age, str) and age.isdigit()):
        words["age"] = f"{spell(int(age))}-year-old" if 0 <= int(age) < 200 else ""
    if isinstance(words.get("pathology"), list | tuple):
        words["pathology"] = ", ".join(words["pathology"])
    if words.get("side") == "both":
        words["side"] = "left and right"
    if "description" not in words:
        row = find_class(str(words.get("target", "")))
        listed = descriptions().get(row.name.lower() if row else "", ())
        words["description"] = [d.text for d in listed]
    return words


def render(template: str, attributes: Mapping[str, Any]) -> str:
    """Return a template filled in: ``"[{number} ]{target}[, located in {location} of the image]"``.

    What stands in brackets goes as a whole where a kind in it is not known. Where the template states the number, the
    target follows it; "a" and "an" follow the next word; a sentence (with a full stop) begins with a capital.

    Raises:
        InputError: a kind that does not exist, one outside of brackets that is not known, or unmatched brackets.
    """
    kinds = _FIELD.findall(template)
    wrong = next((k for k in kinds if k not in KINDS), None)
    if wrong is not None:
        raise InputError(
            f"template: expected kinds among {', '.join(KINDS)}, got {wrong!r}{suggest(wrong, list(KINDS))}"
        )
    if re.search(r"[\[\]{}]", _OPTIONAL.sub("", _FIELD.sub("", template))):
        raise InputError(f"template: expected each bracket to be closed and none inside another, got {template!r}")
    values = {k: _first(v) for k, v in attributes.items() if _first(v)}
    several = "number" in kinds and values.get("number", "one").lower() not in _ONE
    if several or ("side" in kinds and " and " in values.get("side", "")):
        values = _agreeing(values)
    text = _OPTIONAL.sub(lambda m: m[1] if all(k in values for k in _FIELD.findall(m[1])) else "", template)
    missing = next((k for k in _FIELD.findall(text) if k not in values), None)
    if missing is not None:
        raise InputError(f"template: the {missing} is not known; put it into brackets to leave it out then")
    text = _FIELD.sub(lambda m: values[m[1]], text)
    if "," not in values.get("pathology", ","):
        text = text.replace(f"{values['pathology']} are present", f"{values['pathology']} is present")
    text = _ARTICLE.sub(lambda m: m[1] + ("n " if takes_an(m[2]) else " "), text).strip()
    return text[:1].upper() + text[1:] if text.endswith(".") else text


def _texts(template: str, words: Mapping[str, Any]) -> Any:
    """Return one text, or a list with one for each description."""
    listed = words.get("description")
    if "{description}" not in template or not isinstance(listed, list | tuple) or not listed:
        return render(template, words)
    return [render(template, {**words, "description": one}) for one in listed]


def _first(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str(value[0]) if value else ""
    return "" if value is None else str(value)


def _agreeing(values: dict[str, str]) -> dict[str, str]:
    """Return the words with a target, and what is said of it, in the plural."""
    row = find_class(values.get("target", ""))
    name = values.get("target", "")
    if row is None or name.lower() != row.name.lower():
        return values
    described = re.sub(r"^(which|that) is\b", "each of which is", values.get("description", ""))
    changed = {**values, "target": row.plural.lower() if name.islower() else row.plural}
    return {**changed, "description": described} if described else changed
