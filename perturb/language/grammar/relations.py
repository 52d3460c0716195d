"""Relations: where the target is with respect to another thing, how much of it it fills, what disease it may be."""

from __future__ import annotations

import re
from typing import NamedTuple

from robustness.perturb.language.grammar.modifier_words import LEVELS, Mod
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import Placed, place_of_phrase, read_location
from robustness.perturb.language.grammar.state import Found, Reading
from robustness.perturb.language.grammar.vocabulary import is_adverb, kind_of, words

_OFF = frozenset("below above beneath under over left right".split())
_SHARES = frozenset("third thirds half quarter quarters fifth fifths tenth majority percent % most".split())
_TIME = re.compile(r"\b(?:day|week|month|year|yr|hour|hr|minute|min)s?\b", re.IGNORECASE)
_FINDS = frozenset("confirmed suspected proved confirms favoured favored".split())
_LEADING = frozenset(
    "? c/w for of with represent represents representing be as suggesting denoting reflecting deemed question".split()
)
_STATES = frozenset("malignancy cancer metastasis metastases infection inflammation neoplasia benignity".split())
_SHARE_NUMBERS = frozenset("one two three four".split())


def _needs_a_landmark(word: str) -> bool:
    """Tell whether relating words that end so say nothing alone: "6 mm across", "erosions around it"."""
    return word in ("across", "around", "along", "over", "under", "above", "below", "through", "between", "to", "from")


class Rest(NamedTuple):
    """What is left of a text, and the words that deny in what is left out."""

    text: str
    denials: tuple[Found, ...]
    contrasts: bool  # "but" leads on to the rest, which is asked for then, whatever it is.
    lists: bool  # Only a comma parts the two.


