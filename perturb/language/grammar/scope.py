"""Scope: what a denial or a doubt speaks of."""

from __future__ import annotations

from robustness.perturb.language.grammar.modifier_words import Mod, after_number
from robustness.perturb.language.grammar.naming import Naming
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import frame_behind
from robustness.perturb.language.grammar.state import Found, Target
from robustness.perturb.language.grammar.vocabulary import kind_of, words
from robustness.perturb.language.ontology.relatives import term_of

# What a target is said to lie in several of, and what stands between the number and them.
_REGIONS = frozenset("region regions part parts piece pieces".split())
_APART = frozenset("separate distinct single disjoint different individual discrete unconnected disconnected".split())
_FINDS = frozenset("confirmed suspected proved confirms favoured favored".split())
_LEADING = frozenset(
    "c/w for of with represent represents representing be as suggesting denoting reflecting deemed question".split()
)
_STATES = frozenset("malignancy cancer metastasis metastases infection inflammation neoplasia benignity".split())

_IN_COLOUR = frozenset({"dermoscopy", "photograph", "endoscopy"})
_SHADES = frozenset("dark bright darker brighter light".split())
# What denies the thing that it stands before, and with that what the thing holds.
_DENIES = frozenset("no neither none".split())


def _is_plain(between: str, *, most: int) -> bool:
    """Tell whether at most so many words stand between two, none of them a preposition, and no mark."""
    names = between.lower().split()
    plain = all(name.replace("-", "").isalpha() for name in names)
    return plain and len(names) <= most and words("classes.preposition").isdisjoint(names)


class Scope(Naming):
    """Reads denials and certainty with what they reach."""

    def _negation(self, i: int, hi: int) -> int:
        """Read a denial: before the first target it denies that, behind one it denies a companion."""
        tagged = self.tagged
        token = tagged.tokens[i]
        last = tagged.spans.get(i, i + 1)
        words = " ".join(t.lower for t in tagged.tokens[i:last])
        if words == "not" and self.predicate and not self.targets:
            return last
        if words == "not" and last < hi and tagged.tags[last] in ("certainty", "relation"):
            return last
        phrase = read_phrase(tagged, last, hi)
        if words == "not" and not self.targets and phrase.stop < hi and tagged.tokens[phrase.stop].lower == "but":
            # "not a melanoma but a naevus"
            self._add("negation", token.start, token.stop)
            return phrase.stop + 1
        if not self.targets and words == "no":
            self._add("number", token.start, token.stop)
            return last
        self._add("negation", token.start, tagged.tokens[last - 1].stop)
        if not self.targets and words not in ("excluded", "ruled out", "is absent", "absent"):
            return last
        if words in (
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

    def _attached(self, i: int, hi: int) -> int:
        """Read "in three separate regions" as the number that it is, whatever the words before it name."""
        tokens = self.tagged.tokens
        j = i + 1 + (self.tagged.tags[i + 1 : i + 2] == ["determiner"])
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

    def _target(self, phrase: Phrase, hi: int) -> None:
        """Read the side before a name that the data state off the unknown words before it: "erumpent left kidney"."""
        super()._target(self._parted(phrase), hi)

    def _parted(self, phrase: Phrase) -> Phrase:
        tokens, name = self.tagged.tokens, phrase.name
        first = next((a for a, b in self.stated if name and b == name[1] and name[0] < a - 1), 0)
        if not first or kind_of(tokens[first - 1].lower) != "side":
            return phrase
        side = Mod("side", tokens[first - 1].start, tokens[first - 1].stop)
        return phrase._replace(name=(first, phrase.name[1]), mods=(*phrase.mods, side)) if phrase.name else phrase

    def _take_back(self, i: int) -> None:
        """Forget a last target that "cannot be excluded" speaks of, where another was asked for before it."""
        if len(self.targets) > 1 and self._same_sentence(i):
            self.targets.pop()

    def _take_back_denied(self) -> None:
        """Forget the target of "no bleeding, but a visible vessel": the denial is of another thing."""
        last = self.spans[-1] if self.spans else None
        is_no = last is not None and last.kind == "number" and self.text[last.start : last.stop].lower() == "no"
        if len(self.targets) == 1 and is_no:
            self.targets.pop()
            self.spans[-1] = self.spans[-1]._replace(kind="negation")

    def _denials_of(self, holder: Target, verb: int) -> list[Found]:
        """Return the "no" of "no kidney contains a stone", which denies the stone, unlike that of "no fluid; a kidney".

        Args:
            holder: what the verb at token `verb` says the thing lies in.
        """
        if not _is_plain(self.text[holder.stop : self.tagged.tokens[verb].start], most=1):
            return []
        return [
            found._replace(kind="negation")
            for found in self.spans
            if found.kind in ("negation", "number")
            and self.text[found.start : found.stop].lower() in _DENIES
            and _is_plain(self.text[found.stop : holder.start], most=2)
        ]

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
        if lower[-1] == "doubt":
            # "I doubt this is a tumour, probably an abscess"
            return self._skip(last, hi)
        if lower[-1] == "exclude" and self.targets:
            # "cannot exclude aspiration"
            phrase = read_phrase(self.tagged, last, hi)
            return phrase.stop if phrase.name else last
        if lower[-1] in ("excluded", "out") and "not" in "".join(lower):
            self._take_back(i)
        return last

    def _between_signs(self, i: int, hi: int) -> bool:
        """Tell whether the token at `i` stands alone behind a target: "kidney, L"."""
        tokens = self.tagged.tokens
        return bool(self.targets) and tokens[i - 1].lower in (",", ";") and (i + 1 == hi or not tokens[i + 1].is_word)

    def _side_in_brackets(self, i: int, hi: int) -> bool:
        """Read "kidney (R)"."""
        tokens = self.tagged.tokens
        if tokens[i].lower != "(" or i + 2 >= hi or tokens[i + 2].lower != ")":
            return False
        side = tokens[i + 1]
        if (side.text in ("R", "L") or kind_of(side.lower) == "side") and self.targets:
            self._add("side", side.start, side.stop)
            return True
        return False

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
