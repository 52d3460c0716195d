"""State of the reader: the tokens, the targets so far, and the spans read."""

from __future__ import annotations

from typing import NamedTuple

from robustness.perturb.language.grammar.asking import counts_along
from robustness.perturb.language.grammar.modifier_words import Mod
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.places import Placed, place_of_phrase
from robustness.perturb.language.grammar.tagger import Tagged, tag
from robustness.perturb.language.grammar.tokens import spans_of
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, kind_of, words

# What denies the thing that it stands before, and with that what the thing holds.
_DENIES = frozenset("no neither none".split())
_ADJECTIVES = ("al", "ar", "ed", "ic", "ing", "ish", "ive", "ous", "upt", "ent", "ant", "y", "less", "ful")

_ENDS = frozenset("tip tips end ends edge edges border borders base rim wall walls side sides stalk".split())


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
    token: int


class Reading:
    """The state of one pass over one text; the classes built on it read phrases, what attaches to them, and denials."""

    def __init__(self, text: str, *, modality: str = "", names: tuple[str, ...] = ()) -> None:
        self.tagged: Tagged = tag(text)
        self.text = text
        self.modality = modality
        self._ends, self._requests, self._last_noun = counts_along(self.tagged)
        self.stated = spans_of(self.tagged.tokens, names)
        self.spans: list[Found] = []
        self.targets: list[Target] = []
        self.is_asked = False
        self.fresh = True
        self.joined = False
        self.denied = False
        self.predicate = False
        self.measured = False
        # The token after a noun that is neither target nor place: what follows tells of that noun.
        self.passed = -1
        self.fallback: Phrase | None = None

    def _phrase(self, i: int, hi: int) -> int:
        """Read the noun phrase at token `i`; return the index after it."""
        raise NotImplementedError("a class for noun phrases fills this")

    def _mark(self, i: int) -> int:
        """Read the mark at token `i`; return the index after it."""
        raise NotImplementedError("the class of the whole pass fills this")

    def _has(self, i: int) -> None:
        """Let the noun before the verb at token `i` only hold or find what is asked for."""
        raise NotImplementedError("the class of the whole pass fills this")

    def _same_sentence(self, i: int) -> bool:
        return self._ends[i] == self._ends[self.targets[-1].token]

    def _just_named(self, i: int) -> bool:
        return bool(self.targets) and self.tagged.tags[i - 1] not in ("sign", "determiner", "preposition")

    def _named_later(self, i: int) -> bool:
        return i <= self._last_noun

    def _request_index(self, before: int) -> int:
        return self._requests[before]

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

    def _hides(self, i: int, hi: int) -> int:
        """Return the index of the finding that what lies over it in the picture "hides" at `i`, or 0."""
        first, lower = i - is_adverb(self.tagged.tokens[i - 1].lower), self.tagged.tokens[i].lower
        is_said = self.tagged.tags[first - 1] == "auxiliary"
        near = bool(self.targets) and self._touches(first - is_said)
        over = [t for t in self.targets if near and t.head in words("classes.cover") and not self.is_asked]
        # "The bubbles covering the polyp" are named themselves; without an article it may be dictated.
        named = over and self.tagged.tags[over[0].token] == "determiner" and lower.endswith("ing") and not is_said
        verb = lower in words("classes.hides") and not named
        k = i + 1 + 2 * ([t.lower for t in self.tagged.tokens[i + 1 : i + 3]] == ["part", "of"])
        phrase = read_phrase(self.tagged, k, hi)
        below = [category_of(t.lower) for t in self.tagged.tokens[slice(*(phrase.name or (k, k)))]]
        return k if verb and len(over) == 1 and (phrase.category == "finding" or "finding" in below) else 0

    def _is_like(self, i: int, hi: int) -> int:
        """Return the index after "looks like spindles" at `i`, taken as told of the target, or 0."""
        if i + 2 >= hi or self.tagged.tokens[i + 1].lower != "like" or not self.targets or not self._touches(i):
            return 0
        phrase = read_phrase(self.tagged, i + 2, hi)
        if phrase.name is None or self.targets[-1].category == "generic":
            return 0
        self._add("description", self.tagged.tokens[i].start, self.tagged.tokens[phrase.stop - 1].stop)
        return phrase.stop

    def _opens_a_name(self, i: int) -> bool:
        """Tell whether a single word at `i` stands between an article and a noun."""
        tags = self.tagged.tags
        opens = i == 0 or tags[i - 1] in ("determiner", "request")
        return opens and self.tagged.spans.get(i, i + 1) == i + 1 and tags[i + 1 : i + 2] == ["word"]

    def _spreads(self, phrase: Phrase) -> bool:
        """Tell whether "are scattered between ..." only leads on to where: a participle before a preposition."""
        leads = self.tagged.tags[phrase.stop : phrase.stop + 1] in (["preposition"], ["relation"])
        return leads and self.tagged.tokens[phrase.stop - 1].lower in words("classes.spread")

    def _is_end(self, phrase: Phrase) -> bool:
        return self.tagged.tokens[phrase.stop - 1].lower in _ENDS

    def _touches(self, i: int) -> bool:
        """Tell whether the last target's name ends right before token `i`."""
        return self.targets[-1].stop == self.tagged.tokens[i - 1].stop

    def _after_with(self, i: int) -> bool:
        """Tell whether "surrounding" at `i` names a companion: "with surrounding cellulitis"."""
        return i > 0 and self.tagged.tags[i - 1] == "with"

    def _finds_another(self, i: int, hi: int) -> bool:
        """Tell whether "the sonographer noted a cyst" stands at `i`: a verb in the past behind its subject."""
        tags = self.tagged.tags
        past = i > 0 and tags[i - 1] == "word" and self.tagged.tokens[i].lower.endswith(("ed", "found"))
        return past and tags[i + 1 : min(i + 2, hi)] in (["determiner"], ["word"] if tags[i] == "report" else None)

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
            and _is_plain(self.text[found.stop : holder.start].strip().removeprefix("of "), most=2)
        ]

    def _stands_as_place(self, placed: Placed) -> bool:
        """Tell whether place words behind a target, without a preposition, are certain: two axes or a named owner."""
        return any(
            kind == "location"
            or (kind == "side" and ("'" in (value := self.text[start:stop]) or value.endswith(("side", "sides"))))
            for kind, start, stop, _ in placed.spans
        )

    def _noun_kind(self, phrase: Phrase) -> str:
        if phrase.name is None:
            return ""
        head = self.tagged.tokens[phrase.name[1] - 1].lower
        if category_of(head) == "finding" and any(m.kind == "place" for m in phrase.mods):
            # "RUL opacity"
            return ""
        if phrase.name[1] - phrase.name[0] > 1 and head in words("classes.margin_noun"):
            owner = self.tagged.tokens[phrase.name[1] - 2].lower
            if category_of(owner) == "anatomy":
                # "the right heart border" is a place, "irregular border" an edge.
                return ""
        for kind in ("margin", "texture", "signal", "shape", "colour", "size"):
            if head in words(f"classes.{kind}_noun"):
                adjective = any(m.kind not in ("side", "direction", "number", "place", "measure") for m in phrase.mods)
                if head in words("classes.edge_of_body"):
                    return kind if adjective or self._has_an_unknown_adjective(phrase) else ""
                return kind if phrase.mods or phrase.name[1] - phrase.name[0] > 1 else ""
        return ""

    def _lists_properties(self, phrase: Phrase) -> bool:
        """Tell whether "with an irregular outline, several colours and a scalloped border" goes on at `phrase`."""
        last = self.spans[-1] if self.spans else None
        if last is None or not phrase.mods or last.kind not in ("margin", "texture", "signal", "shape", "colour"):
            return False
        between = self.text[last.stop : self.tagged.tokens[phrase.start].start]
        return last.start > self.targets[-1].stop and between.strip(" ,") in ("and", "or", "&")

    def _has_an_unknown_adjective(self, phrase: Phrase) -> bool:
        """Tell whether "abrupt edges" has two words of which the first names nothing."""
        if phrase.name is None or phrase.name[1] - phrase.name[0] != 2:
            return False
        first = self.tagged.tokens[phrase.name[0]].lower
        return not category_of(first) and first.endswith(_ADJECTIVES)

    def _by_noun(self, phrase: Phrase) -> None:
        """Take "irregular margins" as a margin: the words before the noun, and the noun."""
        kind = self._noun_kind(phrase)
        if phrase.name is None:
            return
        apart = self._mods_apart(phrase) if kind in ("margin", "signal") else ()
        self._modify(apart, "target")
        starts = [m.start for m in phrase.mods if m.kind not in ("number",) and m not in apart]
        start = min([*starts, self._chars(phrase.name)[0]])
        # "edges notched": the word behind the noun belongs to it.
        stop = max([self._chars(phrase.name)[1], *(m.stop for m in phrase.mods if m.kind != "measure")])
        own = (
            "texture",
            "colour",
            "pathology",
            *(() if self.text[:stop].endswith(("pattern", "patterns")) else ("shape",)),
        )
        inner = kind == "texture" and any(m.kind not in own for m in phrase.mods)
        if kind == "colour" and all(m.kind == "number" for m in phrase.mods):
            # "several colours"
            start, inner = min([m.start for m in phrase.mods] or [start]), True
        if kind in ("shape", "colour", "size", "texture") and phrase.mods and not inner:
            for mod in phrase.mods:
                self._add(mod.kind, mod.start, mod.stop)
            return
        self._add(kind, start, stop)

    def _mods_apart(self, phrase: Phrase) -> tuple[Mod, ...]:
        """Return what a comma parts from the noun: "brownish, irregular border" has a colour and a border."""
        if phrase.name is None or not phrase.mods:
            return ()
        apart = []
        ends = [*(m.start for m in phrase.mods[1:]), self._chars(phrase.name)[0]]
        for mod, end in zip(phrase.mods, ends, strict=True):
            between = self.text[mod.stop : end]
            kinds = ("colour", "size", "texture", "pathology", "shape", "signal")
            if mod.kind not in kinds or not ("," in between or ";" in between):
                break
            apart.append(mod)
        return tuple(apart)

    def _eye(self, phrase: Phrase) -> None:
        side = [m for m in phrase.mods if m.kind == "side"]
        first = self.tagged.tokens[phrase.name[0]] if phrase.name else None
        if first is not None and (side or first.lower in ("fellow", "other")):
            self._add("side", side[0].start if side else first.start, self._chars(phrase.name or (0, 1))[1])

    def _skip(self, i: int, hi: int) -> int:
        """Return the index of the next sign or clause: what lies between tells of another thing."""
        while i < hi and self.tagged.tags[i] not in ("sign", "relative", "scan", "patient"):
            if self.tagged.tokens[i].lower in ("in", "on", "at", "within"):
                break
            i += 1
        return i

    def _emit(self, placed: Placed) -> None:
        for kind, start, stop, role in placed.spans:
            self._add(kind, start, stop, role)

    def _nested(self, placed: Placed) -> None:
        for kind, start, stop, _ in placed.spans:
            if kind in ("side", "direction"):
                self._add(kind, start, stop, "landmark")

    def _place(self, phrase: Phrase, hi: int | None = None) -> int:
        """Take a phrase, with what it is a part of, as the place in the patient; its sides are the landmark's."""
        placed = place_of_phrase(self.tagged, phrase, len(self.tagged.tokens) if hi is None else hi)
        self._emit(placed)
        return placed.stop_token

    def _chars(self, name: tuple[int, int]) -> tuple[int, int]:
        first, last = self.tagged.tokens[name[0]], self.tagged.tokens[name[1] - 1]
        return first.start, last.stop - 3 * last.lower.endswith("(s)")

    def _modify(self, mods: list[Mod] | tuple[Mod, ...], role: str) -> None:
        for mod in mods:
            self._add(mod.kind, mod.start, mod.stop, role)

    def _add(self, kind: str, start: int, stop: int, role: str = "target") -> None:
        if stop > start:
            self.spans.append(Found(kind, start, stop, role))


def _is_plain(between: str, *, most: int) -> bool:
    """Tell whether at most so many words stand between two, none of them a preposition, and no mark."""
    names = between.lower().split()
    short = len(names) <= most and words("classes.preposition").isdisjoint(names)
    return short and all(name.replace("-", "").isalpha() for name in names)
