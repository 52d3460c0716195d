"""Attachment: prepositions, "with ..." and relative clauses behind a target."""

from __future__ import annotations

import re

from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import Placed, frame_behind, read_location, sweep_at
from robustness.perturb.language.grammar.relations import Relations
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.vocabulary import is_adverb, words

_PLACE_PREPOSITIONS = frozenset("in within inside of on at throughout over into onto upon to from through".split())
_DIMENSIONS = frozenset(
    "shades tones shape colour color size form texture appearance outline contour diameter length width".split()
)
_NO_PLACES = frozenset("axes dimensions directions limit limits rest least risk disease syndrome dementia".split())
_FRAMED = re.compile(r"(?:\s+(?:half|third|part|side|quarter))?[\s,]*(?:to|on|towards?)?\s*(?:the)?\s*", re.IGNORECASE)


def _run_to_patient(tagged: Tagged, i: int, hi: int) -> int:
    """Return the index of the patient's mark in "of a premature infant", where only words lead to it; else `i`."""
    j = i
    while j < min(hi, i + 3) and tagged.tags[j] == "word" and j not in tagged.name_at:
        j += 1
    return j if j < hi and j > i and j in tagged.marks and tagged.tags[j] == "patient" else i


class Attachment(Relations):
    """Reads what a preposition, "with" or "which" attaches to the last target."""

    def _attached(self, i: int, hi: int) -> int:
        """Read a preposition with its phrase: where the target is, what it is a part of, or how it was imaged."""
        tagged = self.tagged
        word = tagged.tokens[i].lower
        j = i + 1
        while j < hi and tagged.tags[j] == "determiner":
            j += 1
        if j >= hi:
            return j
        while j + 1 in tagged.marks and is_adverb(tagged.tokens[j].lower):
            j += 1
        if j in tagged.marks and tagged.tags[j] != "measure":
            return self._attached_mark(j, hi)
        if word == "from" and (stop := sweep_at(tagged, j, hi)) > j:
            self._add("location", tagged.tokens[j].start, tagged.tokens[stop - 1].stop)
            return stop
        before_person = _run_to_patient(tagged, j, hi)
        if before_person > j:
            return before_person
        if word in ("of", "for", "around") and not self.targets and not self._follows_a_scan(i):
            # "mask of the prostate": what is asked for stands behind "of".
            return j
        phrase = read_phrase(tagged, j, hi)
        if phrase.stop <= j:
            return j
        if word == "from" and i and tagged.tags[i - 1] == "measure":
            # "2 cm from the nipple": a distance, no place.
            edge = read_location(tagged, phrase, phrase.stop, self.modality)
            framed = edge is not None and any(s[0] == "location" for s in edge.spans)
            return self._located(edge) if edge is not None and framed else phrase.stop
        placed = read_location(tagged, phrase, phrase.stop, self.modality)
        if placed is not None:
            return self._located(placed)
        if phrase.name is None:
            return self._modifying(word, phrase)
        return self._attached_name(i, j, phrase, hi)

    def _attached_mark(self, j: int, hi: int) -> int:
        """Read a figure behind a preposition: a level of the spine, an hour of a lumen, a part of a picture."""
        tagged = self.tagged
        mark, last = tagged.marks[j]
        if tagged.tags[j] == "level" and last < hi and (frame := frame_behind(tagged, last))[1]:
            # "in quadrant II of the image"
            self._add("location", mark.start, mark.stop)
            return frame[0]
        stop = self._mark(j)
        clock = tagged.tags[j] == "clock" and stop < hi and tagged.tokens[stop].lower in words("classes.part")
        if tagged.tags[j] == "clock" and [t.lower for t in tagged.tokens[stop : stop + 3]] == ["of", "the", "lumen"]:
            return stop + 3
        # "at the 9 o'clock wall"
        return stop + clock

    def _attached_name(self, i: int, j: int, phrase: Phrase, hi: int) -> int:
        """Read a preposition at `i` with the name behind it: a place, what goes on naming the target, or nothing."""
        tagged = self.tagged
        word = tagged.tokens[i].lower
        if phrase.name is None or (not phrase.category and tagged.tags[phrase.stop : phrase.stop + 1] == ["scan"]):
            # "on high-field MRI": a word before the scan's name.
            return phrase.stop
        own = phrase.part and tagged.tokens[i + 1].lower in ("its", "their")
        last = tagged.tokens[phrase.stop - 1].lower
        if self.targets and (own or last in _NO_PLACES or (last == "side" and phrase.stop == j + 1)):
            # "pigmented at its edge": of the target itself; "at the upper limit of normal"
            return phrase.stop
        if not phrase.mods and phrase.name[1] - phrase.name[0] == 1 and tagged.tokens[j].lower in _DIMENSIONS:
            return phrase.stop
        if not self.targets:
            return self._before_a_target(i, j, phrase, hi)
        if phrase.category in ("picture", "patient"):
            return phrase.stop
        if word == "of" and tagged.tags[i - 1] == "measure":
            # "tumour, 60% of the gland"
            return phrase.stop
        if word == "of" and self._touches(i) and self._counts_what(phrase):
            # "a nest of about 20 cells": the cells are what is asked for.
            self.targets.pop()
            return j
        if word == "of" and self._touches(i) and self._goes_on(phrase, i):
            return self._extend(phrase, hi)
        noun = self._noun_kind(phrase)
        if noun and word in ("of", "in"):
            self._by_noun(phrase)
            return phrase.stop
        if word in ("over", "onto", "upon") and phrase.category != "anatomy" and not phrase.part:
            # "a veil over a network": a finding is no place.
            return self._landmark(i, i + 1, hi)
        placed_part = any(m.kind in ("place", "direction") for m in phrase.mods)
        if word in _PLACE_PREPOSITIONS and (phrase.category != "generic" or placed_part):
            return self._place(phrase, hi)
        return phrase.stop

    def _before_a_target(self, i: int, j: int, phrase: Phrase, hi: int) -> int:
        """Return where to read on behind a preposition at `i` with no target yet: at its phrase (`j`), or behind it."""
        if self.tagged.tokens[i].lower == "of":
            self._eye(phrase)
            return phrase.stop if self._is_field(i, phrase, hi) else j
        if self.measured and phrase.category not in ("picture", "patient"):
            # "thickness of 1 mm in the carotid artery"
            return j
        imaged = phrase.category == "anatomy" and self.tagged.tokens[i].lower in ("through", "across")
        if (phrase.category == "finding" or imaged) and not self._named_later(phrase.stop):
            # "features suspicious of malignancy in this nodule", "M-mode through the valve"
            return j
        return self._fronted(i, phrase, hi)

    def _follows_a_scan(self, i: int) -> bool:
        tags, before = self.tagged.tags, self.tagged.tokens[i - 1].lower if i else ""
        return i > 0 and (
            tags[i - 1] == "scan" or (i > 1 and tags[i - 2] == "scan" and before in words("classes.picture"))
        )

    def _is_field(self, i: int, phrase: Phrase, hi: int) -> bool:
        """Tell whether "dermoscopy of the sole, ridges" names what was imaged before it names what is asked for."""
        tagged = self.tagged
        if not self._follows_a_scan(i) or phrase.stop >= hi - 1 or tagged.tags[phrase.stop] != "sign":
            return False
        k = phrase.stop + 1
        while k < hi - 1 and tagged.tags[k] in ("sign", "patient", "scan"):
            k += 1
        more = read_phrase(tagged, k, hi)
        asked = more.category in ("finding", "anatomy", "instrument") or tagged.tokens[k - 1].lower == ":"
        asked = asked or (more.category == "" and k == phrase.stop + 1)
        return more.name is not None and asked

    def _counts_what(self, phrase: Phrase) -> bool:
        counted = any(m.kind == "number" for m in phrase.mods) and phrase.category not in ("picture", "patient")
        return counted and self.targets[-1].head not in words("classes.part")

    def _located(self, placed: Placed) -> int:
        before = self.spans[-1] if self.spans else None
        if before is not None and before.kind == "location" and placed.spans and placed.spans[0][0] == "side":
            _, start, stop, role = placed.spans[0]
            if "'" not in self.text[start:stop] and _FRAMED.fullmatch(self.text[before.stop : start]):
                # "off-centre to the right"
                placed = placed._replace(spans=(("location", start, stop, role),))
        last, places = self.tagged.tokens[placed.stop_token - 1], [f for f in self.spans if f.kind == "place"]
        if places and placed.spans and placed.spans[0][0] == "location":
            start = placed.spans[0][1]
            if last.lower in ("third", "half", "part", "portion") and self.text[places[-1].stop : start].strip() == ",":
                # "left thyroid lobe, upper third"
                placed = placed._replace(spans=(("place", start, last.stop, "target"),))
        self._emit(placed)
        return placed.stop_token

    def _modifying(self, word: str, phrase: Phrase) -> int:
        for mod in phrase.mods:
            if mod.kind in ("side", "location", "measure") or mod.kind != "number":
                self._add(mod.kind, mod.start, mod.stop)
        return phrase.stop

    def _goes_on(self, phrase: Phrase, i: int) -> bool:
        """Tell whether "of ..." goes on naming the target: a part of something, or an eponym."""
        last = self.targets[-1]
        token = self.tagged.tokens[phrase.start]
        bare = self.tagged.tags[i + 1] != "determiner"
        if token.text[:1].isupper() and not token.text.isupper() and bare:
            return len(self.text) > 0 and not self.text.isupper() and phrase.category != "finding"
        findings = last.category == phrase.category == "finding" and not phrase.mods
        if findings and bare and not self.tagged.tokens[phrase.stop - 1].lower.endswith(("oses", "ases")):
            # "focus of gas", "collection of pus": what it is made of.
            return True
        if last.category == "finding":
            return last.head in ("front", "edge", "margin", "core")
        definite = not bare or last.head in ("line", "lines", "plane", "track")
        if last.category == "" and phrase.category == "finding" and definite:
            # "extension of the abscess", "line of fracture"
            return True
        is_act = last.head.endswith(("ment", "ion", "ing", "ity", "ness", "ance", "ence"))
        if (
            last.category == ""
            and not is_act
            and any(f.kind == "direction" and f.stop + 1 == last.start for f in self.spans)
        ):
            # "the anterior blorf of the valve": what has a front is a part.
            return True
        made_of = self.tagged.tokens[phrase.stop - 1].lower.endswith(("cells", "tissue", "cytes", "blasts", "phages"))
        return last.head in words("classes.part") or last.category == "anatomy" or (last.category == "" and made_of)

    def _extend(self, phrase: Phrase, hi: int) -> int:
        """Let the target's name reach over "of the ..." and what that is a part of."""
        stop = phrase.stop
        self._modify([m for m in phrase.mods if m.kind in ("side", "direction")], "target")
        end = self._chars(phrase.name)[1] if phrase.name else self.tagged.tokens[stop - 1].stop
        last = self.targets.pop()
        self.targets.append(last._replace(stop=end))
        while stop < hi and self.tagged.tokens[stop].lower == "of":
            more = read_phrase(self.tagged, stop + 1, hi)
            if more.name is None or more.category in ("picture", "patient"):
                break
            self._modify([m for m in more.mods if m.kind in ("side", "direction")], "target")
            stop = more.stop
            self.targets[-1] = self.targets[-1]._replace(stop=self._chars(more.name)[1])
        return stop

    def _with(self, i: int, hi: int) -> int:
        """Read "with irregular margins" by its noun; any other "with ..." describes, unless it names a companion."""
        tagged = self.tagged
        phrase = read_phrase(tagged, i + 1, hi)
        if phrase.stop <= i + 1:
            return i + 1
        if phrase.name is None:
            self._modify(phrase.mods, "target")
            return self._and_with(phrase.stop, hi)
        if not self.targets:
            if self._named_later(i + 1):
                return i + 1
            return phrase.stop
        if self._noun_kind(phrase):
            self._by_noun(phrase)
            return self._and_with(phrase.stop, hi)
        first = tagged.tokens[phrase.name[0]].lower
        opening = {tagged.tokens[k].lower for k in range(phrase.start, phrase.name[0] + 1)}
        if opening & words("classes.without_value") or first in words("classes.without_value"):
            return self._skip(phrase.stop, hi)
        if tagged.tags[i + 1] == "determiner" and tagged.tokens[i + 1].lower == "the":
            return self._skip(phrase.stop, hi)
        first_token = i if tagged.tags[i] == "with" else phrase.start
        stop = phrase.stop
        if [t.lower for t in tagged.tokens[stop : stop + 2]] == ["to", "the"] and stop + 2 < hi:
            # "with tracheal deviation to the left"
            ends = stop + 3 >= hi or tagged.tokens[stop + 3].lower != "of"
            stop += 3 * (ends and tagged.tokens[stop + 2].lower in ("left", "right"))
        stop = self._with_of(stop, hi)
        self._add("description", tagged.tokens[first_token].start, tagged.tokens[stop - 1].stop)
        return self._and_with(stop, hi)

    def _with_of(self, stop: int, hi: int) -> int:
        """Return where "with blunting of the costophrenic angle" ends: what is described goes on behind "of"."""
        while stop < hi - 1 and self.tagged.tokens[stop].lower == "of":
            more = read_phrase(self.tagged, stop + 1, hi)
            if more.name is None or more.category in ("picture", "patient"):
                break
            stop = more.stop
        return stop

    def _and_with(self, i: int, hi: int) -> int:
        """Go on behind "with ... and": what is joined belongs to "with" too."""
        if i + 1 < hi and self.tagged.tags[i] == "conjunction" and self.tagged.tags[i + 1] in ("word", "determiner"):
            return self._with(i, hi)
        return i

    def _clause(self, i: int, hi: int) -> int:
        """Read "which is ...": as modifiers where it holds nothing else, as a description where it names something."""
        tagged = self.tagged
        word = tagged.tokens[i].lower
        j = i + 1
        while j < hi and tagged.tags[j] in ("auxiliary", "position"):
            j += 1
        if j < hi and tagged.tags[j] in ("certainty", "preposition", "relation", "measure", "scan", "negation"):
            return j
        if word == "whose" and self.targets:
            return self._of_whose(i + 1, hi)
        if not self.targets or word == "where" or j == i + 1:
            return i + 1
        phrase = read_phrase(tagged, j, hi)
        if phrase.name is None and phrase.mods:
            return j
        if read_location(tagged, phrase, phrase.stop, self.modality) is not None:
            return j
        stop = j
        while stop < hi and tagged.tokens[stop].lower not in (",", ".", ";", ":", "?") and tagged.tags[stop] != "scan":
            if tagged.tags[stop] == "position" and tagged.tokens[stop].lower in ("located", "situated"):
                break
            stop += 1
        if stop > j:
            self._add("description", tagged.tokens[i].start, tagged.tokens[stop - 1].stop)
        return stop
