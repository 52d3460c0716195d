"""Read one text by the grammar: the asked noun phrases and what attaches to them."""

from __future__ import annotations

import re
from typing import NamedTuple

from robustness.perturb.language.grammar.noun_phrase import Mod, Phrase, is_participle, is_quoted, read_phrase
from robustness.perturb.language.grammar.places import Placed, is_place_phrase, place_of_phrase, read_location
from robustness.perturb.language.grammar.tagger import Tagged, tag
from robustness.perturb.language.grammar.tokens import tokenize
from robustness.perturb.language.grammar.vocabulary import kind_of, words
from robustness.perturb.language.ontology.terms import find_term, plural_of, spellings
from robustness.types import Attribute

_PLACE_PREPOSITIONS = frozenset("in within inside of on at throughout over into onto upon to from through".split())
_DIMENSIONS = frozenset("shape colour color size form texture appearance outline contour diameter length width".split())
_SHARES = frozenset("third thirds half quarter quarters fifth majority percent % one two three most".split()) - {
    "one",
    "two",
    "three",
}


class Found(NamedTuple):
    """One reading at characters [start, stop)."""

    kind: str
    start: int
    stop: int
    role: str = "target"


class Target(NamedTuple):
    """A noun phrase that is asked for: the characters of its name and its category."""

    start: int
    stop: int
    head: str
    category: str
    index: int


