"""Scope: what a denial or a doubt speaks of, and which statements only tell that something is as it should be."""

from __future__ import annotations

from robustness.perturb.language.grammar.asking import (
    ABNORMAL,
    ALL,
    begins_anew,
    is_asked,
    is_described,
    is_of_the_examination,
    statements,
    tells_of_background,
)
from robustness.perturb.language.grammar.naming import Naming
from robustness.perturb.language.grammar.notes import instead, set_aside
from robustness.perturb.language.grammar.noun_phrase import read_phrase
from robustness.perturb.language.grammar.preambles import preambles
from robustness.perturb.language.grammar.relations import Rest
from robustness.perturb.language.grammar.state import Found
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, kind_of, tables, turn_in, words
from robustness.perturb.language.ontology.modifiers import said_behind

# What may stand before a denial that opens a statement: "There is no", "CT shows no", "This is not".
_OPENS = frozenset(
    "preposition report scan patient exists filler auxiliary pronoun sign conjunction position with".split()
)
_FIRST_DENIALS = frozenset("no nil neither none without not absence negative free lack lacking lacks devoid".split())
# "not only", "no more than": what follows is not denied.
_LIMITS = frozenset("only just merely more less fewer longer later".split())
# What makes a statement one of its own, and none of a normal thing.
_STATES_MORE = frozenset("report with relative negation certainty exists".split())
# "Patent ductus", "clear fluid": before a name these may tell of a finding.
_NO_PRAISE = frozenset("patent clear spared midline maintained attached".split())
_PARTS = frozenset(".;?!,")  # What parts one statement or piece from the next.
_MOST_JOINTS = 12  # A longer list is left whole: the work must not grow with the square of the text.
Run = tuple[int, int]


def background(tagged: Tagged) -> list[Run]:
    """Return the tokens [first, last) of the statements that tell what is normal or absent: "Kidneys normal."""
    lower = {t.lower for t in tagged.tokens}
    plain = {"negation", "scan", "measure"}.isdisjoint(tagged.tags) and lower.isdisjoint(tells_of_background())
    if plain and lower.isdisjoint(_PARTS) and "\n" not in tagged.text:
        return []
    parts = statements(tagged)
    if plain:
        return set_aside(tagged, parts, [])
    runs = [run for first, last in parts for run in _of_sentence(tagged, first, last)]
    runs = [part for run in runs for part in _but_its_name(tagged, run)]
    return runs + set_aside(tagged, parts, runs)


def _but_its_name(tagged: Tagged, run: Run) -> list[Run]:
    """Return a run without the name that a bare side behind it is of: "The right tube is patent, the left one not"."""
    first, last = run
    behind = tagged.tokens[last : last + 2]
    turns = turn_in([t.lower for t in behind]) or (behind != [] and not behind[0].is_word)
    subject, other = read_phrase(tagged, *run), read_phrase(tagged, last + turns, len(tagged.tokens))
    bare = other.name is None or other.category == "generic"
    if not bare or not any(m.kind == "side" for m in other.mods) or subject.name is None:
        return [run]
    start, stop = subject.name
    return [part for part in ((first, start), (stop, last)) if part[0] < part[1]]


def _of_sentence(tagged: Tagged, first: int, last: int) -> list[Run]:
    """Return what one sentence tells of normal and absent things: all of it, or what a comma or "and" parts."""
    if first >= last:
        return []
    if excepted := _excepted(tagged, first, last) or instead(tagged, first, last):
        return excepted
    if _is_normal(tagged, first, last):
        return [(first, last)]
    joints = [k for k in range(first + 1, last - 1) if tagged.tokens[k].lower in (",", ":", "and")]
    if len(joints) > _MOST_JOINTS:
        return []
    for k in reversed(joints):
        anew = begins_anew(tagged, k + 1, last, any_name=_is_over(tagged, first, k))
        if _is_normal(tagged, first, k) or (anew and _is_denied(tagged, first, k)):
            return [(first, k + 1), *_of_sentence(tagged, k + 1, last)]
    for k in joints:
        end = next((e for e in [last, *reversed(joints)] if e > k + 1 and _is_normal(tagged, k + 1, e)), 0)
        if end:
            return [*_of_sentence(tagged, first, k), (k, end), *_of_sentence(tagged, end + 1, last)]
    return [(first, last)] if _is_denied(tagged, first, last) else []