class Relations(Reading):
    """Reads relating words with their landmark."""

    def _relation(self, i: int, last: int, hi: int) -> int:
        """Read relating words with their landmark as one value; a direction inside it is one of its own."""
        tagged = self.tagged
        first = tagged.tokens[i]
        if first.lower == "compared":
            # "swollen left ankle compared with the right"
            return self._skip(last, hi)
        if first.lower in ("left", "right") and self._is_frame_side(i, last):
            for k in range(i, last):
                tagged.tags[k] = "word" if k == i else "preposition"
            return self._phrase(i, hi)
        if kind_of(first.lower) == "direction" or first.lower in ("contralateral", "ipsilateral"):
            kind = kind_of(first.lower)
            self._add(kind, first.start, first.stop)
        for token in tagged.tokens[i + 1 : last]:
            if kind_of(token.lower) == "direction":
                self._add("direction", token.start, token.stop)
        return self._landmark(i, last, hi)

    def _take_back(self, i: int) -> None:
        """Forget a last target that "cannot be excluded" speaks of, where another was asked for before it."""
        if len(self.targets) > 1 and self._same_sentence(i):
            self.targets.pop()

    def _certain(self, i: int, last: int, hi: int) -> int:
        """What follows "suspicious for" is a disease, no target; "cannot be excluded" speaks of what stands before."""
        lower = [t.lower for t in self.tagged.tokens[i:last]]
        if lower[0] in _FINDS and last < hi and self.tagged.tags[last] == "determiner" and self._just_named(i):
            # "Biopsy confirmed a carcinoma": what was named before only found it.
            self._has(i)
            return last
        if lower[-1] in _LEADING and (self.targets or last > i + 1):
            phrase = read_phrase(self.tagged, last, hi)
            head = self.tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
            if not self.targets and head and head not in _STATES:
                # "findings suggestive of pneumonia": the disease itself is asked for.
                return last
            self._modify(phrase.mods, "target")
            if phrase.name:
                self._add("pathology", *self._chars(phrase.name))
            return phrase.stop
        if lower == ["i", "doubt"]:
            # "I doubt this is a tumour, probably an abscess"
            return self._skip(last, hi)
        if lower[-1] == "exclude" and self.targets:
            # "cannot exclude aspiration"
            phrase = read_phrase(self.tagged, last, hi)
            return phrase.stop if phrase.name else last
        if lower[-1] in ("excluded", "out") and "not" in "".join(lower):
            self._take_back(i)
        return last

    def _parted(self, phrase: Phrase) -> Phrase:
        """Read the side before a name that the data state off the unknown words before it: "erumpent left kidney"."""
        tokens, name = self.tagged.tokens, phrase.name
        first = next((a for a, b in self.stated if name and b == name[1] and name[0] < a - 1), 0)
        if not first or kind_of(tokens[first - 1].lower) != "side":
            return phrase
        side = Mod("side", tokens[first - 1].start, tokens[first - 1].stop)
        return phrase._replace(name=(first, phrase.name[1]), mods=(*phrase.mods, side)) if phrase.name else phrase

    def _fronted(self, i: int, phrase: Phrase, hi: int) -> int:
        """Return the index after the phrase behind `i`: a place in "In the caecum there is a polyp"."""
        tagged, stop = self.tagged, place_of_phrase(self.tagged, phrase, hi).stop_token
        opens = tagged.tokens[i].lower in ("in", "within", "inside") and (i == 0 or tagged.tags[i - 1] == "sign")
        leads = stop < hi and (tagged.tags[stop] == "exists" or tagged.tokens[stop].lower == ",")
        return self._place(phrase, hi) if opens and leads and phrase.category == "anatomy" else phrase.stop

    def _compared(self, i: int, hi: int) -> int:
        """Return the index after what a thing is compared with: "larger than (on) the left", "than that of it"."""
        tags = self.tagged.tags
        while i < hi and tags[i] in ("determiner", "preposition", "pronoun", "relative"):
            i += 1
        stop = i if i < hi and tags[i] == "measure" else max(read_phrase(self.tagged, i, hi).stop, i)
        if stop < hi - 1 and tags[stop] == "preposition":
            # "than its fellow on the right"
            more = read_phrase(self.tagged, stop + 1, hi)
            stop = more.stop if any(m.kind == "side" for m in more.mods) else stop
        return stop

    def _is_frame_side(self, i: int, last: int) -> bool:
        """Tell whether "left of" speaks of the image: "the left of the photo", "right of centre"."""
        after = {t.lower for t in self.tagged.tokens[last - 1 : last + 2]}
        return bool(after & (words("classes.picture") | {"centre", "center", "midline"}))

    def _landmark(self, i: int, last: int, hi: int) -> int:
        tagged = self.tagged
        last = self._way_to_landmark(i, last, hi)
        level = last + (last < hi - 1 and tagged.tags[last] == "determiner")
        if level in tagged.marks and tagged.tags[level] != "measure":
            # "extending from C5 to T2": the level itself tells where.
            return level
        if level in tagged.marks and _TIME.search(
            self.text[tagged.marks[level][0].start : tagged.marks[level][0].stop]
        ):
            # "growing over 6 months"
            return level
        if last < hi and self.targets and self._touches(i) and tagged.tokens[last].lower in ("it", "them"):
            self._add("relation", tagged.tokens[i].start, tagged.tokens[last].stop)  # "medial to it"
            return last + 1
        if last < hi - 1 and is_adverb(tagged.tokens[last].lower) and tagged.tags[last + 1] == "determiner":
            last += 1  # "fills almost the entire ovary"
        phrase = read_phrase(tagged, last, hi)
        if phrase.category == "picture":
            return phrase.stop
        location = read_location(tagged, phrase, phrase.stop, self.modality) if phrase.stop > last else None
        if location is not None and any(f[0] == "location" for f in location.spans):
            self._emit(self._off_centre(i, last, location))
            return location.stop_token
        first_word = tagged.tokens[i].lower
        placed = place_of_phrase(tagged, phrase, hi) if phrase.stop > last else None
        stop = placed.stop_token if placed else last
        between = bool({"between", "junction", "interface"} & {t.lower for t in tagged.tokens[i:last]})
        while between and stop < hi - 1 and tagged.tags[stop] == "conjunction":
            more = read_phrase(tagged, stop + 1, hi)
            if more.name is None:
                break
            rest = place_of_phrase(tagged, more, hi)
            self._nested(rest)
            stop, between = rest.stop_token, False
        owned = self.targets and tagged.tokens[min(last, hi - 1)].lower in ("its", "their")
        if owned and last < stop < hi - 1 and tagged.tags[stop] == "with":
            # "below its confluence with the splenic vein"
            stop = max(read_phrase(tagged, stop + 1, hi).stop, stop)
        stop = self._behind_landmark(stop, hi)
        if (
            first_word in ("filled", "lined", "stained", "coated", "covered")
            and phrase.name
            and self._noun_kind(phrase)
        ):
            self._add(self._noun_kind(phrase), tagged.tokens[i].start, tagged.tokens[stop - 1].stop)
            return stop
        stop = self._second(i, max(stop, last), hi)
        kind, stop = self._extent_kind(last, stop, hi)
        apart = stop == last < hi and tagged.tokens[last].lower == ","
        if self.targets and (stop > last or apart or not _needs_a_landmark(tagged.tokens[last - 1].lower)):
            self._add(kind, tagged.tokens[i].start, tagged.tokens[max(stop, last) - 1].stop)
        if placed:
            self._nested(placed)
            directed = any(m.kind == "direction" for m in phrase.mods)
            of = phrase.stop < hi and tagged.tokens[phrase.stop].lower == "of"
            if kind == "relation" and phrase.part and directed and of:
                self._emit(placed)
        return max(stop, last)

    def _way_to_landmark(self, i: int, last: int, hi: int) -> int:
        """Return where the landmark of relating words at `i` begins: behind prepositions and "caudally"."""
        tagged = self.tagged
        while (
            last < hi - 1
            and last <= i + 4
            and (tagged.tags[last] == "preposition" or self._is_way(last) or self._leads_on(i, last))
        ):
            # "entering from the bottom right", "extending caudally from the foramen"
            if self._leads_on(i, last):
                last = tagged.spans.get(last, last + 1)
                continue
            if kind_of(tagged.tokens[last].lower) == "direction":
                self._add("direction", tagged.tokens[last].start, tagged.tokens[last].stop)
            last += 1
        return last

    def _behind_landmark(self, stop: int, hi: int) -> int:
        """Return where a landmark ends with "anteriorly" or "ones" behind it."""
        tagged = self.tagged
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
        return stop

    def _is_way(self, i: int) -> bool:
        """Tell whether "caudally" at `i` tells where a verb before it leads, and more follows."""
        lower = self.tagged.tokens[i].lower
        leads = self.tagged.tags[i + 1] in ("preposition", "relation")
        return leads and (
            lower.endswith(("wards", "ward"))
            or (lower.endswith("ly") and (is_adverb(lower) or kind_of(lower) == "direction"))
        )

    def _leads_on(self, i: int, last: int) -> bool:
        """Tell whether a relation stands behind a verb and its adverb: "grows cranially along the ureter"."""
        tags = self.tagged.tags
        return last > i + 1 and tags[last] == "relation" and self.tagged.tokens[last - 1].lower.endswith("ly")

    def _off_centre(self, i: int, last: int, placed: Placed) -> Placed:
        """Let "below" belong to the place in "just below the centre of the image"."""
        kind, start, stop, role = placed.spans[0]
        side = next((t for t in self.tagged.tokens[i:last] if t.lower in _OFF), None)
        if side is None or self.text[start:stop].lower() not in ("centre", "center", "middle", "midline"):
            return placed
        return placed._replace(spans=((kind, side.start, stop, role), *placed.spans[1:]))

    def _second(self, i: int, stop: int, hi: int) -> int:
        """Return where "separates the retina from the RPE", "displaces the bladder to the right" ends."""
        tagged = self.tagged
        verb, leads = tagged.tokens[i].lower, tagged.tokens[stop].lower if stop < hi - 1 else ""
        if leads == "to" and verb.startswith(("displac", "push", "shift", "deviat")):
            phrase = read_phrase(tagged, stop + 1, hi)
            sides = {t.lower for t in tagged.tokens[stop + 1 : phrase.stop]} & {"left", "right"}
            return phrase.stop if sides and phrase.name is None else stop
        if leads == "to" and verb.startswith(("narrow", "reduc", "thin", "flatten", "compress")):
            # "narrowing the duct to a thread"
            return read_phrase(tagged, stop + 1, hi).stop
        if leads in ("to", "into") and "from" in {t.lower for t in tagged.tokens[i : i + 3]}:
            # "extending from the psoas into the thigh"
            phrase = read_phrase(tagged, stop + 1, hi)
            return phrase.stop if phrase.name is not None else stop
        if leads in ("from", "to", "with") and verb.startswith(("separat", "connect", "divid", "join", "link")):
            phrase = read_phrase(tagged, stop + 1, hi)
            return phrase.stop if phrase.name is not None else stop
        return stop

    def _of_whose(self, i: int, hi: int) -> int:
        """Read "whose edges are heaped up" by its noun."""
        tagged = self.tagged
        phrase = read_phrase(tagged, i, hi)
        stop = phrase.stop
        while stop < hi and tagged.tags[stop] not in ("sign", "scan", "relative"):
            stop += 1
        if phrase.name is None or stop <= i:
            return i
        head = tagged.tokens[phrase.name[1] - 1].lower
        kinds = [k for k in ("margin", "texture", "signal", "shape", "colour") if head in words(f"classes.{k}_noun")]
        self._add((kinds or ["description"])[0], tagged.tokens[i].start, tagged.tokens[stop - 1].stop)
        return stop

    def _is_ordinal(self, k: int) -> bool:
        """Tell whether "third" at `k` counts along a row ("the third and fourth ribs") and is no share."""
        tokens = self.tagged.tokens
        if tokens[k].lower not in ("third", "quarter", "fifth"):
            return False
        before, after = tokens[k - 1].lower if k else "", tokens[k + 1].lower if k + 1 < len(tokens) else ""
        return after.isalpha() and after != "of" and before not in ("one", "a", "two")

    def _extent_kind(self, first: int, stop: int, hi: int) -> tuple[str, int]:
        """Return the kind of "occupying a third of ..." (a measure) or "running the length of ..." (a description)."""
        tagged = self.tagged
        words = {t.lower for k, t in enumerate(tagged.tokens[first:stop], first) if not self._is_ordinal(k)}
        if stop < hi and tagged.tokens[stop].lower == "by":
            end, shares = stop + 1, _SHARES | _SHARE_NUMBERS
            while end < hi and (tagged.tags[end] in ("determiner", "measure") or tagged.tokens[end].lower in shares):
                end += 1
            if end > stop + 1 and tagged.tags[end - 1] != "determiner":
                return "measure", end
        if words & _SHARES and not any(w in LEVELS or w == "basal" or kind_of(w) == "direction" for w in words):
            return "measure", stop
        if words & {"width", "length", "height", "extent", "diameter"}:
            return "description", stop
        return "relation", stop
