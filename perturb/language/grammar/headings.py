"""Headings: what stands before a target and is none: an organ before a comma, a statement before a request."""

from __future__ import annotations

import re

from robustness.perturb.language.grammar.attachment import Attachment
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb

# What a text says of the scan, the patient or by a denial stays, whatever is asked for.
_OF_THE_WHOLE = frozenset("measure modality view phase quality age sex negation certainty".split())
# "subpleural", "retrocrural": adjectives that tell where in the patient.
_PLACE_WORD = re.compile(
    r"(?!previous|interstitial|transitional|subtotal|precarious|endoscopic)(?:sub|intra|extra|peri|para|retro|pre|epi|endo|juxta|supra|infra|inter|trans|ante|post|mid|circum)-?\w{2,}"
    r"(?:al|ar|ic|ous|eous|oid|ary)"
)


class Headings(Attachment):
    """Tells headings, measured quantities and earlier statements from what is asked for."""

    def _target(self, phrase: Phrase, hi: int) -> None:
        """Take a phrase as a target."""
        raise NotImplementedError("the class that names targets fills this")

    def _is_heading(self, phrase: Phrase, hi: int) -> bool:
        """Tell whether a noun before a colon tells where: "left lung: nodule", "inferior hemiretina: haemorrhages"."""
        if phrase.category == "anatomy":
            return self._named_later(phrase.stop + 1)
        more = read_phrase(self.tagged, phrase.stop + 1, hi)
        return phrase.category == "" and more.name is not None and more.category in ("finding", "instrument")

    def _is_measured(self, i: int) -> bool:
        """Tell whether a figure follows: "thickness 12 mm", "angle of 32 degrees"."""
        tagged = self.tagged
        while i < len(tagged.tokens) and (
            tagged.tokens[i].lower in ("of", ":", "=", "is", "was", "measures") or is_adverb(tagged.tokens[i].lower)
        ):
            i += 1
        return i < len(tagged.tokens) and tagged.tags[i] == "measure"

    def _measured(self, phrase: Phrase, hi: int) -> None:
        """A measured quantity is no target; the structure that it is measured of is one: "aortic valve area 1 cm2"."""
        if phrase.name is None or self.targets:
            return
        self.measured = True
        first, last = phrase.name
        if last - first > 1 and category_of(self.tagged.tokens[last - 2].lower):
            self._target(phrase._replace(name=(first, last - 1)), hi)

    def _tells_of_a_place(self, phrase: Phrase) -> bool:
        """Tell whether "both knees, effusion" asks for the finding: the organ before the comma tells where it is."""
        tagged, last = self.tagged, self.targets[-1]
        sign = tagged.tokens[phrase.start - 1].lower if phrase.start else ""
        if sign not in (",", ";", "-", "\u2013") or len(self.targets) != 1 or (self.joined and sign != ";"):
            return False
        if self.is_asked or self.predicate or self.denied:
            return False
        begins = all(tagged.tags[k] == "determiner" for k in range(last.token)) or last.token == 0
        ends = phrase.stop == len(tagged.tokens) or tagged.tokens[phrase.stop].lower in (".", ",", ";", "-", "\u2013")
        touches = self._touches(phrase.start - 1)
        return begins and ends and touches and last.category == "anatomy" and phrase.category == "finding"

    def _turn_to_place(self) -> None:
        """Let what was taken for the target be the place of the target that follows."""
        last = self.targets.pop()
        first = min(
            [f.start for f in self.spans if f.kind in ("side", "direction") and f.stop <= last.start] or [last.start]
        )
        self.spans = [f._replace(role="landmark") if f.kind in ("side", "direction") else f for f in self.spans]
        self._add("place", first, last.stop)

    def _forget(self, phrase: Phrase) -> None:
        """A request names another thing than the statement before it: what that said was not of the target."""
        head = self.tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
        again = any(t.head == head for t in self.targets)
        self.targets.clear()
        if again:
            return
        asked = self.tagged.tokens[self._request_index(phrase.start)].start
        stays = [f for f in self.spans if f.kind in _OF_THE_WHOLE or f.start > asked]
        denials = [
            f._replace(kind="negation")
            for f in self.spans
            if f.kind == "number" and f.start < asked and self.text[f.start : f.stop].lower() == "no"
        ]
        self.spans = [*stays, *denials]

    def _is_place_word(self, phrase: Phrase) -> bool:
        """Tell whether "subpleural" stands alone behind a comma: an adjective that tells where."""
        if phrase.name is None or phrase.mods or phrase.name[1] - phrase.name[0] != 1:
            return False
        ends = phrase.stop == len(self.tagged.tokens) or not self.tagged.tokens[phrase.stop].is_word
        comma = self.tagged.tokens[phrase.start - 1].lower in (",", ";")
        return ends and comma and bool(_PLACE_WORD.fullmatch(self.tagged.tokens[phrase.start].lower))