class Grammar:
    """One pass over the tokens of a text; `read` gives the attributes in order."""

    def __init__(self, text: str, *, modality: str = "", names: tuple[str, ...] = ()) -> None:
        self.tagged: Tagged = tag(text)
        self.text = text
        self.modality = modality
        self.stated = _spans_of(self.tagged, names)
        self.found: list[Found] = []
        self.targets: list[Target] = []
        self.is_asked = False
        self.fresh = True
        self.joined = False
        self.denied = False
        self.predicate = False

    def read(self) -> tuple[Attribute, ...]:
        """Return the attributes in the order of the text; some lie inside others (a side inside a place)."""
        i, size = 0, len(self.tagged.tokens)
        while i < size:
            i = max(self._step(i, size), i + 1)
        for t in self.targets:
            self.found.append(Found("target", t.start, t.stop))
        unique = sorted(set(self.found), key=lambda f: (f.start, f.stop, f.kind))
        return tuple(Attribute(f.kind, self.text[f.start : f.stop], f.start, f.stop, f.role) for f in unique)

    def _step(self, i: int, hi: int) -> int:
        """Read what begins at token `i`; return the index after it."""
        tagged = self.tagged
        kind, token = tagged.tags[i], tagged.tokens[i]
        if kind == "sign":
            return self._phrase(i, hi) if is_quoted(tagged, i) else self._sign(i)
        if i in tagged.marks and kind != "measure":
            return self._mark(i)
        if kind in ("measure", "scan", "clock", "level", "patient") and i not in tagged.marks:
            # Inside a mark whose beginning a place has used up.
            return i + 1
        if kind == "measure":
            mark, last = tagged.marks[i]
            # "5 mm polyp" begins a phrase; "polyp, 5 mm" stands behind it.
            if last < hi and tagged.tags[last] in ("word", "level", "measure") and not self._just_named(i):
                return self._phrase(i, hi)
            self._add(mark.kind, mark.start, mark.stop, mark.role)
            return last
        if kind == "request":
            if i + 1 < hi and tagged.tokens[i + 1].lower == "=":
                return i + 2
            if self._is_name_here(i, hi):
                return self._phrase(i, hi)
            self._request()
            return i + 1
        if kind in ("exists", "filler", "pronoun"):
            self.predicate = False
            return i + 1 + (kind == "exists" and token.lower == "there")
        if kind == "auxiliary":
            self.predicate, self.joined = True, False
            if (
                token.lower in ("has", "have")
                and i + 1 < hi
                and tagged.tags[i + 1] not in ("auxiliary", "position", "negation")
            ):
                self._has(i)
            return i + 1
        if kind == "position":
            return self._phrase(i, hi) if self._is_name_here(i, hi) else i + 1
        if kind == "report":
            if self._is_name_here(i, hi):
                return self._phrase(i, hi)
            self._has(i)
            return i + 1
        if kind == "conjunction":
            self.joined = True
            return i + 1
        if kind == "certainty":
            last = tagged.spans.get(i, i + 1)
            self._add("certainty", token.start, tagged.tokens[last - 1].stop)
            return self._certain(i, last, hi)
        if kind == "negation":
            return self._negation(i, hi)
        if kind == "relation" and self.tagged.tokens[i].lower in words("classes.without_value") and self._after_with(i):
            return self._skip(i, hi)
        if kind == "relation":
            return self._relation(i, tagged.spans.get(i, i + 1), hi)
        if kind == "relative":
            return self._clause(i, hi)
        if kind == "preposition":
            return self._attached(i, hi)
        if kind == "with":
            return self._with(i, hi)
        if self.targets and self._is_participle(i, hi):
            return self._relation(i, i + 1 + (tagged.tags[i + 1] in ("preposition", "with")), hi)
        return self._phrase(i, hi)

    def _is_participle(self, i: int, hi: int) -> bool:
        """Tell whether "running the length of", "supplied by" at `i` relate the target to what follows."""
        lower = self.tagged.tokens[i].lower
        if i + 1 >= hi:
            return False
        following = self.tagged.tags[i + 1]
        if lower.endswith("ing") and lower not in words("classes.ing_noun"):
            return following in ("determiner", "preposition", "word")
        return is_participle(lower) and following in ("preposition", "with") and not kind_of(lower)

    # Signs, marks and frames -------------------------------------------------------------------------------------

    def _sign(self, i: int) -> int:
        lower = self.tagged.tokens[i].lower
        self.joined = lower in ("/", "+", "&") or (lower in (";", ")") and bool(self.targets))
        if lower in (".", "?", "!", ";", ":"):
            self.predicate = False
        if lower in ".?!":
            self.fresh, self.denied = True, False
        return i + 1

    def _mark(self, i: int) -> int:
        mark, last = self.tagged.marks[i]
        if mark.kind == "modality" and self._is_bare_frame(i, last):
            return last
        self._add(mark.kind, mark.start, mark.stop, mark.role)
        return last

    def _is_bare_frame(self, i: int, last: int) -> bool:
        """Tell whether "photograph" only names the picture: "in the corner of the photo"."""
        lower = self.tagged.tokens[i].lower
        return last == i + 1 and lower in ("photo", "photos", "photograph", "photographs", "film", "films")

    def _request(self) -> None:
        """A request after a statement asks anew: "The ovary contains a cyst. Segment the cyst"."""
        self.is_asked = True
        self.predicate = False
        if self.fresh and self.targets:
            self.fresh = False

    def _has(self, i: int) -> None:
        """A verb such as "contains": what was named before it only holds what is asked for."""
        joined = i > 0 and self.tagged.tags[i - 1] in ("conjunction", "sign")
        if self.targets and not joined and not self.is_asked and self.targets[-1].index < i and self._same_sentence(i):
            holder = self.targets.pop()
            self.found = [
                f._replace(role="landmark") if f.kind in ("side", "direction") and f.start <= holder.stop else f
                for f in self.found
                if f.kind in ("side", "direction", "modality", "view", "phase", "quality", "age", "sex")
                or f.start > holder.stop
            ]
        self.predicate = False

    def _same_sentence(self, i: int) -> bool:
        first = self.targets[-1].index
        tokens, tags = self.tagged.tokens, self.tagged.tags
        return not any(tokens[k].lower in (".", "?", "!", ",") or tags[k] == "relative" for k in range(first, i))

    def _is_name_here(self, i: int, hi: int) -> bool:
        """Tell whether a verb-like word stands as a noun: after a determiner or a modifier."""
        before = self.tagged.tags[i - 1] if i else ""
        lower = self.tagged.tokens[i].lower
        if (
            lower in words("classes.request_noun")
            and i + 1 < hi
            and self.tagged.tokens[i + 1].lower in ("of", "for", "around")
        ):
            return False
        return before == "determiner"

    def _just_named(self, i: int) -> bool:
        return bool(self.targets) and self.tagged.tags[i - 1] not in ("sign", "determiner", "preposition")

    def _certain(self, i: int, last: int, hi: int) -> int:
        """What follows "suspicious for" is a disease, no target; "cannot be excluded" speaks of what stands before."""
        lower = [t.lower for t in self.tagged.tokens[i:last]]
        if lower[-1] in ("for", "of", "with", "represent", "represents") and self.targets:
            phrase = read_phrase(self.tagged, last, hi)
            self._modify(phrase.mods, "target")
            if phrase.name:
                self._add("pathology", *self._chars(phrase.name))
            return phrase.stop
        if lower[-1] in ("excluded", "exclude") and "not" in "".join(lower):
            self._take_back(i)
        return last

    # Noun phrases ------------------------------------------------------------------------------------------------

    def _phrase(self, i: int, hi: int) -> int:
        phrase = read_phrase(self.tagged, i, hi)
        placed = read_location(self.tagged, phrase, phrase.stop, self.modality) if self.targets else None
        if placed is not None and self._stands_as_place(placed):
            return self._located(placed)
        if (
            phrase.name is None
            and not self.targets
            and phrase.stop < hi
            and self.tagged.tokens[phrase.stop].lower == "of"
        ):
            return self._counted(phrase, hi)
        if phrase.stop <= i or (phrase.name is None and not phrase.mods):
            return max(phrase.stop, i + 1)
        self._assign(phrase, hi)
        after = phrase.stop
        self.joined = False
        return after

    def _stands_as_place(self, placed: Placed) -> bool:
        """Tell whether place words behind a target, without a preposition, are certain: two axes or a named owner."""
        return any(
            kind == "location" or (kind == "side" and "'" in self.text[start:stop])
            for kind, start, stop, _ in placed.found
        )

    def _counted(self, phrase: Phrase, hi: int) -> int:
        """Read "a couple of ..." and "the larger of the two ...": what counts or compares, then the noun behind "of"."""
        self._modify(phrase.mods, "target")
        i = phrase.stop + 1
        while i < hi and self.tagged.tags[i] == "determiner":
            i += 1
        rest = read_phrase(self.tagged, i, hi)
        if rest.name is None:
            return max(rest.stop, i)
        self._assign(rest._replace(mods=tuple(m for m in rest.mods if m.kind != "number")), hi)
        return rest.stop

    def _assign(self, phrase: Phrase, hi: int) -> None:
        """Decide what a noun phrase is: a target, one more, a place, or only modifiers of the last target."""
        tagged = self.tagged
        following = tagged.tokens[phrase.stop].lower if phrase.stop < len(tagged.tokens) else ""
        if phrase.name is None:
            self._bare(phrase)
            return
        head = tagged.tokens[phrase.name[1] - 1].lower
        if following == "=" or phrase.category in ("picture", "patient"):
            if phrase.category != "picture":
                return
            self._modify([m for m in phrase.mods if m.kind == "quality"], "scan")
            return
        if head == "eye" and following == ":":
            self._eye(phrase)
            return
        if self._excluded(phrase):
            return
        if self.stated and not any(a < phrase.name[1] and phrase.name[0] < b for a, b in self.stated):
            # The data state what is asked for: another noun is only beside it.
            if self.targets:
                self._beside(phrase)
            elif following == ":" and phrase.category == "anatomy":
                self._place(phrase)
            return
        if self.targets and not self.joined and self._noun_kind(phrase):
            self._by_noun(phrase)
            return
        if following == ":" and head in words("classes.header") and not self.targets:
            return
        verb = phrase.stop < hi and tagged.tags[phrase.stop] in ("auxiliary", "certainty")
        if phrase.category == "generic" and not self.targets and (verb or following == "of"):
            return
        if head in ("cluster", "clusters", "group", "groups", "patch", "patches", "evidence") and following == "of":
            return
        if head == "eye" and self.targets:
            self._eye(phrase)
            return
        if phrase.category == "generic" and (self.targets or following == ":" or self._place_follows(phrase)):
            self._modify([m for m in phrase.mods if m.kind in ("number", "size", "measure")], "target")
            return
        if self.targets and not self._is_new_target(phrase):
            self._beside(phrase)
            return
        if (
            following == ":"
            and phrase.category == "anatomy"
            and not self.targets
            and self._named_later(phrase.stop + 1)
        ):
            self._place(phrase)
            return
        self._target(phrase, hi)

    def _excluded(self, phrase: Phrase) -> bool:
        """Read "tumour excluded" and "appendicitis ruled out": the phrase is denied, not asked for."""
        i = phrase.stop
        tagged = self.tagged
        j = i
        while j < len(tagged.tags) and tagged.tags[j] == "auxiliary":
            j += 1
        if j >= len(tagged.tags) or tagged.tags[j] not in ("negation", "certainty"):
            return False
        last = tagged.spans.get(j, j + 1)
        said = " ".join(t.lower for t in tagged.tokens[j:last])
        if tagged.tags[j] == "certainty":
            return "excluded" in said and bool(self.targets)
        return said in ("excluded", "ruled out", "absent", "denied", "not seen", "not visible", "is absent") or (
            (said.startswith(("is not", "are not")) or said in ("are absent",))
            and bool(self.targets or self._named_later(last))
        )

    def _named_later(self, i: int) -> bool:
        return any(
            t == "word" and not kind_of(self.tagged.tokens[k].lower) for k, t in enumerate(self.tagged.tags[i:], i)
        )

    def _place_follows(self, phrase: Phrase) -> bool:
        return False

    def _is_new_target(self, phrase: Phrase) -> bool:
        """Tell whether a phrase beside the targets is one more: joined by "and", asked in a new sentence, or a list."""
        if self.denied:
            return False
        last = self.targets[-1]
        if self.is_asked and not self.fresh and last.index < self._request_index(phrase.start):
            if all(t.index < self._request_index(phrase.start) for t in self.targets):
                self.targets.clear()
            return True
        head = self.tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
        if self.joined:
            between = range(last.index, phrase.start)
            if any(self.tagged.tags[k] in ("relation",) for k in between):
                return False
            return not (last.category == "finding" and phrase.category == "anatomy")
        near = phrase.start and self.tagged.tokens[phrase.start - 1].lower in (",", ";")
        if near and phrase.category == last.category == "anatomy" and not is_place_phrase(self.tagged, phrase):
            return True
        return bool(near) and head == last.head and last.category != ""

    def _request_index(self, before: int) -> int:
        return max((k for k in range(before) if self.tagged.tags[k] == "request"), default=-1)

    def _beside(self, phrase: Phrase) -> None:
        """A phrase after the target that is none: a place ("nodule, right upper lobe"), or nothing that is known."""
        last = self.targets[-1]
        if is_place_phrase(self.tagged, phrase) or (phrase.category == "anatomy" and last.category != "anatomy"):
            placed = read_location(self.tagged, phrase, phrase.stop, self.modality)
            if placed is not None:
                self._emit(placed)
                return
            self._place(phrase)
        elif phrase.category == "" and phrase.name and self._noun_kind(phrase):
            self._by_noun(phrase)

    def _bare(self, phrase: Phrase) -> None:
        """Modifiers alone: "indeterminate", "one top left", "roughly circular"."""
        level = [m for m in phrase.mods]
        if self.targets and self.tagged.tokens[phrase.start].lower in ("one", "two", "the") and len(level) > 1:
            level = [m for m in level if m.kind != "number"]
        if self.targets and level and all(m.kind == "number" for m in level):
            return
        self._modify(level, "target")

    def _eye(self, phrase: Phrase) -> None:
        side = [m for m in phrase.mods if m.kind == "side"]
        if side and phrase.name:
            self._add("side", side[0].start, self._chars(phrase.name)[1])

    def _target(self, phrase: Phrase, hi: int) -> None:
        if phrase.name is None:
            return
        start, stop = self._chars(phrase.name)
        mods = phrase.mods
        if phrase.before:
            self._add("place", *phrase.before)
            inside = self.text[phrase.before[0] : phrase.before[1]].split(" ")[0].lower()
            if kind_of(inside) in ("direction", "side"):
                self._add(kind_of(inside), phrase.before[0], phrase.before[0] + len(inside), "landmark")
        self._modify(mods, "target")
        side_like = self.tagged.tokens[phrase.name[0]].lower
        if side_like.startswith(("left-", "right-")):
            start += side_like.index("-") + 1
        head = self.tagged.tokens[phrase.name[1] - 1].lower.removesuffix("(s)")
        self.targets.append(Target(start, stop, head, phrase.category or "", phrase.start))
        self.fresh = False

    # What attaches -----------------------------------------------------------------------------------------------

    def _attached(self, i: int, hi: int) -> int:
        """Read a preposition with its phrase: where the target is, what it is a part of, or how it was imaged."""
        tagged = self.tagged
        word = tagged.tokens[i].lower
        j = i + 1
        while j < hi and tagged.tags[j] == "determiner":
            j += 1
        if j >= hi:
            return j
        while j + 1 in tagged.marks and tagged.tokens[j].lower in words("classes.adverb"):
            j += 1
        if j in tagged.marks and tagged.tags[j] != "measure":
            return self._marked(i, j)
        if word in ("of", "for", "around") and not self.targets:
            # "mask of the prostate": what is asked for stands behind "of".
            return j
        phrase = read_phrase(tagged, j, hi)
        if phrase.stop <= j:
            return j
        placed = read_location(tagged, phrase, phrase.stop, self.modality)
        if placed is not None:
            return self._located(placed)
        if phrase.name is None:
            return self._modifying(word, phrase)
        if not phrase.mods and phrase.name[1] - phrase.name[0] == 1 and tagged.tokens[j].lower in _DIMENSIONS:
            return phrase.stop
        if phrase.category in ("picture", "patient") or (
            not self.targets and word not in ("of",) and self._named_later(phrase.stop)
        ):
            return phrase.stop if phrase.category in ("picture", "patient") or not self.targets else j
        if word == "of" and self.targets and self._touches(i) and self._goes_on(phrase, i):
            return self._extend(phrase, hi)
        noun = self._noun_kind(phrase)
        if noun and word in ("of", "in") and self.targets:
            self._by_noun(phrase)
            return phrase.stop
        if word in _PLACE_PREPOSITIONS and self.targets and phrase.category != "generic":
            return self._place(phrase, hi)
        return phrase.stop

    def _marked(self, i: int, j: int) -> int:
        mark, last = self.tagged.marks[j]
        if mark.group == "level" and last < len(self.tagged.tags) and self.tagged.tags[last] == "word":
            pass
        return self._mark(j)

    def _located(self, placed: Placed) -> int:
        self._emit(placed)
        return placed.stop_token

    def _modifying(self, word: str, phrase: Phrase) -> int:
        for mod in phrase.mods:
            if mod.kind in ("side", "location", "measure") or mod.kind != "number":
                self._add(mod.kind, mod.start, mod.stop)
        return phrase.stop

    def _touches(self, i: int) -> bool:
        """Tell whether the last target's name ends right before token `i`."""
        return self.targets[-1].stop == self.tagged.tokens[i - 1].stop

    def _goes_on(self, phrase: Phrase, i: int) -> bool:
        """Tell whether "of ..." goes on naming the target: a part of something, or an eponym."""
        last = self.targets[-1]
        token = self.tagged.tokens[phrase.start]
        if token.text[:1].isupper() and not token.text.isupper() and self.tagged.tags[i + 1] != "determiner":
            return len(self.text) > 0 and not self.text.isupper() and phrase.category != "finding"
        if last.category == "finding":
            return last.head in ("front", "edge", "margin", "core")
        return last.head in words("classes.part") or last.category == "anatomy"

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

    def _place(self, phrase: Phrase, hi: int | None = None) -> int:
        """Take a phrase, with what it is a part of, as the place in the patient; its sides are the landmark's."""
        placed = place_of_phrase(self.tagged, phrase, len(self.tagged.tokens) if hi is None else hi)
        self._emit(placed)
        return placed.stop_token

    def _emit(self, placed: Placed) -> None:
        for kind, start, stop, role in placed.found:
            self._add(kind, start, stop, role)

    def _relation(self, i: int, last: int, hi: int) -> int:
        """Read relating words with their landmark as one value; a direction inside it is one of its own."""
        tagged = self.tagged
        first = tagged.tokens[i]
        if first.lower in ("left", "right") and self._is_frame_side(i, last):
            for k in range(i, last):
                tagged.tags[k] = "word" if k == i else "preposition"
            return self._phrase(i, hi)
        if kind_of(first.lower) == "direction" or first.lower in ("contralateral", "ipsilateral"):
            kind = kind_of(first.lower)
            self._add(kind, first.start, first.stop)
        return self._landmark(i, last, hi)

    def _is_frame_side(self, i: int, last: int) -> bool:
        """Tell whether "left of" speaks of the picture: "the left of the photo", "right of centre"."""
        after = {t.lower for t in self.tagged.tokens[last - 1 : last + 2]}
        return bool(after & (words("classes.picture") | {"centre", "center", "midline"}))

    def _landmark(self, i: int, last: int, hi: int) -> int:
        tagged = self.tagged
        phrase = read_phrase(tagged, last, hi)
        if phrase.category == "picture":
            return phrase.stop
        location = read_location(tagged, phrase, phrase.stop, self.modality) if phrase.stop > last else None
        if location is not None and any(f[0] == "location" for f in location.found):
            self._emit(location)
            return location.stop_token
        first_word = tagged.tokens[i].lower
        placed = place_of_phrase(tagged, phrase, hi) if phrase.stop > last else None
        stop = placed.stop_token if placed else last
        between = "between" in {t.lower for t in tagged.tokens[i:last]}
        while between and stop < hi - 1 and tagged.tags[stop] == "conjunction":
            more = read_phrase(tagged, stop + 1, hi)
            if more.name is None:
                break
            rest = place_of_phrase(tagged, more, hi)
            self._nested(rest)
            stop, between = rest.stop_token, False
        while (
            stop < hi and kind_of(tagged.tokens[stop].lower) == "direction" and tagged.tokens[stop].lower.endswith("ly")
        ):
            self._add("direction", tagged.tokens[stop].start, tagged.tokens[stop].stop, "landmark")
            stop += 1
        if (
            stop < hi
            and tagged.tokens[stop - 1].lower in ("bright", "dark", "small", "large")
            and tagged.tokens[stop].lower == "ones"
        ):
            stop += 1
        if (
            first_word in ("filled", "lined", "stained", "coated", "covered")
            and phrase.name
            and self._noun_kind(phrase)
        ):
            self._add(self._noun_kind(phrase), tagged.tokens[i].start, tagged.tokens[stop - 1].stop)
            return stop
        kind, stop = self._extent_kind(last, max(stop, last), hi)
        if self.targets:
            self._add(kind, tagged.tokens[i].start, tagged.tokens[max(stop, last) - 1].stop)
        if placed:
            self._nested(placed)
            directed = any(m.kind in ("direction", "side") for m in phrase.mods)
            of = phrase.stop < hi and tagged.tokens[phrase.stop].lower == "of"
            if kind == "relation" and phrase.part and directed and of:
                self._emit(placed)
        return max(stop, last)

    def _extent_kind(self, first: int, stop: int, hi: int) -> tuple[str, int]:
        """Return the kind of "occupying a third of ..." (a measure) or "running the length of ..." (a description)."""
        tagged = self.tagged
        said = {t.lower for t in tagged.tokens[first:stop]}
        if stop < hi and tagged.tokens[stop].lower == "by":
            end = stop + 1
            while end < hi and (tagged.tags[end] in ("determiner", "measure") or tagged.tokens[end].lower in _SHARES):
                end += 1
            if end > stop + 1:
                return "measure", end
        if said & _SHARES and not said & {"lower", "upper", "middle", "distal", "proximal", "left", "right"} - {
            "left",
            "right",
        }:
            return "measure", stop
        if said & {"width", "length", "height", "extent", "diameter"}:
            return "description", stop
        return "relation", stop

    def _nested(self, placed: Placed) -> None:
        for kind, start, stop, _ in placed.found:
            if kind in ("side", "direction"):
                self._add(kind, start, stop, "landmark")

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
        self._add("description", tagged.tokens[first_token].start, tagged.tokens[phrase.stop - 1].stop)
        return self._and_with(phrase.stop, hi)

    def _and_with(self, i: int, hi: int) -> int:
        """Go on behind "with ... and": what is joined belongs to "with" too."""
        if i + 1 < hi and self.tagged.tags[i] == "conjunction" and self.tagged.tags[i + 1] in ("word", "determiner"):
            return self._with(i, hi)
        return i

    def _skip(self, i: int, hi: int) -> int:
        """Return the index of the next sign or clause: what lies between tells of another thing."""
        while i < hi and self.tagged.tags[i] not in ("sign", "relative", "scan", "patient"):
            if self.tagged.tokens[i].lower in ("in", "on", "at", "within"):
                break
            i += 1
        return i

    def _noun_kind(self, phrase: Phrase) -> str:
        if phrase.name is None:
            return ""
        head = self.tagged.tokens[phrase.name[1] - 1].lower
        for kind in ("margin", "texture", "signal", "shape", "colour", "size"):
            if head in words(f"classes.{kind}_noun"):
                adjective = any(m.kind not in ("side", "direction", "number", "place", "measure") for m in phrase.mods)
                if head in words("classes.edge_of_body"):
                    return kind if adjective else ""
                return kind if phrase.mods or phrase.name[1] - phrase.name[0] > 1 else ""
        return ""

    def _by_noun(self, phrase: Phrase) -> None:
        """Take "irregular margins" as a margin: the words before the noun, and the noun."""
        kind = self._noun_kind(phrase)
        if phrase.name is None:
            return
        starts = [m.start for m in phrase.mods if m.kind not in ("number",)]
        start = min([*starts, self._chars(phrase.name)[0]])
        stop = self._chars(phrase.name)[1]
        if kind in ("shape", "colour", "size", "texture") and phrase.mods:
            for mod in phrase.mods:
                self._add(mod.kind, mod.start, mod.stop)
            return
        self._add(kind, start, stop)

    def _clause(self, i: int, hi: int) -> int:
        """Read "which is ...": as modifiers where it holds nothing else, as a description where it names something."""
        tagged = self.tagged
        word = tagged.tokens[i].lower
        j = i + 1
        while j < hi and tagged.tags[j] in ("auxiliary", "position"):
            j += 1
        if j < hi and tagged.tags[j] in ("certainty", "preposition", "relation", "measure", "scan", "negation"):
            return j
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

    # Denials -----------------------------------------------------------------------------------------------------

    def _negation(self, i: int, hi: int) -> int:
        """Read a denial: before the first target it denies that, behind one it denies a companion."""
        tagged = self.tagged
        token = tagged.tokens[i]
        last = tagged.spans.get(i, i + 1)
        said = " ".join(t.lower for t in tagged.tokens[i:last])
        if said == "not" and self.predicate and not self.targets:
            return last
        if said == "not" and last < hi and tagged.tags[last] in ("certainty", "relation"):
            return last
        phrase = read_phrase(tagged, last, hi)
        if not self.targets and said == "no":
            self._add("number", token.start, token.stop)
            return last
        self._add("negation", token.start, tagged.tokens[last - 1].stop)
        if not self.targets and said not in ("excluded", "ruled out", "is absent", "absent"):
            return last
        if said in (
            "excluded",
            "ruled out",
            "absent",
            "is absent",
            "are absent",
            "is not seen",
            "are not seen",
            "not seen",
        ):
            return last
        return self._skip(phrase.stop, hi)

    def _take_back(self, i: int) -> None:
        """Forget a last target that "cannot be excluded" speaks of, where another was asked for before it."""
        if len(self.targets) > 1 and self._same_sentence(i):
            self.targets.pop()

    def _after_with(self, i: int) -> bool:
        """Tell whether "surrounding" at `i` names a companion: "with surrounding cellulitis"."""
        return i > 0 and self.tagged.tags[i - 1] == "with"

    # Small help --------------------------------------------------------------------------------------------------

    def _chars(self, name: tuple[int, int]) -> tuple[int, int]:
        tokens = self.tagged.tokens
        last = tokens[name[1] - 1]
        stop = last.stop - (len(last.text) - len(last.lower.removesuffix("(s)")))
        return tokens[name[0]].start, stop

    def _modify(self, mods: list[Mod] | tuple[Mod, ...], role: str) -> None:
        for mod in mods:
            self._add(mod.kind, mod.start, mod.stop, role)

    def _add(self, kind: str, start: int, stop: int, role: str = "target") -> None:
        if stop > start:
            self.found.append(Found(kind, start, stop, role))


