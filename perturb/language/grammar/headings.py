"""Headings: what stands before a target and is none: an organ before a comma, a statement before a request."""

from __future__ import annotations

import re

from robustness.perturb.language.grammar.attachment import Attachment
from robustness.perturb.language.grammar.modifier_words import after_number
from robustness.perturb.language.grammar.notes import heads_a_name, opens_statement
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import Placed, frame_behind, is_place_phrase
from robustness.perturb.language.grammar.vocabulary import (
    category_of,
    is_adverb,
    is_descriptive,
    is_participle,
    kind_of,
    words,
)
from robustness.perturb.language.ontology.relatives import term_of

# What a text says of the scan, the patient or by a denial stays, whatever is asked for.
_OF_THE_WHOLE = frozenset("measure modality view phase quality age sex negation certainty".split())
# "subpleural", "retrocrural": adjectives that tell where in the patient.
_PLACE_WORD = re.compile(
    r"(?!previous|interstitial|transitional|subtotal|precarious|endoscopic)(?:sub|intra|extra|peri|para|retro|pre|epi|endo|juxta|supra|infra|inter|trans|ante|post|mid|circum)-?\w{2,}"
    r"(?:al|ar|ic|ous|eous|oid|ary)|(?:sub|intra|pre|epi)-(?:rpe|ilm)"
    r"|(?:mid-?|upper-|lower-|inner-|outer-)(?:pole|zone|shaft|body|gland|lobe|thigh|calf|foot|back|abdomen|chest|neck)"
)
_APART_BY = frozenset(",;.")
_IN_COLOUR = frozenset({"dermoscopy", "photograph", "endoscopy"})
_SHADES = frozenset("dark bright darker brighter light".split())
# What a target is said to lie in several of, and what stands between the number and them.
_REGIONS = frozenset("region regions part parts piece pieces".split())
_APART = frozenset("separate distinct single disjoint different individual discrete unconnected disconnected".split())


