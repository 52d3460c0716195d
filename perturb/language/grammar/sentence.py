"""Read one text by the grammar: the asked noun phrases and what attaches to them."""

from __future__ import annotations

from robustness.perturb.language.grammar.asking import inner_places
from robustness.perturb.language.grammar.modifier_words import LEVELS
from robustness.perturb.language.grammar.noun_phrase import read_phrase
from robustness.perturb.language.grammar.picture import ARTEFACTS, next_word
from robustness.perturb.language.grammar.places import frame_behind
from robustness.perturb.language.grammar.scope import Scope
from robustness.perturb.language.grammar.state import Found
from robustness.perturb.language.grammar.tokens import after_quotes
from robustness.perturb.language.grammar.vocabulary import is_adverb, is_participle, kind_of, words
from robustness.types import Attribute

_HEADS = {"od": (":", "."), "os": (":", "."), "ou": (".",), "re": (":",), "le": (":",)}  # "OD: disc pale", "OS. Drusen"


class Grammar(Scope):
    """One pass over the tokens of a text; `read` gives the attributes in order."""

    def read(self) -> tuple[Attribute, ...]:
        """Return the attributes in the order of the text; some lie inside others (a side inside a place)."""
        i, size = 0, len(self.tagged.tokens)
        while i < size:
            i = max(self._step(i, size), i + 1)
        if not self.targets and self.fallback is not None:
            # "a pale area is present": no other noun says what it is.
            self._target(self.fallback, size)
        if not self.targets:
            self._ask_for_an_artefact()
        self.spans += [Found("target", t.start, t.stop) for t in self.targets]
        self._colour_what_is_dark()
        unique = sorted(set(self.spans).difference(inner_places(self.spans)), key=lambda f: (f.start, f.stop, f.kind))
        return tuple(Attribute(f.kind, self.text[f.start : f.stop], f.start, f.stop, f.role) for f in unique)

    def _ask_for_an_artefact(self) -> None:
        """Let "outline the streak artefact" ask for it: nothing else is named."""
        named = [f for f in self.spans if self.text[f.start : f.stop].lower().endswith(tuple(ARTEFACTS))]
        self.spans = [f._replace(kind="target", role="target") if f in named[:1] else f for f in self.spans]

    def _step(self, i: int, hi: int) -> int:
        """Read what begins at token `i`; return the index after it."""
        tagged = self.tagged
        kind, token = tagged.tags[i], tagged.tokens[i]
        if kind == "sign":
            if self._side_in_brackets(i, hi):
                return i + 3
            return self._phrase(i, hi) if after_quotes(tagged.tokens, i) else self._sign(i)
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
        if kind in ("request", "exists", "filler", "pronoun", "auxiliary", "position", "report"):
            return self._verb_like(i, hi)
        if kind == "word" and is_adverb(token.lower) and i + 1 < hi and tagged.tags[i + 1] == "determiner":
            return i + 1
        if kind == "conjunction":
            if token.lower == "as" and i > 2 and tagged.tokens[i - 2].lower == "as" and self.targets:
                # "nearly as large as the ovary"
                return self._skip(i, hi)
            self.joined = True
            return i + 1
        if kind == "certainty":
            last = tagged.spans.get(i, i + 1)
            self._add("certainty", token.start, tagged.tokens[last - 1].stop)
            return self._certain(i, last, hi)
        if kind == "negation":
            return self._negation(i, hi)
        heads = next_word(tagged.tokens, i) in _HEADS.get(token.lower, ())
        if heads or (token.text in ("L", "R", "Lt", "Rt", "RE", "LE", "OD", "OS") and self._between_signs(i, hi)):
            self._add("side", token.start, token.stop)
            return i + 1
        return self._linked(i, hi)

    def _verb_like(self, i: int, hi: int) -> int:
        """Read a request, a verb, or a word that stands for one at token `i`; return the index after it."""
        tagged = self.tagged
        kind, token = tagged.tags[i], tagged.tokens[i]
        if kind == "request":
            if i + 1 < hi and tagged.tokens[i + 1].lower == "=":
                return i + 2
            if token.lower == "trace" and self._between_signs(i, hi):
                self._add("size", token.start, token.stop)  # "effusion, trace"
                return i + 1
            if self._is_name_here(i, hi):
                return self._phrase(i, hi)
            if self.targets and tagged.tags[i - 1] == "word" and "sign" in tagged.tags[i + 1 : i + 2]:
                # "The mole has changed colour; ...": nothing is asked for.
                return i + 1
            if token.lower.endswith("ing") and self._outlines(i, hi):
                return self._relation(i, i + 1, hi)
            if token.lower in ("show", "display") and self.targets and tagged.tags[i - 1] == "word":
                # "both palms show plaques"
                self._has(i)
                return i + 1
            self._request()
            return i + 1
        if token.lower == "than":
            return self._compared(i + 1, hi)
        if kind in ("exists", "filler", "pronoun"):
            self.predicate = False
            return i + 1 + (kind == "exists" and token.lower == "there")
        if kind == "auxiliary":
            return self._auxiliary(i, hi)
        if kind == "position" or token.lower.endswith("ed"):
            if self._is_name_here(i, hi):
                return self._phrase(i, hi)
            if token.lower == "tracking" and self.targets and i + 2 < hi and tagged.tags[i + 1] == "preposition":
                return self._relation(i, i + 2, hi)
            if self._finds_another(i, hi):
                self._has(i)
            if token.lower in ("centred", "centered") and frame_behind(tagged, i + 1)[1]:
                self._add("location", token.start, token.stop)
            return i + 1
        if self._is_name_here(i, hi) or (i == 0 and token.lower == "features"):
            return self._phrase(i, hi)
        self._has(i)
        return i + 1

    def _auxiliary(self, i: int, hi: int) -> int:
        """Read "is", "has", "may" at token `i`: what follows is said of the target, or is what it holds."""
        tagged, token = self.tagged, self.tagged.tokens[i]
        self.predicate, self.joined = True, False
        if after := self._is_like(i, hi):
            return after
        if (
            token.lower in ("has", "have")
            and self.targets
            and i + 1 < hi
            and (is_participle(tagged.tokens[i + 1].lower) or tagged.tokens[i + 1].lower in words("classes.gone"))
        ):
            # "has migrated cranially", "has invaded the liver"
            if tagged.tags[i + 1 : i + 3] == ["word", "determiner"]:
                return self._relation(i + 1, i + 2, hi)
            j = i + 2
            if tagged.tags[j : j + 1] == ["relation"] and j not in tagged.spans and tagged.tokens[j].lower == "in":
                # "has grown in the cavity" tells where.
                tagged.tags[j] = "preposition"
            return j
        if (
            token.lower in ("has", "have")
            and i + 1 < hi
            and tagged.tags[i + 1] not in ("auxiliary", "position", "negation")
        ):
            self._has(i)
        return i + 1

    def _outlines(self, i: int, hi: int) -> bool:
        """Tell whether "gas (is) outlining the bowel" stands at `i`: no request, which has no subject."""
        before, after = self.tagged.tags[i - 1] if i else "", self.tagged.tags[i + 1] if i + 1 < hi else ""
        return bool(self.targets) and (before == "auxiliary" or (before == "word" and after == "determiner"))

    def _linked(self, i: int, hi: int) -> int:
        """Read what a relation, a relative clause, a preposition or a participle at token `i` links to the target."""
        tagged = self.tagged
        kind, lower = tagged.tags[i], tagged.tokens[i].lower
        if kind == "relation" and lower in words("classes.without_value") and self._after_with(i):
            return self._skip(i, hi)
        is_request = i > 0 and tagged.tags[i - 1] == "request" and not self.targets
        if kind == "relation" and is_request and lower == "around":
            # "Draw around the claustrum."
            return i + 1
        beside = kind == "relation" and not self.targets and lower in words("classes.beside")
        if beside and self._opens_a_name(i):
            # "the opposite lung", "the adjacent vessel"
            self._add("side" if lower == "opposite" else "relation", *tagged.tokens[i][1:3])
            return i + 1
        if kind == "relation" and self.measured and not self.targets:
            # "mean gradient 42 mmHg across the aortic valve"
            return tagged.spans.get(i, i + 1)
        if lower in words("classes.hides") and (finding := self._hides(i, hi)):
            self._has(i)
            return finding
        if kind == "relation":
            return self._relation(i, tagged.spans.get(i, i + 1), hi)
        if kind == "relative":
            return self._clause(i, hi)
        if kind == "preposition":
            return self._attached(i, hi)
        if kind == "with":
            return self._with(i, hi)
        if self.targets and tagged.tokens[i].lower in words("classes.makes"):
            # "casting a shadow"
            stop = max(read_phrase(tagged, i + 1, hi).stop, i + 1)
            self._add("description", tagged.tokens[i].start, tagged.tokens[stop - 1].stop)
            return stop
        if self.targets and not self._joins_a_name(i, hi) and self._is_participle(i, hi):
            return self._relation(i, i + 1 + (tagged.tags[i + 1] in ("preposition", "with")), hi)
        return self._phrase(i, hi)

    def _is_participle(self, i: int, hi: int) -> bool:
        """Tell whether "running the length of", "supplied by" at `i` relate the target to what follows."""
        lower = self.tagged.tokens[i].lower
        if i + 1 >= hi or i in self.tagged.name_at:
            return False
        following = self.tagged.tags[i + 1]
        after = self.tagged.tokens[i + 1].lower
        if lower in words("classes.travelling_noun") and after.endswith(("wards", "ward")):
            return True
        if lower.endswith("ing") and "-" not in lower:
            if lower in words("classes.ing_noun"):
                if following == "determiner" or (after in LEVELS and self.targets and self._touches(i)):
                    return True
                is_state = self.predicate and self.tagged.tags[i - 1] in ("auxiliary", "word")
                return is_state and after in words("classes.ways")
            # "a duct draining bile", "extending proximally", but ", arborising vessels"
            names = following == "word" and (self.tagged.tags[i - 1] != "sign" or kind_of(after) == "direction")
            return names or following in ("determiner", "preposition")
        return is_participle(lower) and following in ("preposition", "with") and not kind_of(lower)

    def _sign(self, i: int) -> int:
        lower = self.tagged.tokens[i].lower
        counted = i > 0 and lower in (")", ".") and self.tagged.tags[i - 1] == "sign"
        self.joined = lower in ("/", "+", "&") or ((lower == ";" or counted) and bool(self.targets))
        if lower == ":" and self._names_a_field(i):
            self._turn_to_place()
        elif lower in (":", "-", "\u2013") and self._was_of_the_scan(i):
            stays = ("side", "modality", "view", "phase", "quality", "age", "sex", "measure")
            self.targets.clear()
            self.spans = [f for f in self.spans if f.kind in stays]
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
        """Tell whether "photograph" only names the image: "in the corner of the photo"."""
        lower = self.tagged.tokens[i].lower
        return last == i + 1 and lower in ("photo", "photos", "photograph", "photographs", "film", "films")

    def _request(self) -> None:
        """A request after a statement asks again: "The ovary contains a cyst. Segment the cyst"."""
        self.is_asked = True
        self.predicate = False
        if self.fresh and self.targets:
            self.fresh = False

    def _has(self, i: int) -> None:
        """A verb such as "contains": what was named before it only holds what is asked for."""
        joined = i > 0 and self.tagged.tags[i - 1] in ("conjunction", "sign")
        if i + 1 < len(self.tagged.tokens) and self._has_a_property(i + 1):
            # "the mass has an irregular border", "the wound shows no slough": still about the holder.
            self.joined = False
            return
        if self.targets and not joined and not self.is_asked and self.targets[-1].token < i and self._same_sentence(i):
            holder = self.targets.pop()
            denials = self._denials_of(holder, i)
            self.spans = denials + [
                f._replace(role="landmark") if f.kind in ("side", "direction") and f.start <= holder.stop else f
                for f in self.spans
                if f.kind in ("side", "direction", "modality", "view", "phase", "quality", "age", "sex")
                or f.start > holder.stop
            ]
        self.predicate = False

    def _is_name_here(self, i: int, hi: int) -> bool:
        """Tell whether a verb-like word stands as a noun: after a determiner or a modifier."""
        before = self.tagged.tags[i - 1] if i else ""
        lower = self.tagged.tokens[i].lower
        following = self.tagged.tokens[i + 1].lower if i + 1 < hi else ""
        if lower in words("classes.request_noun") and following in ("of", "for", "around"):
            return False
        return before == "determiner" or i in self.tagged.name_at


def read_grammar(text: str, *, modality: str = "", names: tuple[str, ...] = ()) -> tuple[Attribute, ...]:
    """Return the attributes of `text` by the grammar; see `parse_prompt` for the kinds.

    Args:
        text: any string.
        modality: the image's kind, which decides what "on the left" means.
        names: the target's names where the data state them; they win over what the words suggest.
    """
    whole = Grammar(text, modality=modality, names=names)
    rest = whole.without_background()
    if rest.text != text:
        # "Kidneys normal. Spleen enlarged.": what is as it should be is not asked for beside a finding.
        reading = Grammar(rest.text, modality=modality, names=names)
        found = [*reading.read(), *(Attribute(f.kind, "", f.start, f.stop, f.role) for f in rest.denials)]
        if reading.has_finding(rest):
            found.sort(key=lambda a: (a.start, a.stop, a.kind))
            return tuple(Attribute(a.kind, text[a.start : a.stop], a.start, a.stop, a.role) for a in found)
    return whole.read()