def _excepted(tagged: Tagged, first: int, last: int) -> list[Run]:
    """Return all but the cyst of "Liver normal apart from a cyst" and of "Apart from a cyst, the liver is normal"."""
    exceptions = tables()["classes.exception"]
    for k in range(first, last):
        stop = tagged.spans.get(k, k + 1)
        if tagged.tags[k] != "negation" or tuple(t.lower for t in tagged.tokens[k:stop]) not in exceptions:
            continue
        phrase = read_phrase(tagged, stop, last)
        definite = stop < last and tagged.tokens[stop].lower in ("the", "its", "their", "this", "these")
        if tagged.tokens[first].lower in ALL and tagged.tokens[last - 1].lower in words("classes.normal"):
            return [(first, last)]
        if phrase.name is None or (definite and phrase.category != "finding"):
            return []
        behind = range(phrase.stop, last)
        comma = next((c for c in behind if tagged.tokens[c].lower == "," or tagged.tags[c] == "determiner"), last)
        if k == first and comma < last:
            rest = comma + (not tagged.tokens[comma].is_word)
            return [(k, stop), (comma, last)] if _is_normal(tagged, rest, last) else []
        is_plain = tagged.tokens[first].lower == "nothing" or tagged.tokens[k - 1].lower in words("classes.normal")
        is_plain = is_plain or _is_normal(tagged, first, k)
        return [(first, stop)] if is_plain or _is_denied(tagged, first, k) or is_described(tagged, first, k) else []
    return []


