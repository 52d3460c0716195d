"""Naming: whether a noun phrase is a target, one more, a place, or only modifiers of the last target."""

from __future__ import annotations

from robustness.perturb.language.grammar.headings import Headings
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import is_place_phrase, read_location
from robustness.perturb.language.grammar.state import Target
from robustness.perturb.language.grammar.tokens import QUOTES
from robustness.perturb.language.grammar.vocabulary import is_adverb, is_descriptive, is_participle, kind_of, words

_AMOUNTS = frozenset(
    "sliver slivers speck specks cluster clusters group groups patch patches evidence amount amounts volume quantity "
    "string strings chain chains row crop crops array".split()
)
_FRACTIONS = frozenset("one-third two-thirds one-half one-quarter three-quarters one-fifth two-fifths".split())
# What follows a place in the picture that stands first: "top left: a polyp", "top left of the picture, ...".
_BEHIND_A_PLACE = frozenset(": , - \u2013 of in on".split())
_DEGREES = frozenset("high low increased decreased reduced raised abnormal intermediate loss".split())


class Naming(Headings):
    """Decides what the noun phrases of a text are."""

    def _phrase(self, i: int, hi: int) -> int:
        if after := self._compares_sides(i, hi):
            return after
        phrase = read_phrase(self.tagged, i, hi)
        if self._is_field_value(i, phrase):
            return self._place(phrase) if phrase.category == "anatomy" else phrase.stop
        placed = None
        if self.targets or (phrase.stop < hi and self.tagged.tokens[phrase.stop].lower in _BEHIND_A_PLACE):
            placed = read_location(self.tagged, phrase, phrase.stop, self.modality)
        if placed is not None and (self._stands_as_place(placed) if self.targets else self._leads_to_name(placed)):
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
        self.joined = False
        return phrase.stop

    def _joins_a_name(self, i: int, hi: int) -> bool:
        """Tell whether "arborising vessels" stands behind "globules &": one more noun, and no relation."""
        return (
            self.joined
            and self.tagged.tokens[i - 1].lower in ("&", "+")
            and self.tagged.tags[i + 1 : i + 2] == ["word"]
        )

    def _counted(self, phrase: Phrase, hi: int) -> int:
        """Read "a couple of ..." and "the larger of the two ...": what counts or compares, then the noun."""
        last = phrase.mods[-1] if phrase.mods else None
        compared = any(m.kind in ("size", "side", "location", "colour", "signal", "direction") for m in phrase.mods)
        if compared and last is not None and last.kind == "number":
            # "the bigger one of the two"
            self._modify([m for m in phrase.mods if m.kind != "number"], "target")
        elif last is not None and last.kind == "number" and self.text[last.start : last.stop].isalpha():
            # "a couple of", "dozens of": the whole phrase counts.
            first, of = self.tagged.tokens[phrase.start], self.tagged.tokens[phrase.stop]
            alone = phrase.stop + 1 < hi and self.tagged.tags[phrase.stop + 1] == "determiner"
            # "one of the two cysts", "a couple of cysts"
            self._add("number", first.start, last.stop if alone else of.stop)
            self._modify(phrase.mods[:-1], "target")
        else:
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
        name = phrase.name
        if name is None:
            self._bare(phrase)
            return
        head = tagged.tokens[name[1] - 1].lower
        if (
            not self.targets
            and phrase.stop in tagged.marks
            and tagged.tags[phrase.stop] == "scan"
            and is_descriptive(head)
        ):
            # "a sharp, well-centred red-free image"
            self._bare(phrase._replace(name=None))
            return
        if name[1] - name[0] == 1 and (head in ("quality", "r", "l") or is_adverb(head) or self._says_nothing(phrase)):
            # "incidentally noted", "and enhances"
            return
        bare = not self.targets and name == (phrase.start, phrase.stop) and name[1] - name[0] == 1
        if bare and phrase.category == "" and is_participle(head) and "-" not in head:
            # "film rotated": a participle alone names nothing.
            if phrase.stop == len(tagged.tokens) and not phrase.start:
                self.fallback = phrase
            return
        if bare and head in _DEGREES and phrase.start and tagged.tags[phrase.start - 1] == "scan":
            # "ADC low in the thalamus"
            self._add("signal", *self._chars(name))
            return
        if phrase.category == "patient" and head in ("fetus", "foetus", "fetuses") and not self.targets:
            phrase = phrase._replace(category="anatomy")
        if following == "=" or phrase.category in ("picture", "patient"):
            if phrase.category != "picture":
                return
            self._modify([m for m in phrase.mods if m.kind in ("quality", "measure")], "scan")
            return
        if following in (":", "=") and self.targets and head in words("classes.key"):
            return
        sided = any(m.kind == "side" for m in phrase.mods)
        if head == "eye" and (following == ":" or (following == "," and sided and self._named_later(phrase.stop))):
            self._eye(phrase)
            return
        if self._excluded(phrase):
            return
        if self.stated and not any(a < name[1] and name[0] < b for a, b in self.stated):
            # The data state what is asked for: another noun is only beside it.
            if self.targets:
                self._beside(phrase)
            elif following == ":" and phrase.category == "anatomy":
                self._place(phrase)
            return
        self._assign_noun(phrase, hi, head, following)

    def _assign_noun(self, phrase: Phrase, hi: int, head: str, following: str) -> None:
        """Decide the same of a noun that names a thing; `head` is its last word, `following` the word behind it."""
        tagged = self.tagged
        apart = phrase.start > 0 and tagged.tokens[phrase.start - 1].lower in (";", "/")
        if self.targets and (apart or not self.joined or self._lists_properties(phrase)) and self._noun_kind(phrase):
            self._by_noun(phrase)
            return
        quoted = following in QUOTES and self.text[tagged.tokens[phrase.stop].stop :].lstrip()[:1] == ":"
        if (following == ":" or quoted) and head in words("classes.header") and not self.targets:
            return
        verb = phrase.stop < hi and tagged.tags[phrase.stop] in ("auxiliary", "certainty")
        if (
            phrase.category == "generic"
            and not self.targets
            and (verb or following == "of")
            and not head.startswith("part")
        ):
            self.fallback = phrase
            return
        directed = any(m.kind == "direction" for m in phrase.mods)
        if head in _FRACTIONS and following == "of" and not self.targets and phrase.name and not directed:
            # "two-thirds of the spleen"
            self._add("measure", *self._chars(phrase.name))
            return
        if head in _AMOUNTS and following == "of":
            self._modify([m for m in phrase.mods if m.kind == "size"], "target")
            return
        if head in words("classes.quantity") and following == "of" and "measure" in tagged.tags and not self.targets:
            # "diameter of the renal pelvis, 12 mm"
            self.measured = True
            return
        if head in words("classes.quantity") and self._is_measured(phrase.stop):
            self._measured(phrase, hi)
            return
        if head == "eye" and self.targets:
            self._eye(phrase)
            return
        if phrase.category == "generic" and (self.targets or following == ":"):
            self._modify([m for m in phrase.mods if m.kind in ("number", "size", "measure")], "target")
            return
        if self.targets and self._tells_of_a_place(phrase):
            self._turn_to_place()
            self._target(phrase, hi)
            return
        if self.targets and not self._is_new_target(phrase):
            self._beside(phrase)
            return
        if following == ":" and not self.targets and self._is_heading(phrase, hi):
            self._place(phrase)
            return
        self._target(phrase, hi)

    def _beside(self, phrase: Phrase) -> None:
        """A phrase after the target that is none: a place ("nodule, right upper lobe"), or nothing that is known."""
        last = self.targets[-1]
        if phrase.name and self.text[last.stop : self._chars(phrase.name)[0]] == "_":
            # "tumor_core"
            self.targets[-1] = last._replace(stop=self._chars(phrase.name)[1])
            return
        head = self.tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
        single = phrase.name is not None and phrase.name[1] - phrase.name[0] == 1 and not phrase.mods
        if (
            single
            and (head == last.head or self._is_end(phrase))
            and (phrase.stop >= len(self.tagged.tokens) or self.tagged.tokens[phrase.stop].lower != "of")
        ):
            # "chest tube, tip near the apex": a part of the target itself.
            return
        opening, name = self.tagged.tokens[phrase.start].lower, phrase.name
        if (
            self._is_end(phrase)
            and not self._touches(phrase.start)
            and last.category == "finding"
            and not is_place_phrase(self.tagged, phrase)
            and phrase.stop == len(self.tagged.tokens)
        ):
            # "ulcer, clean base"
            return
        follows = phrase.start > 0 and self.tagged.tags[phrase.start - 1] == "auxiliary"
        is_said = opening in ("a", "an", "the") or (single and phrase.category in ("anatomy", "finding"))
        if self.predicate and ((follows and is_said) or (opening in ("a", "an") and phrase.category != "anatomy")):
            # "the lesion is a benign naevus"
            self._modify(phrase.mods, "target")
            return
        if self._says_of_another(phrase) and not self._noun_kind(phrase):
            # "vessels attenuated, disc pale"
            return
        counted = any(m.kind == "number" for m in phrase.mods)
        if (counted and phrase.start and self.tagged.tokens[phrase.start - 1].lower == ",") or (
            self._is_statement(phrase) and not is_place_phrase(self.tagged, phrase)
        ):
            # "varices, 3 columns"; "hernia reduced, mesh intact"
            self.passed = phrase.stop
            return
        if name is not None and phrase.category == "" and self._is_place_word(phrase):
            self._add("place", *self._chars(name))
            return
        sided = phrase.category == "" and any(m.kind == "side" for m in phrase.mods) and last.category == "finding"
        if (
            sided
            or is_place_phrase(self.tagged, phrase)
            or (phrase.category == "anatomy" and last.category != "anatomy")
        ):
            placed = read_location(self.tagged, phrase, phrase.stop, self.modality)
            if placed is not None:
                self._emit(placed)
                return
            self._modify([m for m in phrase.mods if m.kind == "measure"], "target")
            self._place(phrase)
        elif phrase.category == "" and phrase.name and self._noun_kind(phrase):
            self._by_noun(phrase)
        else:
            self._modify([m for m in phrase.mods if m.kind in ("measure", "certainty", "place")], "target")

    def _bare(self, phrase: Phrase) -> None:
        """Modifiers alone: "indeterminate", "one top left", "roughly circular"."""
        if phrase.start == self.passed:
            return
        level = list(phrase.mods)
        if self.targets and self.tagged.tokens[phrase.start].lower in ("one", "two", "the") and len(level) > 1:
            level = [m for m in level if m.kind != "number"]
        if phrase.stop in self.tagged.marks and self.tagged.tags[phrase.stop] == "scan":
            # "a dilated colour photograph": of the picture or of how it was made.
            sharp = words("quality.before_picture")
            level = [
                m._replace(kind="quality") if self.text[m.start : m.stop].lower() in sharp else m
                for m in level
                if m.kind not in ("size", "colour", "shape", "texture", "signal")
            ]
        if (self.predicate or self.targets) and self._spreads(phrase):
            return
        if self.targets and level and all(m.kind == "number" for m in level):
            key = [t.lower for t in self.tagged.tokens[max(0, phrase.start - 2) : phrase.start]]
            if len(key) < 2 or key[1] not in (":", "=") or key[0] not in ("count", "number", "n"):
                return
        self._modify(level, "target")

    def _target(self, phrase: Phrase, hi: int) -> None:
        phrase = self._parted(phrase)
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
        first = self.tagged.tokens[phrase.name[0]]
        if head in words("classes.signal_noun") and first.lower in _DEGREES:
            # "high signal in the cortex" asks for what is bright.
            self._add("signal", first.start, first.stop)
        self.targets.append(Target(start, stop, head, phrase.category or "", phrase.start))
        self.fresh = False