class Headings(Attachment):
    """Tells headings, measured quantities and earlier statements from what is asked for."""

    def _target(self, phrase: Phrase, hi: int) -> None:
        """Take a phrase as a target."""
        raise NotImplementedError("the class that names targets fills this")

    def _attached(self, i: int, hi: int) -> int:
        """Read "on R" as a side and "in three separate regions" as a number, whatever the words before it name."""
        tokens = self.tagged.tokens
        j = i + 1 + (self.tagged.tags[i + 1 : i + 2] == ["determiner"])
        if self.targets and j < hi and tokens[j].text in ("R", "L") and self.tagged.tags[j + 1 : j + 2] != ["word"]:
            # "worse on R"
            self._add("side", tokens[j].start, tokens[j].stop)
            return j + 1
        last = after_number(self.tagged, j) if j < hi and tokens[i].lower == "in" and self.targets else j
        parts = last
        while parts < hi and tokens[parts].lower in _APART:
            parts += 1
        if last == j or parts >= hi or tokens[parts].lower not in _REGIONS or self._of_a_thing(parts + 1, hi):
            return super()._attached(i, hi)
        self._add("number", tokens[j].start, tokens[last - 1].stop)
        return frame_behind(self.tagged, parts + 1)[0]

    def _of_a_thing(self, i: int, hi: int) -> bool:
        """Tell whether "of the liver" stands at `i`, behind parts that are places then; those of the image are none."""
        return i < hi and self.tagged.tokens[i].lower in ("of", "within") and not frame_behind(self.tagged, i)[1]

    def _has_a_property(self, i: int) -> bool:
        """Tell whether what stands at `i` behind "has" or "shows" is said of the holder: an edge, a state, a denial."""
        if self.tagged.tags[i] == "negation":
            return bool(self.targets)
        phrase = read_phrase(self.tagged, i, len(self.tagged.tokens))
        if phrase.name is None:
            return bool(phrase.mods)
        head = self.tagged.tokens[phrase.name[1] - 1].lower
        if self.targets and self.targets[-1].category == "finding" and head in words("classes.state_noun"):
            # "the node shows loss of its hilum", where an organ that shows calcification only holds it.
            return self.tagged.tags[i] != "determiner"
        return bool(self._noun_kind(phrase)) or head in words("classes.texture_noun")

    def _colour_what_is_dark(self) -> None:
        """Read "dark" and "bright" of what is seen in its own colours as a colour: a "dark mole" has no signal."""
        terms = (term_of(self.text[t.start : t.stop]) for t in self.targets)
        seen = {self.modality} if self.modality else {m for term in terms if term for m in term.modalities}
        if seen and seen <= _IN_COLOUR:
            self.spans = [
                f._replace(kind="colour")
                if f.kind == "signal" and self.text[f.start : f.stop].lower().split(" ")[-1] in _SHADES
                else f
                for f in self.spans
            ]

    def _is_heading(self, phrase: Phrase, hi: int) -> bool:
        """Tell whether a noun before a colon tells where: "left lung: nodule", "inferior hemiretina: haemorrhages"."""
        if phrase.category == "anatomy":
            return self._named_later(phrase.stop + 1)
        more = read_phrase(self.tagged, phrase.stop + 1, hi)
        is_news = more.category in ("finding", "instrument") or any(m.kind in ("size", "number") for m in more.mods)
        return phrase.category == "" and more.name is not None and is_news

    def _was_of_the_scan(self, i: int) -> bool:
        """Tell whether "knee, PD-weighted, coronal:" before the colon at `i` tells only what was imaged."""
        tagged = self.tagged
        if not self.targets or self.is_asked or not {"scan", "patient"} & set(tagged.tags[:i]):
            return False
        if ":" in self.text[: tagged.tokens[i].start] or self.targets[-1].category == "finding":
            return False
        phrase = read_phrase(tagged, i + 1, len(tagged.tokens))
        if tagged.tokens[i].lower != ":":
            return phrase.category == "finding" and not self._excluded(phrase)  # "MRI brain - meningioma"
        return phrase.name is not None and phrase.category not in ("picture", "patient", "generic")

    def _excluded(self, phrase: Phrase) -> bool:
        """Read "tumour excluded" and "appendicitis ruled out": the phrase is denied, not asked for."""
        tagged, j = self.tagged, phrase.stop
        while j < len(tagged.tags) and tagged.tags[j] == "auxiliary":
            j += 1
        if j >= len(tagged.tags) or tagged.tags[j] not in ("negation", "certainty"):
            return False
        last = tagged.spans.get(j, j + 1)
        words = " ".join(t.lower for t in tagged.tokens[j:last])
        if tagged.tags[j] == "certainty":
            return "excluded" in words and bool(self.targets)
        ends = last >= len(tagged.tags) or tagged.tags[last] == "preposition"
        if words == "absent" and not self.targets and ends and not self.is_asked:
            return False  # "lymphovascular invasion absent in the section": nothing else is asked for.
        return words in ("excluded", "ruled out", "absent", "denied", "not seen", "not visible", "is absent") or (
            (words.startswith(("is not", "are not")) or words in ("are absent",))
            and bool(self.targets or self._named_later(last))
        )

    def _is_field_value(self, i: int, phrase: Phrase) -> bool:
        """Tell whether "organ: kidney; ..." only tells where, and "abdomen AP" what the film shows."""
        tokens, marks = self.tagged.tokens, self.tagged.marks
        if phrase.name is None or phrase.stop <= i:
            return False
        key = tokens[i - 2].lower if i > 1 and tokens[i - 1].lower in (":", "=") else ""
        if key in ("organ", "anatomy", "site", "region") and not self.targets:
            return any(t.lower in words("classes.header") for t in tokens[phrase.stop : phrase.stop + 2])
        filmed = phrase.stop in marks and marks[phrase.stop][0].kind == "view"
        return bool(self.targets) and filmed and tokens[i].lower in words("classes.body_part") and phrase.stop == i + 1

    def _names_a_field(self, i: int) -> bool:
        """Tell whether "shoulder, right:", "pole of the kidney:" before the colon at `i` only tell where."""
        single = len(self.targets) == 1 and not self.is_asked
        return single and self.targets[0].category == "anatomy" and heads_a_name(self.tagged, i)

    def _is_aside(self, phrase: Phrase) -> bool:
        """Tell whether one unknown word before all else names nothing: "Optos" image, "sedated", ..."""
        tagged = self.tagged
        if self.targets or phrase.category or not self._named_later(phrase.stop) or phrase.mods:
            return False
        token, after = tagged.tokens[phrase.stop - 1], phrase.stop
        if is_descriptive(token.lower) and token.lower.endswith("ed"):
            return after < len(tagged.tokens) and tagged.tokens[after].lower == ","
        brand = token.text[0].isupper() and token.text[1:].islower()
        return brand and after in tagged.marks and tagged.tags[after] == "scan" and ":" in self.text[token.stop :]

    def _compares_sides(self, i: int, hi: int) -> int:
        """Read "left more than right" at `i` as two sides; return the index after it, or 0."""
        tokens, tags = self.tagged.tokens, self.tagged.tags
        first = i + (tags[i] == "determiner")
        last = first + 3 + (tags[first + 3 : first + 4] == ["determiner"])
        if last >= hi or tokens[first + 2].lower != "than" or not self.targets:
            return 0
        sides = [t for t in (tokens[first], tokens[last]) if kind_of(t.lower) == "side"]
        for token in sides if len(sides) == 2 else ():
            self._add("side", token.start, token.stop)
        return last + 1 if len(sides) == 2 else 0

    def _leads_to_name(self, placed: Placed) -> bool:
        """Tell whether "top left of the picture:" only tells where what is named behind it lies."""
        i = placed.stop_token
        ends = i < len(self.tagged.tokens) and self.tagged.tokens[i].lower in (":", ",", "-", "\u2013")
        return ends and any(s[0] == "location" for s in placed.spans) and self._named_later(i)

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
        """Tell whether "both knees, effusion" asks for the finding, as "enlarged kidney, cyst" does not."""
        tagged, last = self.tagged, self.targets[-1]
        sign = tagged.tokens[phrase.start - 1].lower if phrase.start else ""
        if sign not in (",", ";", "-", "\u2013") or len(self.targets) != 1 or (self.joined and sign != ";"):
            return False
        is_apart = self.is_asked or self.predicate or self.denied or last.category != "anatomy"
        is_apart |= any(f.kind in ("size", "pathology") and f.stop <= last.start for f in self.spans)
        begins = all(tagged.tags[k] == "determiner" for k in range(last.token)) or last.token == 0
        begins = begins or tagged.tokens[last.token - 1].lower == ":"  # "Thyroid: L lobe, nodule"
        ends = phrase.stop == len(tagged.tokens) or tagged.tokens[phrase.stop].lower in (".", ",", ";", "-", "\u2013")
        inner = {tagged.tags[k] for k in range(last.token, phrase.start - 1) if tagged.tokens[k].start >= last.stop}
        measured = inner in ({"measure"}, {"measure", "sign"})  # "Aorta 4.6 cm, thrombus in the arch"
        ends = ends or tagged.tags[phrase.stop] in (("measure", "preposition", "word") if measured else ("measure",))
        between = self.text[last.stop : tagged.tokens[phrase.start - 1].start].strip().lower()
        touches = measured or self._touches(phrase.start - 1) or between in ("(l)", "(r)", "(left)", "(right)")
        return begins and ends and touches and not is_apart and phrase.category == "finding"

    def _turn_to_place(self) -> None:
        """Let what was taken for the target be the place of the target that follows."""
        last = self.targets.pop()
        sides = [f.start for f in self.spans if f.kind in ("side", "direction") and f.stop <= last.start]
        first = min(sides or [last.start])
        of_it = ("side", "direction", "measure")
        self.spans = [f._replace(role="landmark") if f.kind in of_it else f for f in self.spans]
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
        tokens = self.tagged.tokens
        ends = phrase.stop == len(tokens) or not tokens[phrase.stop].is_word
        comma = tokens[phrase.start - 1].lower in (",", ";", "(") or self.tagged.tags[phrase.start - 1] == "measure"
        return ends and comma and bool(_PLACE_WORD.fullmatch(tokens[phrase.start].lower))

    def _is_statement(self, phrase: Phrase) -> bool:
        """Tell whether ", septum thickened" says something of a noun of its own behind a comma."""
        tagged, stop = self.tagged, phrase.stop
        if stop >= len(tagged.tokens) or not phrase.start or tagged.tokens[phrase.start - 1].lower not in _APART_BY:
            return False
        lower = tagged.tokens[stop].lower
        j = stop + is_adverb(lower)
        visible = j < len(tagged.tokens) and tagged.tokens[j].lower in ("visible", "exposed", "present", "seen")
        said = lower in words("classes.state_verb") or lower in words("classes.state_word") or is_participle(lower)
        return visible or tagged.tags[stop] == "negation" or (tagged.tags[stop] == "word" and said)

    def _is_new_target(self, phrase: Phrase) -> bool:
        """Tell whether a phrase beside the targets is one more: joined by "and", asked in a new sentence, or a list."""
        if self.denied:
            return False
        last = self.targets[-1]
        if self.is_asked and not self.fresh and last.token < self._request_index(phrase.start):
            if all(t.token < self._request_index(phrase.start) for t in self.targets):
                self._forget(phrase)
            return True
        head = self.tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
        if self.joined and phrase.category == "" and self.tagged.tokens[phrase.start - 1].lower == ";":
            # "gallstones; the largest measuring 14 mm"
            return False
        if self.joined:
            if "relation" in self.tagged.tags[last.token : phrase.start]:
                return False
            return not (last.category == "finding" and phrase.category == "anatomy")
        before = self.tagged.tokens[phrase.start - 1].lower if phrase.start else ""
        near = before in (",", ";")
        if phrase.category == "finding" and opens_statement(self.tagged, phrase, last):
            return not self.is_asked  # "Prostate enlarged. Lesion in the peripheral zone."
        if near and phrase.part and not phrase.mods and self._is_statement(phrase):
            return False  # "appendix 11 mm, wall enhances": said of the target's own part.
        if near and phrase.category == last.category == "anatomy" and not is_place_phrase(self.tagged, phrase):
            return not self._says_of_another(phrase)
        return near and head == last.head and last.category != ""

    def _says_nothing(self, phrase: Phrase) -> bool:
        """Tell whether one word names nothing: an aside, or how the target before it is: "and enhances", "; bleeds"."""
        head = self.tagged.tokens[phrase.stop - 1].lower
        if not self.targets or phrase.name != (phrase.start, phrase.stop):
            return head in ("post", "pre") or self._is_aside(phrase)
        if not phrase.start or self.tagged.tags[phrase.start - 1] not in ("conjunction", "sign", "pronoun"):
            return False
        verb = head in words("classes.state_verb") or head in words("classes.motion")
        return verb or (not phrase.category and is_participle(head) and "-" not in head)

    def _says_of_another(self, phrase: Phrase) -> bool:
        """Tell whether ", disc pale" at `phrase` says how a thing beside the target is: a property behind its noun."""
        if phrase.name is None or not phrase.start or self.tagged.tokens[phrase.start - 1].lower not in _APART_BY:
            return False
        kinds = ("size", "colour", "shape", "texture", "signal", "margin", "pathology")
        last = self._chars(phrase.name)[1]
        return phrase.name[0] == phrase.start and any(m.start >= last and m.kind in kinds for m in phrase.mods)