def _is_denied(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement begins or ends with its denial: "There is no fracture", "the stone is not seen"."""
    tags, tokens, i = tagged.tags, tagged.tokens, first
    ends = (k for k in range(max(first + 1, last - 4), last) if tags[k] == "negation" and tagged.spans.get(k) == last)
    denial = " ".join(t.lower for t in tokens[next(ends, last) : last])
    none = first < last - 1 and tokens[last - 1].lower == "none"  # "Cellulitis none."
    if none or said_behind(denial) or _is_over(tagged, first, last):
        return not is_asked(tagged, first, last)
    while i < last and (tags[i] in _OPENS or is_adverb(tokens[i].lower) or tokens[i].lower in ("this", "that")):
        i += 1
    if i >= last or tags[i] != "negation" or tokens[i].lower not in _FIRST_DENIALS or is_asked(tagged, first, last):
        return False
    stop = tagged.spans.get(i, i + 1)
    if stop >= last or tokens[stop].lower in _LIMITS or tokens[stop - 1].lower in _LIMITS:
        return False
    does = i > first and tokens[i - 1].lower in words("classes.auxiliary") - words("classes.be")
    return tokens[i].lower != "not" or (not does and read_phrase(tagged, stop, last).name is not None)


def _is_over(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement says of a thing that it was there: "effusion resolved", "hair removed before"."""
    tokens, tags = tagged.tokens, tagged.tags
    k = next((k for k in range(first + 1, last) if tokens[k].lower in words("classes.over")), last)
    if k == last or not (_is_name(tagged, k - 1) or tokens[k - 1].lower in words("classes.be")):
        return False
    return (
        k + 1 == last or tokens[k + 1].lower == "away" or (tags[k + 1] == "preposition" and tokens[k].lower != "gone")
    )


def _is_normal(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement says of parts of the body that they are normal, or not abnormal."""
    tokens, tags = tagged.tokens, tagged.tags
    if is_of_the_examination(tagged, first, last):
        return not is_asked(tagged, first, last)
    good = words("classes.normal") | ({"well"} if tokens[last - 1].lower == "well" else set())
    normal = next((k for k in range(first, last) if tokens[k].lower in good), -1)
    denial = next((k for k in range(first, last) if tags[k] == "negation"), last)
    properties = words("classes.normal_of")
    names = [k for k in range(first, last) if _is_name(tagged, k) or (k < normal and tokens[k].lower in properties)]
    if not names or (normal < 0 and denial == last):
        return False
    if denial < last:
        free = names[0] < denial and _is_free(tagged, first, denial, last)
        return free and (normal < 0 or (normal < denial and _is_normal(tagged, first, denial)))
    if not _STATES_MORE.isdisjoint(tags[first:last]) or is_asked(tagged, first, last):
        return False
    if names[0] > normal:
        # "Normal liver and spleen"
        led = set(tags[first:normal]) <= {"determiner", "filler", "conjunction"} and "relation" not in tags[first:last]
        led = led and normal not in tagged.name_at and tokens[normal].lower not in _NO_PRAISE
        rest = [t.lower for t in tokens[normal + 1 : last]]
        return led and not any(category_of(w) == "finding" or kind_of(w) in ABNORMAL for w in rest)
    return _is_subject(tagged, first, normal) and all(_says_no_more(tagged, k) for k in range(normal + 1, last))


def _is_name(tagged: Tagged, k: int) -> bool:
    lower = tagged.tokens[k].lower
    describes = kind_of(lower) or is_adverb(lower) or lower in words("classes.normal") | words("classes.normal_of")
    return k in tagged.name_at or k in tagged.inner or (tagged.tags[k] == "word" and not describes)


def _says_no_more(tagged: Tagged, k: int) -> bool:
    """Tell whether a word behind "normal" keeps to it: "in size and shape", "bilaterally", "within limits"."""
    lower = tagged.tokens[k].lower
    more = kind_of(lower) in ("size", "pathology") and lower not in words("classes.normal")
    return not _is_name(tagged, k) and not more


def _is_subject(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether names and what stands before them come first, and what is said of them behind all of them."""
    tokens, tags = tagged.tokens, tagged.tags
    names = [k for k in range(first, last) if _is_name(tagged, k)]
    end = names[-1] if names else first
    for k in range(first, end):
        is_abnormal = k > first and kind_of(tokens[k].lower) in ABNORMAL and _is_name(tagged, k - 1)
        if tags[k] == "auxiliary" or (is_abnormal and not _is_name(tagged, k)):
            return False
    things = [k for k in names if category_of(tokens[k].lower) == "finding"]
    parts = [k for k in range(first, end) if tags[k] in ("preposition", "relation")]
    # "cyst in the liver and spleen normal", where "skin around the wound is normal" tells of the skin.
    mixed = "," in {t.lower for t in tokens[first:end]} or (things and parts and things[0] < parts[0])
    return not (mixed and things)


def _is_free(tagged: Tagged, first: int, denial: int, last: int) -> bool:
    """Tell whether "Pancreas without mass", "The ureter is not dilated" stands here."""
    tokens, tags = tagged.tokens, tagged.tags
    stop = tagged.spans.get(denial, denial + 1)
    before, behind = set(tags[first:denial]), set(tags[stop:last])
    if tokens[denial].lower not in _FIRST_DENIALS or stop >= last or tokens[stop].lower in _LIMITS:
        return False
    if is_asked(tagged, first, last) or any(category_of(t.lower) == "finding" for t in tokens[first:denial]):
        return False
    properties = {t.lower for k, t in enumerate(tokens[:denial]) if first <= k and tokens[k + 1].lower == ","}
    if any(kind_of(word) in ABNORMAL for word in properties - words("classes.normal")):
        return False  # "taller-than-wide, microcalcifications, no nodes"
    is_not = tokens[denial].lower == "not"
    if is_not and (stop > denial + 1 or not kind_of(tokens[stop].lower)):
        return False
    if any(begins_anew(tagged, k + 1, last, any_name=is_not) for k in range(stop, last - 1)):
        return False
    nouns = {"word", "determiner", "preposition", "conjunction", "sign"}
    return before <= nouns | {"request", "auxiliary", "report", "filler"} and behind <= nouns | {"position"}


class Scope(Naming):
    """Reads denials and certainty with what they reach."""

    def without_background(self) -> Rest:
        """Return the text with blanks for what it says to be normal or absent."""
        tagged, chars = self.tagged, list(self.text)
        runs = [run for run in background(tagged) if not any(a < run[1] and run[0] < b for a, b in self.stated)]
        apart = words("classes.technique") | words("classes.ignored")
        denials, contrasts, lists = [], False, False
        for first, last in runs:
            turns = turn_in([t.lower for t in tagged.tokens[last : last + 2]])
            lists |= tagged.tokens[last - 1].lower == "," or tagged.tokens[first].lower == ","
            lowered = {t.lower for t in tagged.tokens[first:last]}
            contrasts |= turns > 0 or tagged.tags[last - 1] == "negation" or not lowered.isdisjoint(apart)
            for k in range(first, last + turns):
                if tagged.tags[k] == "negation" and (k in tagged.spans or tagged.tags[k - 1] != "negation"):
                    stop = tagged.tokens[tagged.spans.get(k, k + 1) - 1].stop
                    denials.append(Found("negation", tagged.tokens[k].start, stop, "landmark"))
                token = tagged.tokens[k]
                goes_on = k + 1 < last and tagged.tokens[k + 1].lower in words("classes.residue") | {"bowel"}
                if goes_on or tagged.tags[k] not in ("scan", "patient"):
                    chars[token.start : token.stop] = " " * (token.stop - token.start)
        for start, stop in preambles(self.text) if runs else ():
            # "Previous ACL repair; graft intact": what goes before stays passed over.
            for k, token in enumerate(tagged.tokens):
                if start <= token.start < stop and tagged.tags[k] == "filler":
                    chars[token.start : token.stop] = " " * (token.stop - token.start)
        rest = "".join(chars).lstrip(" \t\n.,;:")
        return Rest(rest.rjust(len(chars)) if runs else self.text, tuple(denials), contrasts, lists)

    def has_finding(self, rest: Rest) -> bool:
        """Tell whether what was read asks for a finding, and does not only name another part of the body."""
        telling = ABNORMAL | {"relation", "negation", "number", "certainty", "description", "place"}
        listed = ("", "finding", "instrument", "generic") if rest.lists else ()
        sure = self.is_asked or rest.contrasts or any(f.kind in telling for f in self.spans)
        articles = {"a", "an", *(("the",) if rest.lists else ())}  # "without haemorrhage, the infarct core"
        sure |= not articles.isdisjoint(self.tagged.tokens[t.token].lower for t in self.targets)
        found = (category_of(t.head) == "finding" or t.category not in ("anatomy", *listed) for t in self.targets)
        return bool(self.targets) and (sure or any(found))

    def _negation(self, i: int, hi: int) -> int:
        """Read a denial: before the first target it denies that, behind one it denies a companion."""
        tagged, token = self.tagged, self.tagged.tokens[i]
        last = tagged.spans.get(i, i + 1)
        words = " ".join(t.lower for t in tagged.tokens[i:last])
        if words == "not" and self.predicate and not self.targets:
            return last
        if words == "not" and last < hi and tagged.tags[last] in ("certainty", "relation"):
            return last
        # "a mass on the right, none on the left"
        leads = bool(self.targets) and tagged.tags[last : last + 1] == ["preposition"]
        phrase = read_phrase(tagged, last + leads, hi)
        if words == "not" and not self.targets and phrase.stop < hi and tagged.tokens[phrase.stop].lower == "but":
            # "not a melanoma but a naevus"
            self._add("negation", token.start, token.stop)
            return phrase.stop + 1
        if not self.targets and words in ("no", "nil"):
            # "no section contains a cyst": the sections are none of what is asked for.
            pictured = phrase.category == "picture" or tagged.tags[last : last + 1] == ["scan"]
            self._add("negation" if pictured else "number", token.start, token.stop)
            return last
        self._add("negation", token.start, tagged.tokens[last - 1].stop)
        if not self.targets or said_behind(words):
            return last
        return self._past_list(self._skip(phrase.stop, hi), hi)

    def _past_list(self, i: int, hi: int) -> int:
        """Return the index after ", cysts or hydronephrosis" at `i`, which goes on with what is denied, or `i`."""
        tokens, k, closes = self.tagged.tokens, i, False
        while k < hi - 1 and tokens[k].lower in (",", "or", "nor") and not closes:
            k += tokens[k].lower == "," and tokens[k + 1].lower in ("or", "nor")
            closes, phrase = tokens[k].lower != ",", read_phrase(self.tagged, k + 1, hi)
            if phrase.name is None:
                return i
            k = phrase.stop
        return k if closes else i
