"""Relations: where the target is with respect to another thing, and how much of it it fills."""

from __future__ import annotations

from robustness.perturb.language.grammar.noun_phrase import read_phrase
from robustness.perturb.language.grammar.places import place_of_phrase, read_location
from robustness.perturb.language.grammar.state import Reading
from robustness.perturb.language.grammar.vocabulary import kind_of, words

_SHARES = frozenset("third thirds half quarter quarters fifth majority percent % most".split())


class Relations(Reading):
    """Reads relating words with their landmark."""

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
        """Tell whether "left of" speaks of the image: "the left of the photo", "right of centre"."""
        after = {t.lower for t in self.tagged.tokens[last - 1 : last + 2]}
        return bool(after & (words("classes.picture") | {"centre", "center", "midline"}))

    def _landmark(self, i: int, last: int, hi: int) -> int:
        tagged = self.tagged
        phrase = read_phrase(tagged, last, hi)
        if phrase.category == "picture":
            return phrase.stop
        if phrase.stop <= last and last <= i + 2 and last < hi and tagged.tags[last] == "preposition":
            # "entering from the bottom right": the preposition tells where.
            return last
        location = read_location(tagged, phrase, phrase.stop, self.modality) if phrase.stop > last else None
        if location is not None and any(f[0] == "location" for f in location.spans):
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
        words = {t.lower for t in tagged.tokens[first:stop]}
        if stop < hi and tagged.tokens[stop].lower == "by":
            end = stop + 1
            while end < hi and (tagged.tags[end] in ("determiner", "measure") or tagged.tokens[end].lower in _SHARES):
                end += 1
            if end > stop + 1:
                return "measure", end
        if words & _SHARES and not words & {"lower", "upper", "middle", "distal", "proximal", "left", "right"} - {
            "left",
            "right",
        }:
            return "measure", stop
        if words & {"width", "length", "height", "extent", "diameter"}:
            return "description", stop
        return "relation", stop