def _spans_of(tagged: Tagged, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the tokens [first, last) where one of `names` stands."""
    lower = [t.lower for t in tagged.tokens]
    found = []
    for parts in (tuple(t.lower for t in tokenize(name)) for name in names):
        size = len(parts)
        found += [(i, i + size) for i in range(len(lower) - size + 1) if size and tuple(lower[i : i + size]) == parts]
    return tuple(found)


def read_grammar(text: str, *, modality: str = "", names: tuple[str, ...] = ()) -> tuple[Attribute, ...]:
    """Return the attributes of `text` by the grammar; see `parse_prompt` for the kinds.

    Args:
        text: any string.
        modality: the picture's kind, which decides what "on the left" means.
        names: the target's names where the data state them; they win over what the words suggest.
    """
    return Grammar(text, modality=modality, names=names).read()


def names_of(*names: str) -> tuple[str, ...]:
    """Return the names that the data give, without a leading side, in small letters."""
    bare = (re.sub(r"^(?:left|right|both|bilateral|unilateral) (?!ventric|atri)", "", n.lower().strip()) for n in names)
    found = dict.fromkeys(n for n in bare if n)
    for name in tuple(found):
        term = find_term(name)
        found |= dict.fromkeys(s.lower() for s in (spellings(term) if term else (plural_of(name),)))
    return tuple(found)
