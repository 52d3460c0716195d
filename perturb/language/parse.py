"""Read a prompt: which attributes it states, each with its exact characters.

Three sources, in this order: slots (frames such as "located in ... of the image"), the sibling prompts of the case, and
the vocabulary inside the noun phrase of the target. What none of them understands stays unattributed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from robustness.errors import InputError
from robustness.limits import limits
from robustness.perturb.language import align
from robustness.perturb.language.grammar.sentence import read_grammar
from robustness.perturb.language.names import names_a_class
from robustness.perturb.language.ontology.terms import find_term, plural_of, spellings
from robustness.perturb.language.parts import read_in_parts
from robustness.perturb.language.reader import Reader
from robustness.perturb.language.template_shape import is_template
from robustness.perturb.modality import canonical_modality
from robustness.types import Prompt


def parse_prompt(
    text: str,
    *,
    siblings: Mapping[str, Any] | None = None,
    modality: str = "",
    attributes: Mapping[str, Any] | None = None,
    target: str = "",
) -> Prompt:
    """Return `text` with the attributes that it states.

    Kinds: target, number, size, colour, shape, texture, margin, signal, pathology, location (in the image), place (in
    the patient), side, direction, relation (with its landmark), description, certainty, negation, measure, and of the
    scan and the patient view, modality, phase, quality, sex, age. Prompts in the shape of the benchmark's templates are
    read by the template reader, all others by the grammar; values may be nested (a side inside a place) and `role`
    tells a landmark's words from the target's, and the denial of another thing ("no ulcer but an erosion") from one of
    the target. What is only said to be normal or absent, and what only tells of the examination, is not
    asked for beside a finding; alone, it is. Limits:
    English; one statement per thing that is asked for.

    Args:
        text: any string of at most ``[limits] text_characters``; nothing in it makes this fail.
        siblings: the prompts of the same case by key, each a text or a list of texts; p(k) against p(k-1) shows values
            that no vocabulary knows.
        modality: "endoscopy", "MRI", ...; in photographs a noun before the target is a shape ("thumb polyp"), elsewhere
            not ("kidney tumor"). Without one, the target's usual modality decides.
        attributes: what the data states of the case; `structure` (or `target`) names the target, `side` that it is
            one of two.
        target: the target's name where it is known otherwise.

    Returns:
        A prompt whose attributes are exact: ``text[a.start:a.stop] == a.value``. Lists such as "top left, center" are
        one value. Words that are not understood carry no attribute.

    Raises:
        InputError: `text` is longer than the limit; the work of reading grows in proportion to the length.

    Examples:
        >>> [(a.kind, a.value) for a in parse_prompt("Left ventricular cavity of oval shape").attributes]
        [('target', 'Left ventricular cavity'), ('shape', 'oval')]
    """
    most = limits().text_characters
    if len(text) > most:
        raise InputError(f"prompt: expected at most {most} characters ([limits] text_characters), got {len(text)}")
    stated = attributes or {}
    name = str(stated.get("structure") or target or "")
    lateral = str(stated.get("side", "")).lower() in ("left", "right", "both")
    return _parse(text, align.chain_of(siblings), name, lateral, modality)


@lru_cache(maxsize=65536)
def _parse(text: str, chain: align.Chain, name: str, lateral: bool, modality: str) -> Prompt:
    if not name and chain is align.EMPTY and not names_a_class(text):
        # The templates name a class of the lexicon, whatever else they hold.
        return Prompt(text, read_grammar(text, modality=canonical_modality(modality), names=()))
    reading = (chain, name, lateral, modality)
    attributes = read_in_parts(text, *reading) or tuple(Reader(text, *reading).read())
    if is_template(text, attributes, is_stated=bool(name or chain.target)):
        return Prompt(text, attributes)
    return Prompt(text, read_grammar(text, modality=canonical_modality(modality), names=_names_of(name, chain.target)))


def kinds_of(prompts: Sequence[Prompt]) -> Iterator[str]:
    """Yield the kinds that `prompts` state, each once, in the order of first appearance."""
    seen: set[str] = set()
    for prompt in prompts:
        for attribute in prompt.attributes:
            if attribute.kind not in seen:
                seen.add(attribute.kind)
                yield attribute.kind


def _names_of(*names: str) -> tuple[str, ...]:
    """Return the names that the data give, without a leading side, in small letters."""
    bare = (re.sub(r"^(?:left|right|both|bilateral|unilateral) (?!ventric|atri)", "", n.lower().strip()) for n in names)
    spelled = dict.fromkeys(n for n in bare if n)
    for name in tuple(spelled):
        term = find_term(name)
        spelled |= dict.fromkeys(s.lower() for s in (spellings(term) if term else (plural_of(name),)))
    return tuple(spelled)
